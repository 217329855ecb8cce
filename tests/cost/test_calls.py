"""The calls of streamed layers in the order in which the generated driver makes them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from torch import nn

from tests.networks import design_of
from uc_nn_pio.cost.calls import calls_of
from uc_nn_pio.emit.render import render
from uc_nn_pio.spec import LEAST, MemorySpec

NETWORKS = {
    "pools": lambda: nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(3, 4, 3), nn.AvgPool2d(2, 1)
    ),
    "strides": lambda: nn.Sequential(nn.Conv2d(2, 3, 5, stride=2), nn.Conv2d(3, 2, 3, padding=2), nn.MaxPool2d(2)),
    "linear": lambda: nn.Sequential(nn.Conv2d(2, 2, 3), nn.MaxPool2d(2), nn.Flatten(), nn.LazyLinear(4)),
}


@pytest.mark.parametrize("budget", [None, LEAST])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_order_is_that_of_the_driver(name: str, budget: int | None, tmp_path: Path) -> None:
    design = design_of(NETWORKS[name](), (2, 17, 14), memory=MemorySpec("streamed", ram_budget=budget))
    streamed = [kernel for kernel in design.kernels if kernel.rows_apart]
    assert streamed
    # the generated C on this machine, its layers replaced by ones that say their name
    files = render(design)
    text = files["net.c"]
    for kernel in design.kernels:
        text = re.sub(rf"(?m)^(static void {kernel.function}\([^)]*\)\n{{)", r'\1 puts("' + kernel.name + '"); }', text)
        text = re.sub(rf'(puts\("{kernel.name}"\); }}).*?\n}}\n', r"\1\n", text, count=1, flags=re.DOTALL)
    (tmp_path / "net.h").write_text(files["net.h"])
    (tmp_path / "net.c").write_text("#include <stdio.h>\n" + text)
    (tmp_path / "main.c").write_text(
        '#include "net.h"\nstatic net_context ctx;\n'
        "int main(void)\n{\n    net_reset(&ctx);\n    while (net_push_row(&ctx)) {\n    }\n"
        "    net_run(&ctx);\n    return 0;\n}\n"
    )
    subprocess.run(["gcc", "-w", "net.c", "main.c", "-o", "program"], cwd=tmp_path, check=True)
    said = subprocess.run([tmp_path / "program"], capture_output=True, text=True, check=True).stdout.split()
    assert said == [design.kernels[index].name for index in calls_of(design.kernels).order]


def test_networks_that_are_not_streamed_call_each_layer_once() -> None:
    design = design_of(NETWORKS["pools"](), (2, 17, 14), memory=MemorySpec("pingpong"))
    calls = calls_of(design.kernels)
    assert (calls.order, calls.cycles) == (tuple(range(len(design.kernels))), 0)
