"""MACs and parameters, against published figures of the two networks of the paper."""

from __future__ import annotations

from torch import nn

from tests.graph.torch_graph import graph_of
from uc_nn_pio.graph.cost import macs, parameters, total_macs
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.lower import lower


def lenet5() -> Graph:
    layers = [nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)]
    head = [nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
    return graph_of(nn.Sequential(*layers, *head), (1, 32, 32))


def cifar10() -> Graph:
    """The network of the paper's section 5: three 5x5 convolutions, each with ReLU and a 2x2 pool."""
    layers: list[nn.Module] = []
    for channels, out in ((3, 32), (32, 16), (16, 32)):
        layers += [nn.Conv2d(channels, out, 5, padding=2, bias=False), nn.ReLU(), nn.MaxPool2d(2)]
    return graph_of(nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10, bias=False)), (3, 32, 32))


def test_lenet5() -> None:
    for graph in (lenet5(), lower(lenet5())):
        assert total_macs(graph) == 416_520
        assert parameters(graph) == 61_706


def test_cifar10() -> None:
    for graph in (cifar10(), lower(cifar10())):
        assert total_macs(graph) == 6_558_720
        assert parameters(graph) == 33_120


def test_macs_by_layer() -> None:
    graph = lower(lenet5())
    assert [macs(graph, node) for node in graph.nodes] == [117_600, 240_000, 48_000, 10_080, 840]


def test_groups_divide_the_macs() -> None:
    graph = graph_of(nn.Sequential(nn.Conv2d(6, 12, (3, 2), groups=3), nn.Sigmoid()), (6, 9, 7))
    assert [macs(graph, node) for node in graph.nodes] == [12 * 7 * 6 * 3 * 2 * 2, 0]


def test_statistics_of_a_batch_norm_are_no_parameters() -> None:
    module = nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5))
    assert parameters(graph_of(module, (2, 6, 7))) == sum(p.numel() for p in module.parameters())
