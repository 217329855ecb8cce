"""What the executor takes and returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from torch import nn

from tests.graph.torch_graph import graph_of, images, randomize
from uc_nn_pio.errors import ModelError, UnsupportedError
from uc_nn_pio.graph import ops
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.graph.ir import DType, Graph
from uc_nn_pio.reference import outputs, outputs_batch, run, run_batch


def network() -> Graph:
    return graph_of(randomize(nn.Sequential(nn.Conv2d(2, 3, 2), nn.ReLU(), nn.Flatten())), (2, 5, 4))


def test_run_gives_every_tensor_by_name() -> None:
    x = images(1, (2, 5, 4))[0]
    values = run(network(), x)
    shapes = {name: array.shape for name, array in values.items()}
    assert shapes == {"x": (2, 5, 4), "0_Conv2d": (3, 4, 3), "1_ReLU": (3, 4, 3), "2_Flatten": (36,)}
    assert outputs(network(), {"x": x}).keys() == {"2_Flatten"}


def test_a_batch_gives_the_same_bits_as_its_samples() -> None:
    x = images(70, (2, 5, 4))
    together = outputs_batch(network(), x)["2_Flatten"]
    assert np.array_equal(run_batch(network(), x)["2_Flatten"], together)
    assert all(np.array_equal(outputs(network(), x[i])["2_Flatten"], together[i]) for i in (0, 63, 64, 69))


def test_an_empty_batch_is_an_empty_result() -> None:
    assert outputs_batch(network(), np.zeros((0, 2, 5, 4), np.float32))["2_Flatten"].shape == (0, 36)


def test_inputs_are_not_written() -> None:
    x = images(1, (2, 5, 4))[0]
    before = x.copy()
    run(graph_of(nn.Sequential(nn.ReLU(), nn.Identity(), nn.MaxPool2d(2)), x.shape), x)
    assert np.array_equal(x, before)


def test_branches_and_several_inputs_and_outputs() -> None:
    build = GraphBuilder("net")
    a, b = build.input("a", (4,)), build.input("b", (2, 3, 5))
    low, high = build.add("low", ops.Activation("relu6"), a), build.add("high", ops.Activation("tanh"), a)
    pool = build.add("pool", ops.MaxPool2d(), b)
    graph = build.graph(high, low, pool, a)
    x, y = images(1, (4,))[0], images(1, (2, 3, 5))[0]
    result = outputs(graph, {"a": x, "b": y})
    assert list(result) == ["high", "low", "pool", "a"]
    assert np.array_equal(result["a"], x)
    np.testing.assert_allclose(result["high"], np.tanh(x.astype(np.float64)), rtol=1e-6)
    with pytest.raises(ModelError, match="2 inputs: a, b"):
        run(graph, x)
    with pytest.raises(ModelError, match="no array for input 'b'"):
        run(graph, {"a": x})


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (np.zeros((4, 5, 2), np.float32), "has shape (4, 5, 2), the network takes (2, 5, 4)"),
        ({"x": np.zeros((2, 5, 4)), "z": np.zeros(1)}, "no input is named 'z'"),
    ],
)
def test_a_wrong_input_is_named(given: object, text: str) -> None:
    with pytest.raises(ModelError) as caught:
        run(network(), given)
    assert text in str(caught.value)


def test_what_it_cannot_compute_is_refused_by_name() -> None:
    @dataclass(frozen=True)
    class Gelu(ops.Op):
        kind: ClassVar[str] = "gelu"

    graph = graph_of(nn.Sequential(nn.ReLU()), (3,))
    x = np.zeros(3, np.float32)
    with pytest.raises(UnsupportedError, match="'gelu'"):
        run(replace(graph, nodes=(replace(graph.nodes[0], op=Gelu()),)), x)
    with pytest.raises(UnsupportedError, match="unknown activation 'swish'"):
        run(replace(graph, nodes=(replace(graph.nodes[0], op=ops.Activation("swish")),)), x)
    int8 = {name: replace(tensor, dtype=DType.INT8) for name, tensor in graph.tensors.items()}
    with pytest.raises(UnsupportedError, match="not int8"):
        run(replace(graph, tensors=int8), x)
