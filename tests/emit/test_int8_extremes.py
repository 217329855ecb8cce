"""int8 kernels at the ends of their operands, as native code under sanitizers: no difference to the reference.

Each case is one node. Weights may be -128, which imported networks hold; biases reach the bound that conversion proves;
multipliers shift from 30 to the left to 31 to the right; inputs are all at one end, at either end, or anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.emit.harness import case_of, run_sanitized
from tests.emit.int8_networks import design_of_int8
from uc_nn_pio.emit.kernels.elementwise_int8 import ActivationInt8
from uc_nn_pio.emit.kernels.pool_int8 import MOST_BY_RECIPROCAL
from uc_nn_pio.emit.kernels.tuning import Tuning
from uc_nn_pio.graph import ops
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.quant import QuantParams
from uc_nn_pio.quantize import IntegerWeights, with_integers
from uc_nn_pio.reference import integer

TUNINGS = {
    "plain": Tuning(packed=False, conv_taps=4, linear_inputs=4),
    "packed": Tuning(packed=True, compact=False, conv_taps=8, linear_inputs=3),
    "compact": Tuning(packed=True, compact=True, conv_taps=3, linear_inputs=8),
    "dual": Tuning(dual=True, conv_taps=20, linear_inputs=8),
}
ZERO_POINTS = (-128, 0, 127)
ONE = np.float32(1)
LIMIT = 2**31 - 1


def given(scale: float, zero_point: int) -> QuantParams:
    return QuantParams(np.float32(scale), zero_point)


def single(
    op: ops.Op,
    shape: tuple[int, ...],
    before: QuantParams,
    after: QuantParams | None = None,
    weights: IntegerWeights | None = None,
    result: tuple[int, ...] | None = None,
) -> Graph:
    """The int8 graph of one node; ``after`` is ``before`` where it is not given."""
    build = GraphBuilder("net")
    own = {} if weights is None else {"weight": weights.weight, "bias": weights.bias}
    graph = build.graph(build.add("layer", op, build.input("x", shape), shape=result, **own))
    return with_integers(graph, {"x": before, "layer": after or before}, {} if weights is None else {"layer": weights})


def inputs_for(graph: Graph, rng: np.random.Generator) -> np.ndarray:
    """All at one end, all at the other, at either end, anything."""
    shape = (1, *graph.tensor("x").shape)
    ends = rng.choice(np.array([-128, 127], np.int8), shape)
    anything = rng.integers(-128, 128, shape).astype(np.int8)
    return np.concatenate([np.full(shape, -128, np.int8), np.full(shape, 127, np.int8), ends, anything])


def assert_no_difference(graphs: list[Graph], folder: Path, tuning: Tuning = TUNINGS["plain"]) -> None:
    rng = np.random.default_rng(1)
    cases, expected = [], []
    for number, graph in enumerate(graphs):
        inputs = inputs_for(graph, rng)
        cases.append(case_of(design_of_int8(graph, tuning, f"net{number}"), inputs))
        expected.extend(integer.outputs_batch(graph, inputs).values())
    found = run_sanitized(cases, folder, level="-O0")
    wrong = [
        (str(g.nodes[0].op), g.tensor("x").quant, g.tensor("layer").quant)
        for g, a, b in zip(graphs, found, expected, strict=True)
        if not np.array_equal(a, b)
    ]
    assert not wrong


def extreme_rows(count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """int8 (count, size): all 127, all -127, all -128, taking turns, all 0, and at random one of the ends."""
    rows = [
        np.full(size, 127),
        np.full(size, -127),
        np.full(size, -128),
        np.resize([127, -128], size),
        np.resize([-128, -128, 127], size),
        np.zeros(size),
        rng.choice([-128, 127], size),
    ]
    return np.stack([rows[i % len(rows)] for i in range(count)]).astype(np.int8)


def extreme_weights(
    shape: tuple[int, ...], exponents: list[int], rng: np.random.Generator, at_bound: bool
) -> IntegerWeights:
    """Weights of :func:`extreme_rows`; multipliers 0.75 * 2^e; biases at the bound of either sign, or such that some
    outputs are neither clamped nor all alike."""
    count = shape[0]
    weight = extreme_rows(count, int(np.prod(shape[1:])), rng)
    scales = np.array([0.75 * 2.0 ** exponents[i % len(exponents)] for i in range(count)], np.float32)
    room = LIMIT - 255 * np.abs(weight.astype(np.int64)).sum(axis=1)
    signs = np.resize([1, -1, -1], count)
    near = np.clip(np.rint(rng.uniform(-140, 140, count) / scales.astype(np.float64)), -room, room)
    bias = signs * room if at_bound else near.astype(np.int64)
    return IntegerWeights(weight.reshape(shape), scales, bias.astype(np.int32))


CONVOLUTIONS = [
    # shape, out, op, exponents
    ((1, 1, 1), 1, ops.Conv2d(), [-7]),
    ((3, 1, 1), 5, ops.Conv2d((3, 3), padding=ops.Padding(1, 1, 1, 1)), [-9, -10]),
    ((2, 2, 1), 3, ops.Conv2d((5, 4), padding=ops.Padding(4, 4, 3, 3)), [-10]),
    ((5, 3, 4), 7, ops.Conv2d((1, 1), activation=ops.Activation("relu")), [-8, -31]),
    ((3, 4, 5), 7, ops.Conv2d((3, 3), padding=ops.Padding(1, 1, 1, 1)), [-10, 3, 30, -1]),
    ((4, 5, 6), 8, ops.Conv2d((3, 2), (2, 1), ops.Padding(2, 0, 0, 2), groups=4), [-9]),
    ((6, 4, 3), 9, ops.Conv2d((2, 3), padding=ops.Padding(0, 1, 2, 2), groups=3), [-9, -30]),
    ((3, 6, 5), 3, ops.Conv2d((3, 3), (1, 1), ops.Padding(1, 1, 1, 1), groups=3), [-9]),
    ((4, 6, 7), 3, ops.Conv2d((3, 3), pool=ops.MaxPool2d(), activation=ops.Activation("relu6")), [-10]),
    ((3, 7, 6), 5, ops.Conv2d((2, 2), activation=ops.Activation("leaky_relu", -0.3), pool=ops.MaxPool2d()), [-9, 1]),
    ((3, 6, 6), 5, ops.Conv2d((3, 1), activation=ops.Activation("leaky_relu", 0.01), pool=ops.MaxPool2d()), [-9]),
    ((300, 1, 2), 3, ops.Conv2d((1, 1), padding=ops.Padding(1, 0, 0, 1)), [-15]),
    ((270, 2, 1), 2, ops.Conv2d((2, 2), padding=ops.Padding(0, 0, 1, 1)), [-16]),
]


def convolutions() -> Iterator[Graph]:
    rng = np.random.default_rng(2)
    zero_points = itertools.cycle(itertools.product(ZERO_POINTS, ZERO_POINTS))
    for shape, out, op, exponents in CONVOLUTIONS:
        for at_bound in (False, True):
            before, after = next(zero_points)
            size = (out, shape[0] // op.groups, *op.kernel)
            weights = extreme_weights(size, exponents, rng, at_bound)
            yield single(op, shape, given(1, before), given(1, after), weights)


@pytest.mark.parametrize("tuning", TUNINGS)
def test_convolutions(tuning: str, tmp_path: Path) -> None:
    assert_no_difference(list(convolutions()), tmp_path, TUNINGS[tuning])


def linears() -> Iterator[Graph]:
    rng = np.random.default_rng(3)
    zero_points = itertools.cycle(itertools.product(ZERO_POINTS, ZERO_POINTS))
    sizes = ((1, 1), (1, 6), (2, 3), (5, 7), (13, 5), (33, 8))
    for (size, out), per_channel, at_bound in itertools.product(sizes, (False, True), (False, True)):
        before, after = next(zero_points)
        exponents = [-10, -31, 5] if per_channel else [-10]
        weights = extreme_weights((out, size), exponents, rng, at_bound)
        if not per_channel:
            weights = IntegerWeights(weights.weight, weights.scale[:1], weights.bias)
        function = rng.choice([None, ops.Activation("relu"), ops.Activation("leaky_relu", -0.7)])
        yield single(ops.Linear(function), (size,), given(1, before), given(1, after), weights)


@pytest.mark.parametrize("tuning", TUNINGS)
def test_linears(tuning: str, tmp_path: Path) -> None:
    assert_no_difference(list(linears()), tmp_path, TUNINGS[tuning])


def every_shift(op: ops.Op, steep: bool) -> Graph:
    """A layer of one input whose outputs have all exponents, -31 .. 30 (``steep``) or -31 .. -1, and accumulators next
    to those where the output changes by 1."""
    rng = np.random.default_rng(4)
    scales, biases = [], []
    for e in range(-31, 31 if steep else 0):
        scale = np.float32(rng.uniform(0.5, 1) * 2.0**e)
        steps = (rng.integers(-128, 128) + 0.5) / np.float64(scale)
        for bias in (np.floor(steps), np.ceil(steps), 0, -1, 1):
            scales.append(scale)
            biases.append(int(np.clip(bias, -LIMIT + 255 * 128, LIMIT - 255 * 128)) if steep else bias)
    weight = np.resize(np.array([0, 1, -1, -128, 127], np.int8), len(scales))
    bias = np.array(biases, np.int64)
    if not steep:  # so small that the shorter formula holds
        bias = np.clip(bias, -(2**30) + 2**16, 2**30 - 2**16)
    shape = (len(scales), 1, 1, 1) if isinstance(op, ops.Conv2d) else (len(scales), 1)
    integers = IntegerWeights(weight.reshape(shape), np.array(scales, np.float32), bias.astype(np.int32))
    return single(op, (1, 1, 1) if isinstance(op, ops.Conv2d) else (1,), given(1, 0), given(1, 0), integers)


@pytest.mark.parametrize("tuning", TUNINGS)
def test_every_shift(tuning: str, tmp_path: Path) -> None:
    leaky = ops.Activation("leaky_relu", -0.25)
    shapes = (ops.Conv2d(), ops.Linear(), ops.Conv2d(activation=leaky), ops.Linear(leaky))
    graphs = [every_shift(op, steep) for op in shapes for steep in (False, True)]
    exponents = np.concatenate([graph.constant(graph.nodes[0], "exponent") for graph in graphs])
    assert set(exponents) == set(range(-31, 31))
    assert_no_difference(graphs, tmp_path, TUNINGS[tuning])


def test_multipliers_that_vanish(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    graphs = []
    for op, shape, own in ((ops.Conv2d(), (2, 2, 3), (3, 2, 1, 1)), (ops.Linear(), (5,), (3, 5))):
        weights = extreme_weights(own, [-33, -40, -12], rng, at_bound=True)
        graphs.append(single(op, shape, given(1, 3), given(1, -7), weights))
        assert 0 in graphs[-1].constant(graphs[-1].nodes[0], "multiplier")
    assert_no_difference(graphs, tmp_path, TUNINGS["packed"])


def average_pools() -> Iterator[Graph]:
    windows = [
        # shape, kernel, stride, padding, result
        ((1, 1, 1), (1, 1), (1, 1), (0, 0, 0, 0), None),
        ((3, 4, 5), (2, 2), (2, 2), (0, 0, 0, 0), None),
        ((1, 4, 6), (3, 2), (1, 2), (0, 0, 0, 0), None),
        ((2, 5, 4), (3, 3), (1, 1), (1, 1, 1, 1), None),
        ((3, 5, 4), (3, 2), (2, 2), (1, 0, 0, 1), (3, 2, 2)),
        ((2, 5, 7), (2, 3), (2, 3), (0, 0, 0, 0), (2, 3, 3)),  # the last window is cut off
        ((1, 3, 2), (5, 4), (1, 1), (2, 2, 1, 2), None),
        ((2, 16, 16), (16, 16), (16, 16), (0, 0, 0, 0), None),
        ((1, 19, 19), (19, 19), (1, 1), (1, 0, 0, 0), None),
        ((1, 20, 21), (20, 20), (1, 1), (0, 1, 1, 0), None),
    ]
    for (shape, kernel, stride, padding, result), counts, zero in itertools.product(
        windows, (True, False), ZERO_POINTS
    ):
        op = ops.AvgPool2d(kernel, stride, ops.Padding(*padding), counts)
        yield single(op, shape, given(1, zero), result=result)
    for zero, divisor, after in itertools.product(ZERO_POINTS, (7, 2**20), (2.0**-30, 0.01, 300)):
        op = ops.AvgPool2d((2, 3), (1, 2), ops.Padding(1, 0, 1, 1), divisor_override=divisor)
        if 1 / divisor / after < 2**30:
            yield single(op, (2, 4, 5), given(1, zero), given(after, -zero - 1))
    op = ops.AvgPool2d((2, 2), (2, 2), divisor_override=4)
    yield single(op, (3, 4, 6), given(1, 127), given(1, -128))


def test_average_pools(tmp_path: Path) -> None:
    assert_no_difference(list(average_pools()), tmp_path)


def test_adaptive_pools(tmp_path: Path) -> None:
    sizes = [((3, 1, 1), (4, 5)), ((2, 7, 5), (3, 2)), ((1, 5, 7), (7, 5)), ((1, 45, 41), (2, 2)), ((2, 3, 9), (2, 4))]
    graphs = [
        single(ops.AdaptiveAvgPool2d(), shape, given(1, zero), result=(shape[0], *out))
        for (shape, out), zero in itertools.product(sizes, ZERO_POINTS)
    ]
    assert_no_difference(graphs, tmp_path)


def test_max_pools(tmp_path: Path) -> None:
    ops_of = [
        ((1, 1, 1), ops.MaxPool2d((1, 1), (1, 1))),
        ((1, 1, 1), ops.MaxPool2d((3, 3), (1, 1), ops.Padding(1, 1, 1, 1))),
        ((3, 5, 4), ops.MaxPool2d((2, 3), (2, 1))),
        ((5, 6, 7), ops.MaxPool2d((3, 3), (1, 1), ops.Padding(1, 1, 1, 1))),
        ((2, 7, 9), ops.MaxPool2d((2, 3), (2, 3), dilation=(3, 2))),
        ((1, 8, 9), ops.MaxPool2d((4, 5), (3, 2), ops.Padding(2, 0, 0, 2))),
    ]
    assert_no_difference([single(op, shape, given(1, 5)) for shape, op in ops_of], tmp_path)


ACTIVATIONS = [
    ops.Activation("relu"),
    ops.Activation("relu6"),
    ops.Activation("leaky_relu", 0.01),
    ops.Activation("leaky_relu", -3.0),
    ops.Activation("leaky_relu", 1.0),
    ops.Activation("sigmoid"),
    ops.Activation("tanh"),
]


def test_activations(tmp_path: Path) -> None:
    graphs = []
    scales = itertools.cycle(itertools.product((1e-6, 0.03, 1, 900), (1e-5, 0.02, 0.5)))
    for function, shape, zero in itertools.product(ACTIVATIONS, ((1,), (4, 5, 3)), ZERO_POINTS):
        before, after = next(scales)
        graphs.append(single(function, shape, given(before, zero), given(after, -zero - 1)))
    assert_no_difference(graphs, tmp_path)


def test_lines_give_the_table_and_are_found() -> None:
    """relu and its kin on the scales that calibration gives them: nearly all of them need no table."""
    rng = np.random.default_rng(6)
    found = 0
    for _ in range(200):
        function = ACTIVATIONS[rng.integers(5)]
        before = given(np.exp(rng.uniform(-7, 2)), rng.integers(-128, 128))
        after = given(before.scale * np.float32(rng.uniform(0.3, 1.2)), rng.integers(-128, 128))
        graph = single(function, (300,), before, after)
        kernel = ActivationInt8(graph, graph.nodes[0], "net", "layer")
        table = graph.constant(graph.nodes[0], "table")
        if not kernel.lines:
            assert kernel.scratch_bytes == 256 and kernel.smaller().scratch_bytes == 0
            continue
        found += 1
        x = np.arange(-128, 128)
        y = kernel.lines[0].values(x)
        if len(kernel.lines) > 1:
            y = np.where(x < before.zero_point, kernel.lines[1].values(x), y)
        limits = [kernel.variables()[end] for end in ("low", "high")]
        y = np.clip(y, *(other if limit is None else limit for limit, other in zip(limits, (-128, 127), strict=True)))
        assert np.array_equal(y, table[x.astype(np.int8).view(np.uint8)])
        assert all(abs(line.factor) * 128 + abs(line.offset) < 2**31 for line in kernel.lines)
    assert found >= 195


def test_reciprocals_are_exact() -> None:
    """``(a * inverse) >> 24`` of the pools, for every count and every sum."""
    for count in range(1, MOST_BY_RECIPROCAL + 1):
        a = np.arange(128 * count + count // 2 + 1, dtype=np.uint64)
        product = a * np.uint64(2**24 // count + 1)
        assert product.max() < 2**32
        assert np.array_equal(product >> np.uint64(24), a // np.uint64(count))


def test_softmaxes(tmp_path: Path) -> None:
    graphs = []
    shapes = ((1,), (10,), (300,), (1500,), (3, 1, 1), (5, 6, 7), (1, 4, 3))
    for op, shape, scale in itertools.product((ops.Softmax(), ops.LogSoftmax()), shapes, (1e-6, 0.1, 20)):
        after = given(1 / 256, -128) if isinstance(op, ops.Softmax) and not isinstance(op, ops.LogSoftmax) else None
        graphs.append(single(op, shape, given(scale, 9), after or given(1 / 16, 127)))
    assert_no_difference(graphs, tmp_path)


def test_permutes(tmp_path: Path) -> None:
    kinds = [("hwc_to_chw", (3, 4, 5), (60,)), ("chw_to_hwc", (60,), (5, 3, 4)), ("hwc_to_chw", (2, 1, 3), (6,))]
    graphs = [single(ops.Permute(order), shape, given(1, 0), result=result) for order, shape, result in kinds]
    assert_no_difference(graphs, tmp_path)
