"""Names come from module paths, are C identifiers, and differ in more than case."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.capture.helpers import assert_same_graph, capture_export
from uc_nn_pio.capture import capture_module
from uc_nn_pio.capture.mapping import Names


class Block(nn.Module):
    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.conv(x))


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(Block(1, 2), Block(2, 3), nn.MaxPool2d(2))
        self.input = nn.Linear(3 * 2 * 3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.features(x))
        x = F.relu(self.input(x.view(x.size(0), -1)))
        return F.log_softmax(x, dim=1)


def test_nested_modules_functions_and_taken_names() -> None:
    graph = capture_module(Nested(), (1, 4, 6), "nested")
    assert [node.name for node in graph.nodes] == [
        "features_0_conv",
        "features_0_relu",
        "features_1_conv",
        "features_1_relu",
        "features_2",
        "relu",
        "flatten",
        "input_1",  # the graph's input is called input
        "relu_1",
        "log_softmax",
    ]
    assert [node.source.layer for node in graph.nodes[:3]] == [
        "features.0.conv",
        "relu in features.0",
        "features.1.conv",
    ]
    assert graph.inputs == ("input",)
    assert graph.nodes[0].constants == {"weight": "features_0_conv_weight", "bias": "features_0_conv_bias"}


def test_an_export_has_the_same_names(tmp_path: Path) -> None:
    network = Nested()
    live = capture_module(network, (1, 4, 6), "net")
    assert_same_graph(live, capture_export(network, (1, 4, 6), tmp_path / "n.pt2"))
    assert_same_graph(live, capture_export(network, (1, 4, 6), tmp_path / "core.pt2", core=True))


def test_tensors_are_called_as_the_nodes_that_make_them() -> None:
    graph = capture_module(Nested(), (1, 4, 6), "nested")
    assert [node.output for node in graph.nodes] == [node.name for node in graph.nodes]


def test_the_users_line_is_known() -> None:
    graph = capture_module(Nested(), (1, 4, 6), "nested")
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    for node in graph.nodes:
        assert node.source.file == Path(__file__).name
    (softmax,) = [node for node in graph.nodes if node.name == "log_softmax"]
    assert "F.log_softmax" in lines[softmax.source.line - 1]


def test_any_module_name_becomes_a_c_identifier() -> None:
    network = nn.Sequential()
    for name in ("conv-1", "größe", "3x3", "Conv_1", "*/ #include"):
        network.add_module(name, nn.Conv2d(1, 1, 1))
    names = [node.name for node in capture_module(network, (1, 4, 6), "net").nodes]
    assert all(name.isidentifier() and name.isascii() for name in names)
    assert len({name.lower() for name in names}) == len(names)


def test_names_are_stable_and_unique() -> None:
    names = Names()
    assert [names.fresh(wish) for wish in ("a", "A", "a.b", "a_b", "", "0", "__x__")] == [
        "a",
        "A_1",
        "a_b",
        "a_b_1",
        "layer",
        "layer_0",
        "x",
    ]
