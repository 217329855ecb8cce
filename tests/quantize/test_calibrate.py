"""Ranges from samples, and what an activation by table does to the graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.graph.torch_graph import graph_of, images, randomize, torch_values
from uc_nn_pio.errors import ModelError
from uc_nn_pio.graph import ops
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.quant import to_int8, to_real
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import Method, Range, activation_params, calibrate, prepare
from uc_nn_pio.reference import run_batch


def relu_of(values: np.ndarray) -> Graph:
    build = GraphBuilder("net")
    return build.graph(build.add("relu", ops.Activation("relu"), build.input("x", values.shape[1:])))


def heavy_tail() -> np.ndarray:
    values = torch.from_numpy(np.random.default_rng(2).normal(size=(40, 500)).astype(np.float32))
    values[3, 7] = 60
    return values.numpy()


def test_min_and_max_are_those_of_torch() -> None:
    module = randomize(
        nn.Sequential(nn.Conv2d(2, 3, 3), nn.LeakyReLU(0.1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 4))
    )
    x = images(30, (2, 6, 9))
    ranges = calibrate(lower(graph_of(module, (2, 6, 9))), [x[:7], x[7:], x[:0]])
    expected = {"x": x, "2_MaxPool2d": torch_values(module[:3], x), "4_Linear": torch_values(module, x)}
    assert set(ranges) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose((ranges[name].low, ranges[name].high), (values.min(), values.max()), rtol=1e-5)


def test_a_percentile_leaves_out_the_farthest_values() -> None:
    x = heavy_tail()
    ranges = calibrate(relu_of(x), [x[:20], x[20:]], Method.PERCENTILE, keep=99.9)
    assert ranges["x"] == Range(float(x.min()), 60)
    kept = np.maximum(x, 0) <= ranges["relu"].high
    assert 0.999 <= kept.mean() < 0.9999
    assert ranges["relu"].high < 5
    everything = calibrate(relu_of(x), [x], Method.PERCENTILE, keep=100)["relu"]
    assert everything.high == pytest.approx(60) and everything.low == 0


@pytest.mark.parametrize("slope", [0.0, 0.5])
def test_least_error_clips_what_is_rare(slope: float) -> None:
    """One value of a million far out: the range that min/max gives wastes most of its steps on it."""
    x = np.random.default_rng(2).standard_normal((40, 25_000), np.float32)
    x[3, 7] = 20
    build = GraphBuilder("net")
    graph = build.graph(build.add("y", ops.Activation("leaky_relu", slope), build.input("x", (25_000,))))
    y = run_batch(graph, x)["y"]

    def error(range_: Range) -> float:
        params = activation_params(range_)
        return float(np.square(to_real(to_int8(y, params), params) - y).mean(dtype=np.float64))

    chosen = calibrate(graph, [x[:11], x[11:]], Method.MSE)["y"]
    full = Range(float(y.min()), 20)
    best = min(error(Range(full.low * part, high)) for part in (0.9, 1) for high in range(7, 15))
    assert error(chosen) < 0.7 * error(full)
    assert error(chosen) <= 1.02 * best


def test_a_table_activation_gets_a_node_of_its_own() -> None:
    """ops before: conv2d + tanh + max_pool2d, linear + relu, linear + sigmoid; after: as the list says."""
    layers = [
        nn.Conv2d(2, 3, 2),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(18, 5),
        nn.ReLU(),
        nn.Linear(5, 4),
    ]
    module = randomize(nn.Sequential(*layers, nn.Sigmoid()))
    graph = lower(graph_of(module, (2, 5, 8)))
    titles = [node.op.title for node in graph.nodes]
    assert titles == ["conv2d + tanh + max_pool2d", "linear + relu", "linear + sigmoid"]
    made = prepare(graph)
    titles = [node.op.title for node in made.nodes]
    assert titles == ["conv2d + max_pool2d", "tanh", "linear + relu", "linear", "sigmoid"]
    assert made.outputs == graph.outputs and made.inputs == graph.inputs
    assert prepare(made) == made
    x = images(9, (2, 5, 8))
    for name, values in run_batch(graph, x).items():
        assert np.array_equal(run_batch(made, x)[name], values)


def test_bad_calibration_data_are_named() -> None:
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ModelError, match="no calibration samples"):
        calibrate(relu_of(x), [x[:0]])
    with pytest.raises(ModelError, match="'x' takes values that are not finite"):
        calibrate(relu_of(x), [x * np.inf])
    with pytest.raises(ModelError, match="percentile"):
        calibrate(relu_of(x), [x], Method.PERCENTILE, keep=12)
    assert calibrate(replace(relu_of(x), name="flat"), [x], Method.MSE)["relu"] == Range(1, 1)
