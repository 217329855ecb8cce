"""int8 networks against float ones: node by node within one step, and whole networks by their signal to noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from tests.graph.torch_graph import graph_of, images, randomize, torch_values
from tests.networks import random_network
from uc_nn_pio.capture import capture_module
from uc_nn_pio.design import graph_hash
from uc_nn_pio.errors import ModelError, UnsupportedError
from uc_nn_pio.graph import ops
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.graph.ir import DType, Graph
from uc_nn_pio.graph.quant import QuantParams, to_int8, to_real
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import (
    IntegerWeights,
    Range,
    calibrate,
    prepare,
    quantize,
    signal_to_noise,
    with_integers,
)
from uc_nn_pio.reference import integer, run_batch

SEEDS = range(60)


def small(
    module: nn.Sequential, shape: tuple[int, ...], samples: int = 40, **options: bool
) -> tuple[Graph, Graph, np.ndarray]:
    """The lowered float graph, its int8 graph, and the samples that calibrated it."""
    x = images(samples, shape)
    graph = lower(graph_of(randomize(module), shape))
    return graph, quantize(graph, calibrate(graph, [x]), **options), x


def dequantized(graph: Graph, quantized: Graph) -> Graph:
    """``prepare(graph)`` with the weights that the integers stand for."""
    graph = prepare(graph)
    constants = dict(graph.constants)
    for node, exact in zip(quantized.nodes, graph.nodes, strict=True):
        weight = quantized.constant(node, "weight")
        if weight is None:
            continue
        scale = quantized.constant(node, "weight_scale").astype(np.float64)
        constants[exact.constants["weight"]] = (weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))).astype(
            np.float32
        )
        if "bias" in exact.constants:
            unit = scale * np.float64(quantized.tensor(node.inputs[0]).quant.scale)
            constants[exact.constants["bias"]] = (quantized.constant(node, "bias") * unit).astype(np.float32)
    return replace(graph, constants=constants)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_node_of_a_random_network_is_within_one_step(seed: int) -> None:
    """Each node's integers against float32 arithmetic on what its input's integers stand for: two roundings of the
    multiplication and float32's own error cost one step at most."""
    module, shape = random_network(seed)
    graph = lower(capture_module(module, shape, "net"))
    x = images(6, shape)
    made = quantize(graph, calibrate(graph, [x]), linear_per_channel=seed % 2 == 0)
    exact = dequantized(graph, made)
    values = integer.run_batch(made, to_int8(x, made.tensor(made.inputs[0]).quant))
    for node, real_node in zip(made.nodes, exact.nodes, strict=True):
        before, after = made.tensor(node.inputs[0]), made.tensor(node.output)
        alone = Graph("one", (real_node,), exact.tensors, exact.constants, node.inputs, node.outputs)
        real = run_batch(alone, to_real(values[before.name], before.quant))[node.output]
        found = values[node.output]
        assert after.dtype is DType.INT8 and found.dtype == np.int8
        assert np.abs(found.astype(int) - to_int8(real, after.quant)).max() <= 1, node.op


NETWORKS = [
    [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 6, (2, 3)), nn.ReLU6(), nn.Flatten()],
    [nn.Conv2d(3, 6, 3, groups=3, padding=2), nn.LeakyReLU(0.1), nn.AvgPool2d(2, ceil_mode=True), nn.Flatten()],
    [nn.Conv2d(3, 6, 3), nn.Tanh(), nn.Conv2d(6, 5, 2), nn.LeakyReLU(-0.3), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1)],
    [nn.AvgPool2d(3, stride=2, padding=1, divisor_override=4), nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d((3, 4))],
    [nn.Flatten(), nn.Linear(3 * 8 * 11, 20), nn.Sigmoid(), nn.Linear(20, 9), nn.ReLU(), nn.Linear(9, 5)],
]


@pytest.mark.parametrize("layers", NETWORKS, ids=lambda layers: " ".join(type(layer).__name__ for layer in layers))
def test_a_whole_network_stays_near_torch(layers: list[nn.Module]) -> None:
    module = nn.Sequential(*layers)
    graph, made, x = small(module, (3, 8, 11))
    expected = torch_values(module, x)
    (found,) = integer.outputs_batch(made, to_int8(x, made.tensor("x").quant)).values()
    real = to_real(found, made.tensor(made.outputs[0]).quant)
    db = 10 * math.log10(np.square(expected).sum() / np.square(real - expected).sum())
    assert real.shape == expected.shape and db > 25
    noise = signal_to_noise(graph, made, [x[:15], x[15:]])
    assert [layer.layer for layer in noise] == [node.name for node in made.nodes]
    assert noise[-1].db == pytest.approx(db, abs=0.05)


def test_softmax_behind_a_linear() -> None:
    for last in (nn.Softmax(dim=1), nn.LogSoftmax(dim=1)):
        module = nn.Sequential(nn.Linear(30, 7), last)
        _, made, x = small(module, (30,))
        (found,) = integer.outputs_batch(made, to_int8(x, made.tensor("x").quant)).values()
        expected = torch_values(module, x)
        assert np.abs(to_real(found, made.tensor(made.outputs[0]).quant) - expected).max() < 0.12
        assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.9


def test_a_linear_has_one_scale_unless_asked() -> None:
    module = nn.Sequential(nn.Linear(9, 4))
    for per_channel, count in ((False, 1), (True, 4)):
        _, made, _ = small(module, (9,), linear_per_channel=per_channel)
        node = made.nodes[0]
        sizes = {role: made.constant(node, role).size for role in ("weight_scale", "multiplier", "exponent")}
        assert set(sizes.values()) == {count}
        assert made.constant(node, "multiplier").dtype == made.constant(node, "exponent").dtype == np.int32


