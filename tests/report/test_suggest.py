"""Which layer to narrow: a narrowed network is the one that a user would build, and so are its figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.capture.helpers import assert_computes
from uc_nn_pio import estimate
from uc_nn_pio.boards import load_board
from uc_nn_pio.capture import capture_module
from uc_nn_pio.cli import main
from uc_nn_pio.converter import suggest
from uc_nn_pio.lower import lower
from uc_nn_pio.lower.narrow import narrowed
from uc_nn_pio.resources import resources
from uc_nn_pio.spec import load_spec

CIFAR = resources("examples") / "cifar10_table1" / "models"


def network(first: int = 6, second: int = 8) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(2, first, 3), nn.ReLU(), nn.Conv2d(first, first, 3, padding=1, groups=first), nn.PReLU(first)),
        *(nn.Conv2d(first, second, 1), nn.Sigmoid(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(second * 9, 5), nn.ReLU(), nn.Linear(5, 3)),
    )


def test_a_narrowed_network_has_the_first_channels() -> None:
    torch.manual_seed(1)
    whole, part = network().eval(), network(4).eval()
    state = whole.state_dict()
    for name, parameter in part.state_dict().items():
        own = state[name]
        state[name] = own[tuple(slice(0, size) for size in parameter.shape)]
    part.load_state_dict(state)
    graph = lower(capture_module(whole, (2, 8, 8), "net"))
    fewer = narrowed(graph, graph.nodes[0], 4)
    assert_computes(fewer, part, (2, 8, 8), 3)
    assert graph.tensor(graph.nodes[0].output).shape[0] == 6, "the graph itself stays"


def test_a_linear_behind_a_map_loses_its_columns() -> None:
    torch.manual_seed(1)
    whole, part = network().eval(), network(6, 5).eval()
    state = whole.state_dict()
    columns = state["8.weight"].reshape(5, 8, 9)[:, :5].reshape(5, 45)
    state |= {"4.weight": state["4.weight"][:5], "4.bias": state["4.bias"][:5], "8.weight": columns}
    part.load_state_dict(state)
    graph = lower(capture_module(whole, (2, 8, 8), "net"))
    place = next(i for i, node in enumerate(graph.nodes) if node.name == "layer_4")
    fewer = narrowed(graph, graph.nodes[place], 5)
    assert_computes(fewer, part, (2, 8, 8), 3)


def test_what_cannot_be_narrower_is_left() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 4, 1), nn.Conv2d(2, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a(x) + self.b(x)

    graph = lower(capture_module(Sum(), (2, 4, 4), "net"))
    assert narrowed(graph, graph.nodes[0], 3) is None
    graph = lower(capture_module(network(), (2, 8, 8), "net"))
    assert narrowed(graph, graph.nodes[-1], 2) is None, "its channels are the network's output"
    assert narrowed(graph, graph.nodes[0], 0) is None


def test_the_figures_are_those_of_the_narrower_network() -> None:
    board = load_board("hifive1")
    spec = load_spec(CIFAR / "cifar10.yaml")
    found = suggest(spec, board)
    assert found.budget_bytes == 12_288 and {each.layer for each in found.suggestions} == {"conv1", "conv2", "conv3"}
    conv2 = next(each for each in found.suggestions if each.layer == "conv2")
    assert (conv2.channels, conv2.fewer) == (16, 12)

    class Narrower(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                *(nn.Conv2d(3, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Conv2d(32, 12, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Conv2d(12, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 10)),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers(x)

    built = estimate(Narrower(), (3, 32, 32), memory=spec.memory)
    assert conv2.figures.ram_bytes == built.ram_bytes
    assert conv2.figures.flash_bytes == pytest.approx(built.flash_bytes, rel=0.01)
    assert conv2.figures.cycles == pytest.approx(built.cycles, rel=0.02)
    cycles = [each.figures.cycles for each in found.suggestions]
    assert cycles == sorted(cycles) and cycles[0] < found.now.cycles


def test_over_the_budget_the_command_says_what_would_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in ("cifar10.py", "cifar10.pt", "data"):
        (tmp_path / path).symlink_to(CIFAR / path)
    text = (CIFAR / "cifar10.yaml").read_text(encoding="utf-8")
    spec = tmp_path / "cifar10.yaml"
    spec.write_text(text.replace("schedule: pingpong", "schedule: pingpong, ram_budget: 9700"), encoding="utf-8")
    assert main(["report", str(spec), "--board", "hifive1", "--suggest"]) == 1
    first, *rows = (line for line in capsys.readouterr().out.splitlines() if "->" in line or "budget" in line)
    assert "the budget is 9,700 B" in first and "too few" in first
    assert rows[0].startswith("conv1") and rows[0].endswith("fits")
    assert not rows[1].endswith("fits")
    assert main(["report", str(spec), "--board", "hifive1", "--suggest", "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["suggestions"][0]["layer"] == "conv1"
    assert data["suggestions"][0]["figures"]["ram_bytes"] <= 9700 < data["now"]["ram_bytes"]


def test_without_a_board_weights_are_what_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(CIFAR / "cifar10.yaml"), "--suggest"]) == 0
    out = capsys.readouterr().out
    assert "budget" not in out and "%" not in out
    assert [line.split()[0] for line in out.splitlines() if "->" in line] == ["conv2", "conv3", "conv1"]
