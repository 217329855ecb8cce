"""Operators by table against double arithmetic, on every input byte."""

from __future__ import annotations

import numpy as np
import pytest

from uc_nn_pio.graph import ops
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.graph.quant import to_int8, to_real
from uc_nn_pio.quantize import Range, quantize
from uc_nn_pio.reference import integer

FUNCTIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, -0.25 * x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("range_", [Range(-8, 8), Range(-0.5, 3), Range(-100, 1), Range(0, 1e-6)], ids=str)
def test_a_function_of_one_value(function: str, range_: Range) -> None:
    build = GraphBuilder("net")
    graph = build.graph(build.add("y", ops.Activation(function, -0.25), build.input("x", (256,))))
    made = quantize(graph, {"x": range_, "y": Range(-2, 7)})
    x = np.arange(-128, 128).astype(np.int8)[None]
    real = FUNCTIONS[function](to_real(x, made.tensor("x").quant).astype(np.float64))
    assert np.array_equal(integer.run_batch(made, x)["y"], to_int8(real, made.tensor("y").quant))


@pytest.mark.parametrize("high", [0.5, 4, 20, 200, 5000])
@pytest.mark.parametrize("shape", [(1,), (2,), (10,), (1000,), (5, 3, 4)])
def test_softmax_and_its_logarithm(shape: tuple[int, ...], high: float) -> None:
    """Within one step of the double value, and equal to its rounding in nearly all cases."""
    rng = np.random.default_rng(6)
    x = rng.integers(-128, 128, (20, *shape)).astype(np.int8)
    x[:4] = rng.integers(100, 128, (4, *shape))
    for op in (ops.Softmax(), ops.LogSoftmax()):
        build = GraphBuilder("net")
        made = quantize(build.graph(build.add("y", op, build.input("x", shape))), {"x": Range(-high, high)})
        real = to_real(x, made.tensor("x").quant).astype(np.float64)
        below = real - real.max(axis=1, keepdims=True)
        log = below - np.log(np.exp(below).sum(axis=1, keepdims=True))
        expected = to_int8(np.exp(log) if isinstance(op, ops.Softmax) else log, made.tensor("y").quant)
        difference = np.abs(integer.run_batch(made, x)["y"].astype(int) - expected)
        assert difference.max() <= 1 and (difference > 0).mean() < 0.005