def test_a_scale_for_every_channel_is_better_where_channels_differ() -> None:
    linear = nn.Linear(20, 4, bias=False)
    module = randomize(nn.Sequential(linear))
    linear.weight.data[0] *= 1000
    x = images(30, (20,))
    graph = lower(graph_of(module, (20,)))
    ranges = calibrate(graph, [x]) | {}
    one, each = (dequantized(graph, quantize(graph, ranges, linear_per_channel=each)) for each in (False, True))
    errors = [
        np.abs(g.constants[g.nodes[0].constants["weight"]] - linear.weight.detach().numpy())[1:].max()
        for g in (one, each)
    ]
    assert errors[1] < errors[0] / 50


def test_pools_keep_scale_and_zero_point_and_fixed_ranges_are_tensorflow_lites() -> None:
    module = nn.Sequential(nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Sigmoid(), nn.Tanh(), nn.Flatten(), nn.Softmax(dim=1))
    _, made, _ = small(module, (2, 8, 12))
    quants = [made.tensor(node.output).quant for node in made.nodes]
    assert quants[0] == quants[1] == made.tensor("x").quant
    softmax = quants[-1]
    assert quants[2:4] == [QuantParams(np.float32(1 / 256), -128), QuantParams(np.float32(1 / 128), 0)]
    assert softmax == QuantParams(np.float32(1 / 256), -128)


def test_an_accumulator_that_could_overflow_is_refused_by_layer_and_channel() -> None:
    build = GraphBuilder("net")
    wide = np.zeros((3, 70_000), np.float32)
    x = build.input("x", (70_000,))
    graph = build.graph(build.add("fc", ops.Linear(), x, weight=wide))
    weights = wide.astype(np.int8)
    weights[2] = 127
    unit = QuantParams(np.float32(1), 0)
    with pytest.raises(ModelError) as caught:
        with_integers(graph, {"x": unit, "fc": unit},
                      {"fc": IntegerWeights(weights, np.ones(1, np.float32), np.zeros(3, np.int32))})  # fmt: skip
    assert "fc" in str(caught.value) and "channel 2" in str(caught.value) and "2,266,950,000" in str(caught.value)
    weights[2, 66_000:] = 0  # 255 * 127 * 66,000 is under 2^31
    with_integers(graph, {"x": unit, "fc": unit},
                  {"fc": IntegerWeights(weights, np.ones(1, np.float32), np.zeros(3, np.int32))})  # fmt: skip


def test_layers_that_share_weights_share_their_integers() -> None:
    build = GraphBuilder("net")
    weight = np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32)
    first = build.add("a", ops.Linear(), build.input("x", (6,)), weight=weight)
    graph = build.graph(build.add("b", ops.Linear(), first, weight=weight))
    shared = replace(graph.nodes[1], constants=graph.nodes[0].constants)
    graph = replace(graph, nodes=(graph.nodes[0], shared), constants={"a.weight": weight})
    made = quantize(graph, {"x": Range(-1, 1), "a": Range(-3, 3), "b": Range(-9, 9)})
    a, b = made.nodes
    assert a.constants["weight"] == b.constants["weight"]
    assert a.constants["multiplier"] != b.constants["multiplier"]


def test_the_graphs_hash_covers_scales_and_integers() -> None:
    module = nn.Sequential(nn.Linear(4, 3))
    graph, made, _ = small(module, (4,))
    hashes = {graph_hash(graph), graph_hash(made)}
    for name, tensor in made.tensors.items():
        for quant in (
            QuantParams(np.nextafter(tensor.quant.scale, np.float32(9)), tensor.quant.zero_point),
            QuantParams(tensor.quant.scale, tensor.quant.zero_point ^ 1),
        ):
            tensors = {**made.tensors, name: replace(tensor, quant=quant)}
            hashes.add(graph_hash(replace(made, tensors=tensors)))
    for name, array in made.constants.items():
        hashes.add(graph_hash(replace(made, constants={**made.constants, name: array + array.dtype.type(1)})))
    assert len(hashes) == 2 + 4 + len(made.constants)


def test_what_cannot_be_quantized_is_named() -> None:
    graph, made, x = small(nn.Sequential(nn.Linear(4, 3)), (4,))
    with pytest.raises(ModelError, match="no range for tensor '0_Linear'"):
        quantize(graph, {"x": Range(0, 1)})
    bn = graph_of(nn.Sequential(nn.BatchNorm1d(4)), (4,))
    with pytest.raises(UnsupportedError, match="int8 does not have batch_norm"):
        quantize(bn, calibrate(bn, [x]))
    with pytest.raises(ModelError, match=r"int8 \(4,\)"):
        integer.run_batch(made, x)
    with pytest.raises(UnsupportedError, match="not quantized"):
        integer.run_batch(graph, np.zeros((1, 4), np.int8))


def test_noise_without_error_is_infinite() -> None:
    build = GraphBuilder("net")
    graph = build.graph(build.add("pool", ops.MaxPool2d(), build.input("x", (1, 4, 6))))
    x = np.random.default_rng(0).integers(0, 256, (5, 1, 4, 6)).astype(np.float32)
    made = quantize(graph, {"x": Range(0, 255)})
    assert [layer.db for layer in signal_to_noise(graph, made, [x])] == [math.inf]
