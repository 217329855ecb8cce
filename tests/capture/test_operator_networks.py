"""A network of every family of operators: taken live, from an export, and from one in core ATen, where operators are
others; each computes what torch computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.capture.helpers import assert_same_graph, capture_export
from tests.operator_networks import NETWORKS, network, samples
from uc_nn_pio import reference
from uc_nn_pio.capture import capture_module
from uc_nn_pio.errors import ErrorGroup, UnsupportedError
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.lower import lower


def check(graph: Graph, name: str) -> None:
    x, wanted = samples(name)
    scale = max(float(np.abs(wanted).max()), 1e-3)
    for each in (graph, lower(graph)):
        found = reference.outputs_batch(each, x)[each.outputs[0]]
        assert np.abs(found.reshape(wanted.shape) - wanted).max() <= 1e-5 * scale


@pytest.mark.parametrize("name", NETWORKS)
def test_live_and_exported(name: str, tmp_path: Path) -> None:
    module, shape = network(name)
    graph = capture_module(module, shape, "net")
    assert_same_graph(graph, capture_export(module, shape, tmp_path / "net.pt2"))
    check(graph, name)


TAKEN_APART = (
    *("replication and going round", "selu and celu", "prelu", "prelu of a signal", "rms norm"),
    *("instance norm", "instance norm of a signal"),
    *(name for name in NETWORKS if name.startswith(("lstm", "gru", "rnn"))),
)
"""What core ATen writes as several operators that have no kernels, such as ``where``, or a row of a sequence at a time;
such a file is refused."""


@pytest.mark.parametrize("name", TAKEN_APART)
def test_what_core_aten_takes_apart_is_refused(name: str, tmp_path: Path) -> None:
    module, shape = network(name)
    with pytest.raises((ErrorGroup, UnsupportedError), match="not supported"):
        capture_export(module, shape, tmp_path / "net.pt2", core=True)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in TAKEN_APART])
def test_core_aten(name: str, tmp_path: Path) -> None:
    module, shape = network(name)
    check(capture_export(module, shape, tmp_path / "net.pt2", core=True), name)
