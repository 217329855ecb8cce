"""The C that tells of its layers: what it tells is each layer's output, in every schedule and precision."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.emit.harness import without_weights
from tests.emit.int8_networks import design_of_int8, random_int8_network, random_tuning
from tests.networks import design_of, random_network
from tests.random_operators import Drawn, random_plan
from uc_nn_pio.converter import convert
from uc_nn_pio.design import Design
from uc_nn_pio.emit.render import render
from uc_nn_pio.errors import UcNnError
from uc_nn_pio.resources import resources
from uc_nn_pio.spec import LEAST, MemorySpec
from uc_nn_pio.validation.host import HostModel
from uc_nn_pio.validation.host_target import ends_of
from uc_nn_pio.validation.layers import LayerCheck, check_values, expected_layers


def checks_of(design: Design, sample: np.ndarray, folder: Path) -> tuple[LayerCheck, ...]:
    host = HostModel(render(design, traced=True), design.spec.name, ends_of(design), folder)
    (end,) = host.input_shapes
    made = host.trace({end: sample}, [kernel.output.elements for kernel in design.kernels])
    return check_values(design, expected_layers(design, {design.graph.inputs[0]: sample}), made)


def all_agree(design: Design, sample: np.ndarray, folder: Path) -> None:
    found = checks_of(design, sample, folder)
    assert [each.name for each in found] == [kernel.name for kernel in design.kernels]
    assert [each.agrees for each in found] == [design.is_called(k) or None for k in design.kernels], found


def first_of(seed: int, draw: Callable[[int], tuple[Design, np.ndarray]]) -> tuple[Design, np.ndarray]:
    """The first drawing from ``seed`` on that there is: not every network can be streamed."""
    for number in range(1000 * seed, 1000 * seed + 100):
        with contextlib.suppress(UcNnError):
            return draw(number)
    raise AssertionError("no network in a hundred")


@pytest.mark.parametrize("schedule", ["pingpong", "streamed"])
@pytest.mark.parametrize("seed", range(5))
def test_int8(seed: int, schedule: str, tmp_path: Path) -> None:
    def draw(number: int) -> tuple[Design, np.ndarray]:
        network = random_int8_network(number)
        budget = LEAST if seed % 2 else None
        design = design_of_int8(network.graph, random_tuning(number), "net", budget, schedule)
        return design, network.inputs[:1]

    all_agree(*first_of(seed, draw), tmp_path)


@pytest.mark.parametrize("schedule", ["arena", "streamed"])
@pytest.mark.parametrize("seed", range(3))
def test_float32(seed: int, schedule: str, tmp_path: Path) -> None:
    """Of all operators in `arena`; few networks of those can be streamed."""

    def draw(number: int) -> tuple[Design, np.ndarray]:
        if schedule == "arena":
            plan = random_plan(number)
            module, shape = Drawn(plan), plan.shape
        else:
            module, shape = random_network(number)
        design = design_of(module, shape, memory=MemorySpec(schedule))
        return design, np.random.default_rng(number).normal(size=(1, *shape)).astype(np.float32)

    all_agree(*first_of(seed, draw), tmp_path)


def test_nothing_else_differs() -> None:
    """Without the lines that tell it is the C that a firmware gets."""
    design = design_of(*random_network(4000), memory=MemorySpec("pingpong"))
    files, traced = render(design), render(design, traced=True)
    lines = traced["net.c"].splitlines()
    kept = [line for line in lines if "_layer_begins(" not in line and "_layer_ends(" not in line]
    assert kept == files["net.c"].splitlines() and len(kept) < len(lines)
    assert "_layer_" not in files["net.h"] and "#define NET_LAYERS" in traced["net.h"]


def test_the_layer_that_is_wrong(tmp_path: Path) -> None:
    """Zeros in the weights of the second layer: the first is right, the second is not."""
    made = convert(resources("examples") / "lenet5_camera" / "models" / "lenet5.yaml")
    files = {**made.traced, "lenet5.c": without_weights(made.traced["lenet5.c"], "lenet5_conv2_weights")}
    host = HostModel(files, "lenet5", ends_of(made.design), tmp_path)
    sample = np.random.default_rng(0).integers(-128, 128, (1, 1, 32, 32)).astype(np.int8)
    values = host.trace({"input": sample}, [kernel.output.elements for kernel in made.design.kernels])
    found = check_values(made.design, expected_layers(made.design, {"input": sample}), values)
    assert found[0].agrees and found[0].worst == 0 and not found[1].agrees and found[1].worst > 0
