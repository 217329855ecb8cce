"""Whatever C the kernels' templates write, it can be walked through: a report must not fail for its predictions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.emit.int8_networks import design_of_int8, random_int8_network, random_pooled_network, random_tuning
from tests.emit.test_activations import FUNCTIONS, network
from tests.emit.test_branches import int8_network
from tests.networks import design_of, random_network
from tests.operator_networks import NETWORKS
from tests.operator_networks import int8_network as int8_operators
from tests.operator_networks import network as operator_network
from uc_nn_pio.boards import load_board
from uc_nn_pio.cost.parameters import cost_model, counts, weighted
from uc_nn_pio.cost.work import work_of
from uc_nn_pio.design import Design
from uc_nn_pio.emit.kernels import Kernel
from uc_nn_pio.emit.kernels.tuning import PLAIN

MODEL = cost_model(load_board("hifive1_virtual"))


def forms(kernel: Kernel) -> Iterator[Kernel]:
    """A kernel, row by row too where it can be, and all its smaller forms."""
    starts = [kernel]
    if kernel.row_need is not None:
        rows = replace(kernel, rows_apart=True)
        starts += [form for form in (rows, rows.shallower()) if form]
    for form in starts:
        while form is not None:
            yield form
            form = form.smaller()


def walk(design: Design) -> int:
    found = 0
    for kernel in design.kernels:
        for form in forms(kernel):
            work = work_of(form)
            cost = MODEL.of(form.cost_class, form.input.dtype.value)
            assert work.calls >= 1
            assert weighted(counts(work), cost.cycles) > 0, form
            found += 1
    return found


@pytest.mark.parametrize("draw", [random_int8_network, random_pooled_network, int8_network])
def test_int8(draw: object) -> None:
    graphs = [(seed, draw(seed).graph) for seed in range(9000, 9025)]
    designs = [design_of_int8(graph, random_tuning(seed), "net", schedule="arena") for seed, graph in graphs]
    assert sum(map(walk, designs)) > 100


def test_float32() -> None:
    drawn = [random_network(seed) for seed in range(9000, 9030)]
    assert sum(walk(design_of(module, shape)) for module, shape in drawn) > 100


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    assert walk(design_of(network(FUNCTIONS[name]), (3, 9, 8))) >= 3


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_operators(precision: str) -> None:
    found = 0
    for name in NETWORKS:
        if precision == "float32":
            found += walk(design_of(*operator_network(name)))
        else:
            found += walk(design_of_int8(int8_operators(name).graph, PLAIN))
    assert found > 100
