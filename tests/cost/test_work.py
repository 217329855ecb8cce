"""What kernels do, against what is known of them from their shapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.cost.networks import random_graph
from tests.networks import design_of
from uc_nn_pio.cost import reads_of, work
from uc_nn_pio.cost.work import work_of
from uc_nn_pio.cost.zeros import zero_shares
from uc_nn_pio.emit.kernels import select
from uc_nn_pio.emit.kernels.tuning import PLAIN
from uc_nn_pio.graph.cost import macs
from uc_nn_pio.spec import MemorySpec

SHAPE = (2, 14, 11)


def test_a_product_for_each_multiply_accumulate() -> None:
    design = design_of(nn.Sequential(nn.Conv2d(2, 5, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(7)), SHAPE)
    for kernel in design.kernels:
        assert work_of(kernel).done["fmul"] == macs(design.graph, kernel.node)


def test_padding_makes_no_products() -> None:
    # of 3 x 3 taps on 14 x 11, the outer row and column have 2 in 3
    design = design_of(nn.Conv2d(2, 5, 3, padding=1), SHAPE)
    inside = (14 * 3 - 2) * (11 * 3 - 2)
    assert work_of(design.kernels[0]).done["fmul"] == inside * 2 * 5


def test_int8_products_one_by_one() -> None:
    graph = random_graph(3, "int8")
    for kernel in select(graph, "net", PLAIN):
        if kernel.cost_class == "LinearInt8":
            done, outputs = work_of(kernel).done, kernel.output.elements
            assert done["multiply"] >= macs(graph, kernel.node)
            assert done["multiply"] <= macs(graph, kernel.node) * (outputs + 3) / outputs


@pytest.mark.parametrize("seed", range(6))
def test_rows_that_are_alike_are_walked_through_once(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = [nn.Conv2d(2, 4, 3, padding=seed % 2), nn.ReLU(), nn.MaxPool2d(2 + seed % 2, 2), nn.Conv2d(4, 3, 3)]
    design = design_of(nn.Sequential(*modules, nn.AvgPool2d(2, 1)), (2, 23, 11), memory=MemorySpec("streamed"))
    kernels = [kernel for kernel in design.kernels if kernel.rows_apart]
    assert kernels
    short = [work_of(kernel) for kernel in kernels]
    monkeypatch.setattr(work, "_rows", lambda k: [(py if k.row_parameter else None, 1) for py in range(k.row_need.out)])
    for kernel, found in zip(kernels, short, strict=True):
        whole = work_of(kernel)
        assert found.calls == whole.calls == kernel.row_need.out
        for kind, count in whole.done.items():
            assert found.done[kind] == pytest.approx(count, rel=0.02, abs=2)


def test_table_words_are_loaded_as_often_as_they_are_read() -> None:
    design = design_of(nn.Sequential(nn.Conv2d(2, 5, 3), nn.Flatten(), nn.LazyLinear(7)), SHAPE)
    linear = design.kernels[-1]
    words = sum(reads.total for reads in reads_of(linear))
    # a weight and a pixel a product, a bias an output
    assert words == 7 * (linear.input.elements + 1)
    assert work_of(linear).done["load4"] == words + 7 * linear.input.elements


def test_zeros_are_what_relus_leave() -> None:
    torch.manual_seed(1)
    modules = [nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Conv2d(5, 5, 3), nn.Sigmoid(), nn.Conv2d(5, 4, 1), nn.ReLU()]
    module = nn.Sequential(*modules, nn.Flatten(), nn.LazyLinear(3))
    design = design_of(module, SHAPE)
    shares = zero_shares(design.graph)
    entry, relu, sigmoid, last = (shares[node.inputs[0]] for node in design.graph.nodes)
    assert entry == sigmoid == 0
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32))
    with torch.no_grad():
        assert relu == pytest.approx(float((module[:2](noise) == 0).float().mean()), abs=0.01)
        assert last == pytest.approx(float((module[:6](noise) == 0).float().mean()), abs=0.01)
    assert zero_shares(random_graph(0, "int8")) == {}
