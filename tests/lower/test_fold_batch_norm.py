"""Batch norms fold into their neighbours, and only where that is the same function."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from tests.graph.torch_graph import graph_of, randomize
from tests.lower.agreement import lowered_by, same_values, titles
from uc_nn_pio.errors import ModelError
from uc_nn_pio.graph import ops
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.graph.ir import Graph, rebuild
from uc_nn_pio.lower.fold_batch_norm import fold_batch_norm


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
def test_into_the_convolution_in_front(bias: bool, groups: int) -> None:
    layers = [nn.Conv2d(4, 6, (3, 2), 2, padding=1, bias=bias, groups=groups), nn.BatchNorm2d(6), nn.ReLU()]
    graph = lowered_by(fold_batch_norm, layers, (4, 7, 5), ["conv2d", "batch_norm", "relu"], ["conv2d", "relu"])
    assert graph.nodes[0].name == "0_Conv2d"
    assert graph.nodes[0].output == "1_BatchNorm2d"
    assert all(array.dtype == np.float32 for array in graph.constants.values())


@pytest.mark.parametrize("affine", [True, False])
def test_into_the_linear_in_front(affine: bool) -> None:
    layers = [nn.Linear(7, 5, bias=False), nn.BatchNorm1d(5, eps=0.01, affine=affine)]
    lowered_by(fold_batch_norm, layers, (7,), ["linear", "batch_norm"], ["linear"])


def test_several_into_one_layer_round_once() -> None:
    layers = [nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.BatchNorm2d(6)]
    before = ["batch_norm", "conv2d", "batch_norm", "batch_norm"]
    graph = lowered_by(fold_batch_norm, layers, (4, 7, 5), before, ["conv2d"])
    assert all(array.dtype == np.float32 for array in graph.constants.values())


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_into_the_convolution_behind_without_padding(groups: int) -> None:
    layers = [nn.MaxPool2d(2), nn.BatchNorm2d(4), nn.Conv2d(4, 8, (2, 3), groups=groups, bias=False)]
    lowered_by(fold_batch_norm, layers, (4, 9, 11), ["max_pool2d", "batch_norm", "conv2d"], ["max_pool2d", "conv2d"])


@pytest.mark.parametrize("padding", [1, (0, 1), "same"])
def test_not_over_padding(padding: object) -> None:
    """Zeros around the map lie behind the batch norm: folding it forward would shift them as well."""
    layers = [nn.BatchNorm2d(4), nn.Conv2d(4, 3, (3, 2), padding=padding)]
    graph = lowered_by(fold_batch_norm, layers, (4, 7, 5), ["batch_norm", "conv2d"], ["conv2d", "conv2d"])
    assert graph.nodes[0].op == ops.Conv2d(groups=4, conv_shape=(4, 7, 5))
    assert graph.nodes[0].name == "0_BatchNorm2d"


def test_into_the_linear_behind() -> None:
    layers = [nn.Tanh(), nn.BatchNorm1d(6), nn.Linear(6, 4)]
    lowered_by(fold_batch_norm, layers, (6,), ["tanh", "batch_norm", "linear"], ["tanh", "linear"])


def test_a_map_with_nothing_to_fold_into_becomes_depthwise() -> None:
    layers = [nn.Conv2d(2, 3, 2), nn.ReLU(), nn.BatchNorm2d(3), nn.MaxPool2d(2)]
    before = ["conv2d", "relu", "batch_norm", "max_pool2d"]
    graph = lowered_by(fold_batch_norm, layers, (2, 7, 5), before, ["conv2d", "relu", "conv2d", "max_pool2d"])
    assert graph.nodes[2].op.groups == 3
    assert graph.constant(graph.nodes[2], "weight").shape == (3, 1, 1, 1)


def test_a_vector_with_nothing_to_fold_into_becomes_depthwise_on_one_pixel() -> None:
    layers = [nn.BatchNorm1d(6), nn.ReLU()]
    lowered_by(fold_batch_norm, layers, (6,), ["batch_norm", "relu"], ["reshape", "conv2d", "reshape", "relu"])


def shared(read_sum: bool) -> Graph:
    """conv -> batch norm, where the sum in between is read by a tanh too, or leaves the graph."""
    rng = np.random.default_rng(1)
    build = GraphBuilder("net")
    weight = rng.normal(size=(3, 2, 2, 2))
    conv = build.add("conv", ops.Conv2d(kernel=(2, 2)), build.input("x", (2, 5, 4)), weight=weight)
    mean, var = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    norm = build.add("norm", ops.BatchNorm(), conv, mean=mean, var=var)
    return build.graph(norm, build.add("tanh", ops.Activation("tanh"), conv) if read_sum else conv)


@pytest.mark.parametrize("read_sum", [True, False])
def test_not_into_a_layer_whose_sum_others_need(read_sum: bool) -> None:
    graph = shared(read_sum)
    result = fold_batch_norm(graph)
    assert titles(result)[:2] == ["conv2d", "conv2d"]
    same_values(graph, result)


def test_a_weight_that_two_layers_share_folds_in_one_of_them() -> None:
    module = randomize(nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 5)))
    graph = graph_of(module, (5,))
    tied = {role: f"0_Linear.{role}" for role in ("weight", "bias")}
    nodes = [
        node if node.name != "3_Linear" else type(node)(**{**vars(node), "constants": tied}) for node in graph.nodes
    ]
    graph = rebuild(graph, nodes)
    result = fold_batch_norm(graph)
    assert titles(result) == ["linear", "tanh", "linear"]
    same_values(graph, result)


def test_an_overflow_is_an_error_with_the_layer() -> None:
    build = GraphBuilder("net")
    x = build.add("features.0", ops.Linear(), build.input("x", (2,)), weight=np.full((1, 2), 1e38))
    graph = build.graph(build.add("norm", ops.BatchNorm(eps=0.0), x, mean=np.zeros(1), var=np.full(1, 1e-6)))
    with pytest.raises(ModelError, match="too large for float32") as caught:
        fold_batch_norm(graph)
    assert caught.value.where == "features.0"
