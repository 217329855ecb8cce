"""Activations and pools fuse with what is in front of them, where nobody else needs the tensor in between."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from tests.graph.torch_graph import images
from tests.lower.agreement import lowered_by, same_values, titles
from uc_nn_pio.graph import ops
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.lower import lower
from uc_nn_pio.lower.fuse_activation import fuse_activation
from uc_nn_pio.lower.fuse_pool import fuse_pool
from uc_nn_pio.lower.replace_adaptive_pool import replace_adaptive_pool
from uc_nn_pio.reference import outputs


def both(graph: Graph) -> Graph:
    return fuse_pool(fuse_activation(graph))


def test_activation_into_convolution_and_linear() -> None:
    layers = [nn.Conv2d(2, 3, 2), nn.LeakyReLU(-0.3), nn.Tanh(), nn.Conv2d(3, 2, (5, 2)), nn.ReLU6()]
    before = ["conv2d", "leaky_relu", "tanh", "conv2d", "relu6"]
    graph = lowered_by(fuse_activation, layers, (2, 7, 5), before, ["conv2d + leaky_relu", "tanh", "conv2d + relu6"])
    assert [(node.name, node.output) for node in graph.nodes] == [
        ("0_Conv2d", "1_LeakyReLU"),
        ("2_Tanh", "2_Tanh"),
        ("3_Conv2d", "4_ReLU6"),
    ]
    lowered_by(fuse_activation, [nn.Linear(6, 4), nn.Sigmoid()], (6,), ["linear", "sigmoid"], ["linear + sigmoid"])


def test_pool_into_convolution() -> None:
    layers = [nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 3, 2), nn.MaxPool2d((2, 1))]
    before = ["conv2d", "relu", "max_pool2d", "conv2d", "max_pool2d"]
    after = ["conv2d + relu + max_pool2d", "conv2d + max_pool2d"]
    graph = lowered_by(both, layers, (2, 11, 9), before, after)
    assert graph.nodes[0].op.conv_shape == (5, 11, 9)
    assert graph.tensor(graph.nodes[0].output).shape == (5, 5, 4)
    assert set(graph.tensors) == {"x", "2_MaxPool2d", "4_MaxPool2d"}


def test_a_monotone_activation_behind_the_pool_moves_into_the_convolution() -> None:
    layers = [nn.Conv2d(2, 5, 3), nn.MaxPool2d(2), nn.LeakyReLU(0.2), nn.Tanh()]
    before = ["conv2d", "max_pool2d", "leaky_relu", "tanh"]
    lowered_by(both, layers, (2, 8, 9), before, ["conv2d + leaky_relu + max_pool2d", "tanh"])


def test_other_activations_stay_where_they_are() -> None:
    """max, then a function that falls somewhere, is not that function, then max."""
    layers = [nn.Conv2d(2, 5, 3), nn.MaxPool2d(2), nn.LeakyReLU(-0.5)]
    before = ["conv2d", "max_pool2d", "leaky_relu"]
    lowered_by(both, layers, (2, 8, 9), before, ["conv2d + max_pool2d", "leaky_relu"])
    layers = [nn.Conv2d(2, 5, 3), nn.LeakyReLU(-0.5), nn.MaxPool2d(2)]
    lowered_by(both, layers, (2, 8, 9), ["conv2d", "leaky_relu", "max_pool2d"], ["conv2d + leaky_relu + max_pool2d"])


@pytest.mark.parametrize(
    ("pool", "fused"),
    [
        (nn.MaxPool2d(2, 3), True),
        (nn.MaxPool2d((3, 1), (3, 2), ceil_mode=True), True),
        (nn.MaxPool2d(3, padding=1, ceil_mode=True), True),
        (nn.MaxPool2d(3, 2), False),
        (nn.MaxPool2d((2, 3), (2, 2)), False),
        (nn.MaxPool2d((3, 2), (2, 2)), False),
        (nn.MaxPool2d(2, 4, dilation=2), False),
        (nn.AvgPool2d(2), False),
        (nn.AdaptiveAvgPool2d((3, 2)), False),
    ],
    ids=str,
)
def test_only_max_pools_whose_windows_do_not_overlap_fuse(pool: nn.Module, fused: bool) -> None:
    kind = {nn.MaxPool2d: "max_pool2d", nn.AvgPool2d: "avg_pool2d"}.get(type(pool), "adaptive_avg_pool2d")
    after = ["conv2d + relu + max_pool2d"] if fused else ["conv2d + relu", kind]
    lowered_by(both, [nn.Conv2d(2, 5, 2), nn.ReLU(), pool], (2, 11, 8), ["conv2d", "relu", kind], after)


def test_a_second_pool_and_a_second_activation_stay() -> None:
    layers = [nn.Conv2d(2, 5, 2), nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(2), nn.ReLU()]
    before = ["conv2d", "relu", "max_pool2d", "max_pool2d", "relu"]
    lowered_by(both, layers, (2, 11, 8), before, ["conv2d + relu + max_pool2d", "max_pool2d", "relu"])
    layers = [nn.Conv2d(2, 5, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Tanh()]
    lowered_by(both, layers, (2, 11, 8), [*before[:3], "tanh"], ["conv2d + relu + max_pool2d", "tanh"])


@pytest.mark.parametrize("kept", ["conv", "relu"])
@pytest.mark.parametrize("reader", [True, False])
def test_a_tensor_that_others_need_stays(kept: str, reader: bool) -> None:
    build = GraphBuilder("net")
    weight = np.random.default_rng(2).normal(size=(3, 2, 2, 2))
    x = build.add("conv", ops.Conv2d(kernel=(2, 2)), build.input("x", (2, 6, 5)), weight=weight)
    pool = build.add("pool", ops.MaxPool2d(), build.add("relu", ops.Activation(), x))
    graph = build.graph(pool, build.add("tanh", ops.Activation("tanh"), kept) if reader else kept)
    result = both(graph)
    expected = ["conv2d", "relu", "max_pool2d"] if kept == "conv" else ["conv2d + relu", "max_pool2d"]
    assert titles(result) == expected + ["tanh"] * reader
    same_values(graph, result)


@pytest.mark.parametrize("slope", [0.2, 1.5])
def test_a_fused_pool_changes_no_bit(slope: float) -> None:
    build = GraphBuilder("net")
    weight = np.random.default_rng(2).normal(size=(3, 2, 2, 2))
    x = build.add("conv", ops.Conv2d(kernel=(2, 2)), build.input("x", (2, 9, 6)), weight=weight)
    x = build.add("pool", ops.MaxPool2d((3, 2), (3, 2)), build.add("leaky", ops.Activation("leaky_relu", slope), x))
    graph = build.graph(x)
    result = lower(graph)
    assert titles(result) == ["conv2d + leaky_relu + max_pool2d"]
    image = images(1, (2, 9, 6))[0]
    assert np.array_equal(outputs(graph, image)["pool"], outputs(result, image)["pool"])


def test_an_adaptive_pool_with_equal_windows_is_a_plain_one() -> None:
    before = ["adaptive_avg_pool2d"]
    graph = lowered_by(replace_adaptive_pool, [nn.AdaptiveAvgPool2d((2, 3))], (4, 8, 9), before, ["avg_pool2d"])
    assert graph.nodes[0].op == ops.AvgPool2d(kernel=(4, 3), stride=(4, 3))
    lowered_by(replace_adaptive_pool, [nn.AdaptiveAvgPool2d(1)], (4, 7, 5), before, ["avg_pool2d"])
    lowered_by(replace_adaptive_pool, [nn.AdaptiveAvgPool2d((2, 4))], (4, 8, 9), before, before)
