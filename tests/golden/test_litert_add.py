"""The int8 sum, and the plane that the C computes it with, against all pairs of LiteRT's reference kernel."""

from __future__ import annotations

import numpy as np
import pytest

from tests.golden.case_file import FOLDER
from uc_nn_pio.emit.kernels import select
from uc_nn_pio.emit.kernels.branches import AddInt8
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.ops import Activation, Add
from uc_nn_pio.graph.quant import QuantParams
from uc_nn_pio.quantize import with_integers
from uc_nn_pio.reference import integer

with np.load(FOLDER / "add.npz") as _data:
    GOLDEN = dict(_data)
ACTIVATIONS = (None, Activation("relu"), Activation("relu6"))
VALUES = np.arange(-128, 128).astype(np.int8)


def graph_of(case: int) -> Graph:
    build = GraphBuilder("net")
    shape = (1, 256, 256)
    op = Add(ACTIVATIONS[GOLDEN["activations"][case]])
    graph = build.graph(build.add("y", op, build.input("a", shape), build.input("b", shape)))
    pairs = zip("aby", GOLDEN["scales"][case], GOLDEN["zero_points"][case], strict=True)
    return with_integers(graph, {name: QuantParams(scale, int(zero)) for name, scale, zero in pairs}, {})


@pytest.mark.parametrize("case", range(len(GOLDEN["sums"])))
def test_all_pairs_to_the_bit(case: int) -> None:
    graph = graph_of(case)
    rows = np.broadcast_to(VALUES[:, None], (1, 1, 256, 256))
    found = integer.run_batch(graph, {"a": rows, "b": rows.swapaxes(2, 3)})["y"][0, 0]
    assert np.array_equal(found, GOLDEN["sums"][case])
    (kernel,) = select(graph, "net")
    assert isinstance(kernel, AddInt8)
    if kernel.plane:
        wide = VALUES.astype(np.int64)
        raw = kernel.plane.values(wide[:, None], wide[None, :])
        assert np.array_equal(np.clip(raw, *kernel.clamp), GOLDEN["sums"][case])


def test_the_cases_cover_what_they_claim() -> None:
    planes = [select(graph_of(case), "net")[0].plane is not None for case in range(len(GOLDEN["sums"]))]
    assert sum(planes) >= 10, planes
    assert all(len(np.unique(sums)) > 3 for sums in GOLDEN["sums"])
