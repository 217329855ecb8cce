"""All passes together: known networks, branches, and random networks against torch."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.graph.test_cost import cifar10, lenet5
from tests.graph.torch_graph import graph_of, images, randomize, torch_values
from tests.lower.agreement import close, same_values, titles
from uc_nn_pio.graph import ops
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.lower import PASSES, lower
from uc_nn_pio.reference import outputs_batch


def test_lenet5_is_five_nodes() -> None:
    captured = lenet5()
    graph = lower(captured)
    assert titles(graph) == ["conv2d + relu + max_pool2d"] * 2 + ["linear + relu"] * 2 + ["linear"]
    assert [tensor.shape for tensor in graph.values()] == [(1, 32, 32), (6, 14, 14), (16, 5, 5), (120,), (84,), (10,)]
    same_values(captured, graph)


def test_cifar10_is_four_nodes() -> None:
    captured = cifar10()
    graph = lower(captured)
    assert titles(graph) == ["conv2d + relu + max_pool2d"] * 3 + ["linear"]
    same_values(captured, graph)


def test_a_mobile_network() -> None:
    layers: list[nn.Module] = [nn.Conv2d(3, 8, 3, 2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()]
    for channels, out in ((8, 12), (12, 10)):
        layers += [nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False), nn.BatchNorm2d(channels)]
        layers += [nn.ReLU6(), nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU6()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(10, 4), nn.Softmax(dim=1)]
    module = randomize(nn.Sequential(*layers))
    graph = lower(graph_of(module, (3, 13, 11)))
    assert titles(graph) == ["conv2d + relu6"] * 5 + ["avg_pool2d", "linear", "softmax"]
    x = images(3, (3, 13, 11))
    close(next(iter(outputs_batch(graph, x).values())), torch_values(module, x))


def test_branches_with_outputs_on_the_way() -> None:
    rng = np.random.default_rng(4)
    build = GraphBuilder("net")
    x = build.add("conv", ops.Conv2d(kernel=(2, 2)), build.input("x", (3, 6, 5)), weight=rng.normal(size=(4, 3, 2, 2)))
    relu = build.add("relu", ops.Activation(), x)
    pool = build.add("pool", ops.MaxPool2d(), relu)
    flat = build.add("flat", ops.Reshape(), build.add("drop", ops.Identity(), relu), shape=(80,))
    head = build.add("head", ops.Linear(), flat, weight=rng.normal(size=(7, 80)), bias=rng.normal(size=7))
    graph = build.graph(relu, pool, build.add("probability", ops.Softmax(), head), flat)
    result = lower(graph)
    assert titles(result) == ["conv2d + relu", "max_pool2d", "permute", "linear", "softmax"]
    same_values(graph, result)


def test_lowering_twice_changes_nothing() -> None:
    for graph in (lenet5(), cifar10()):
        once = lower(graph)
        assert lower(once).nodes == once.nodes


def random_layers(rng: random.Random, channels: int) -> list[nn.Module]:
    """A chain of layers on maps; some may not fit the map that they meet."""
    layers: list[nn.Module] = []
    for _ in range(rng.randint(1, 4)):
        kind = rng.choice(("conv", "conv", "depthwise", "max", "avg", "adaptive", "norm", "act", "drop", "view"))
        if kind in ("conv", "depthwise"):
            groups = channels if kind == "depthwise" else rng.choice([g for g in (1, 2, 3) if channels % g == 0])
            out = groups * rng.randint(1, 3)
            kernel, stride = (rng.randint(1, 4), rng.randint(1, 4)), (rng.randint(1, 3), rng.randint(1, 2))
            padding, dilation = (rng.randint(0, 3), rng.randint(0, 2)), (rng.randint(1, 2), rng.randint(1, 2))
            layers.append(nn.Conv2d(channels, out, kernel, stride, padding, dilation, groups, rng.random() < 0.7))
            channels = out
            if rng.random() < 0.5:
                layers.append(rng.choice((nn.ReLU(), nn.LeakyReLU(0.2), nn.LeakyReLU(-0.4))))
            if rng.random() < 0.5:
                layers.append(nn.MaxPool2d((rng.randint(1, 3), 2), (3, 2), ceil_mode=rng.random() < 0.5))
        elif kind in ("max", "avg"):
            kernel = rng.randint(1, 4)
            shape = (kernel, rng.choice((None, 1, 2, 3, 5)), rng.choice((0, kernel // 2)))
            ceil_mode = rng.random() < 0.5
            average = nn.AvgPool2d(*shape, ceil_mode, rng.random() < 0.5, rng.choice((None, 3)))
            layers.append(average if kind == "avg" else nn.MaxPool2d(*shape, ceil_mode=ceil_mode))
        elif kind == "view":
            layers += [nn.Flatten(), rng.choice((nn.ReLU(), nn.Tanh())), Restore()]
        elif kind == "adaptive":
            layers.append(nn.AdaptiveAvgPool2d((rng.randint(1, 4), rng.randint(1, 4))))
        elif kind == "norm":
            layers.append(nn.BatchNorm2d(channels))
        elif kind == "drop":
            layers.append(nn.Dropout())
        else:
            layers.append(rng.choice((nn.ReLU(), nn.LeakyReLU(0.2), nn.LeakyReLU(-0.4), nn.Sigmoid())))
    return layers


class Restore(nn.Module):
    """Stands for an ``Unflatten`` to the map in front of the last flatten, or another map of as many elements."""


HEADS = (
    lambda n, rng: [],
    lambda n, rng: [nn.Flatten()],
    lambda n, rng: [nn.Flatten(), nn.ReLU(), nn.Linear(n, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 3)],
    lambda n, rng: [nn.Flatten(), nn.BatchNorm1d(n), nn.Linear(n, 4, bias=False), nn.LogSoftmax(dim=1)],
    lambda n, rng: [nn.Flatten(), nn.BatchNorm1d(n), nn.Sigmoid(), nn.Linear(n, 4)],
    lambda n, rng: [nn.Flatten(), nn.Linear(n, 24), nn.ReLU(), nn.Unflatten(1, (2, 3, 4)), nn.Conv2d(2, 3, 2)],
)


def random_network(seed: int) -> tuple[nn.Sequential, tuple[int, int, int]] | None:
    """A network and its input shape, C, H and W pairwise different; None where the layers drawn do not fit."""
    rng = random.Random(seed)
    channels, height, width = rng.sample(range(1, 10), 3)
    value = torch.zeros(2, channels, height, width)
    layers: list[nn.Module] = []
    maps: list[tuple[int, ...]] = []
    try:
        for layer in random_layers(rng, channels):
            if isinstance(layer, nn.Flatten):
                maps.append(tuple(value.shape[1:]))
            if isinstance(layer, Restore):
                layer = nn.Unflatten(1, maps[-1] if rng.random() < 0.5 else (maps[-1][0], *maps[-1][:0:-1]))
            layers.append(layer.eval())
            with torch.no_grad():
                value = layers[-1](value)
        for layer in rng.choice(HEADS)(value[0].numel(), rng):
            layers.append(layer)
    except RuntimeError:
        return None
    return (nn.Sequential(*layers), (channels, height, width)) if value[0].numel() <= 1500 else None


@settings(max_examples=80, derandomize=True, deadline=None, database=None)
@given(st.integers(0, 2**32).map(random_network).filter(bool))
def test_random_networks_keep_torchs_values(network: tuple[nn.Sequential, tuple[int, int, int]]) -> None:
    module, shape = network
    graph = graph_of(randomize(module, seed=5), shape)
    x = images(2, shape, seed=6)
    expected = torch_values(module, x)
    (name,) = graph.outputs
    close(outputs_batch(graph, x)[name], expected)
    for step in PASSES:
        graph = step(graph)
        close(outputs_batch(graph, x)[name], expected)
    kinds = {node.op.kind for node in graph.nodes}
    assert not kinds & {"reshape", "identity", "batch_norm"}


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Sigmoid()])
def test_a_monotone_activation_is_found_on_either_side_of_the_pool(activation: nn.Module) -> None:
    shape = (2, 9, 7)
    for middle in ([activation, nn.MaxPool2d(2)], [nn.MaxPool2d(2), activation]):
        graph = lower(graph_of(randomize(nn.Sequential(nn.Conv2d(2, 3, 2), *middle)), shape))
        assert len(graph.nodes) == 1
        assert titles(graph)[0].startswith("conv2d + ")
