"""Specs guessed from weights: what they say is right, what they cannot know is marked, and filled in they convert."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.capture.helpers import assert_computes, lenet5
from uc_nn_pio.capture import capture
from uc_nn_pio.capture.guess import guessed_spec
from uc_nn_pio.cli import main
from uc_nn_pio.errors import ErrorGroup, UnsupportedError
from uc_nn_pio.spec import FILL_IN, load_spec


def guess(module: nn.Module, folder: Path) -> str:
    torch.save(module.state_dict(), folder / "net.pt")
    return guessed_spec(folder / "net.pt", "net")


def entries(text: str) -> list[str]:
    return [line.partition("   #")[0].strip("- ") for line in text.splitlines() if line.startswith("    - ")]


def test_lenet_lacks_what_no_weight_says(tmp_path: Path) -> None:
    text = guess(lenet5(), tmp_path)
    assert entries(text) == [
        "Conv2d: {name: conv1, out_channels: 6, kernel_size: 5, stride: FILL_IN, padding: FILL_IN}",
        "FILL_IN",
        "Conv2d: {name: conv2, out_channels: 16, kernel_size: 5, stride: FILL_IN, padding: FILL_IN}",
        "FILL_IN",
        "Flatten",
        "Linear: {name: fc1, out_features: 120}",
        "FILL_IN",
        "Linear: {name: fc2, out_features: 84}",
        "FILL_IN",
        "Linear: {name: fc3, out_features: 10}",
    ]
    assert "400 values = 16 channels x 25 pixels" in text
    assert "shape: [1, FILL_IN, FILL_IN]" in text


def test_it_is_read_only_when_it_is_filled_in(tmp_path: Path) -> None:
    module = lenet5()
    path = tmp_path / "net.yaml"
    path.write_text(guess(module, tmp_path), encoding="utf-8")
    with pytest.raises(ErrorGroup) as caught:
        load_spec(path)
    assert len(caught.value.errors) == path.read_text().count(FILL_IN) - 1, "all at once; the remark at the top is none"
    assert all("still to be filled in" in str(error) for error in caught.value.errors)
    text = (
        path.read_text()
        .replace("stride: FILL_IN, padding: FILL_IN", "stride: 1")
        .replace("[1, FILL_IN, FILL_IN]", "[1, 32, 32]")
    )
    both = "    - ReLU\n    - MaxPool2d: {kernel_size: 2}"
    text = re.sub(r"    - FILL_IN.*", both, text, count=2)
    text = re.sub(r"    - FILL_IN.*", "    - ReLU", text)
    path.write_text(text, encoding="utf-8")
    graph = capture(load_spec(path)).graph
    assert_computes(graph, module, (1, 32, 32), 2)


def test_numbers_in_names_tell_how_many_layers_are_missing(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(
                *(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
                *(nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(), nn.Conv2d(8, 4, 1)),
            )
            self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(36, 5), nn.PReLU(5), nn.Linear(5, 2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.classifier(self.features(x))

    module = Net().eval()
    text = guess(module, tmp_path)
    assert entries(text) == [
        "Conv2d: {name: features.0, out_channels: 8, kernel_size: 3, stride: FILL_IN, padding: FILL_IN, bias: false}",
        "BatchNorm2d: {name: features.1}",
        "FILL_IN: {name: features.2}",
        "Conv2d: {name: features.3, out_channels: 8, kernel_size: 3, groups: 8, stride: FILL_IN, padding: FILL_IN}",
        "FILL_IN: {name: features.4}",
        "Conv2d: {name: features.5, out_channels: 4, kernel_size: 1, stride: FILL_IN}",
        "FILL_IN",
        "Flatten",
        "Linear: {name: classifier.1, out_features: 5}",
        "PReLU: {name: classifier.2, num_parameters: 5}",
        "Linear: {name: classifier.3, out_features: 2}",
    ]
    text = re.sub(r", stride: FILL_IN(, padding: FILL_IN)?", "", text).replace("FILL_IN: {name", "ReLU: {name")
    text = re.sub(r"    - FILL_IN .*\n", "", text).replace("[3, FILL_IN, FILL_IN]", "[3, 7, 7]")
    path = tmp_path / "net.yaml"
    path.write_text(text, encoding="utf-8")
    graph = capture(load_spec(path)).graph
    assert_computes(graph, module, (3, 7, 7), 2)


def test_other_layers(tmp_path: Path) -> None:
    text = guess(
        nn.ModuleDict({"a": nn.Conv1d(2, 4, 3), "norm": nn.GroupNorm(2, 4), "up": nn.ConvTranspose1d(4, 3, 2)}),
        tmp_path,
    )
    assert "Conv1d: {name: a, out_channels: 4" in text
    assert "FILL_IN: {name: norm}   # LayerNorm: normalized_shape: [4]? GroupNorm" in text
    assert "ConvTranspose1d: {name: up, out_channels: 3, kernel_size: 2" in text
    assert "shape: [2, FILL_IN]" in text
    assert "shape: [6]" in guess(nn.ModuleDict({"a": nn.Linear(6, 2)}), tmp_path)
    branch = guess(nn.ModuleDict({"a": nn.Conv2d(2, 5, 1), "b": nn.Conv2d(2, 4, 1)}), tmp_path)
    assert "a branch?" in branch
    with pytest.raises(UnsupportedError, match="recurrent"):
        guess(nn.ModuleDict({"a": nn.LSTM(3, 4)}), tmp_path)
    with pytest.raises(UnsupportedError, match="the network itself is a recurrent layer"):
        guess(nn.GRU(3, 4), tmp_path)
    with pytest.raises(UnsupportedError, match="what kind of layer a is cannot be told"):
        guess(nn.ModuleDict({"a": nn.Conv3d(3, 4, 1)}), tmp_path)


def test_the_name_is_one_that_a_model_may_have(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Linear(2, 1)).state_dict(), tmp_path / "net.pt")
    for name, wanted in (("lenet-5.v2", "lenet_5_v2"), ("float", "float_net"), ("--", "network"), ("ok", "ok")):
        assert f"\nname: {wanted}\n" in guessed_spec(tmp_path / "net.pt", name)


def test_the_command_writes_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file(lenet5().state_dict(), tmp_path / "net.safetensors")
    out = tmp_path / "models" / "digits.yaml"
    assert main(["guess", str(tmp_path / "net.safetensors"), "-o", str(out)]) == 0
    assert "name: digits" in out.read_text() and "weights: ../net.safetensors" in out.read_text()
    assert main(["guess", str(tmp_path / "net.safetensors"), "-o", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["guess", str(tmp_path / "net.safetensors")]) == 0
    assert "Conv2d: {name: conv1" in capsys.readouterr().out
    assert main(["convert", str(out)]) == 2
    assert "still to be filled in" in capsys.readouterr().err


def test_layers_of_a_nested_sequential_stand_together(tmp_path: Path) -> None:
    torch.save({"a.0.weight": torch.zeros(2, 2, 1, 1)}, tmp_path / "net.pt")
    layers = "[{Conv2d: {name: a.0, out_channels: 2, kernel_size: 1}}, ReLU, {ReLU: {name: a.1}}]"
    path = tmp_path / "net.yaml"
    path.write_text(f"spec: 1\nname: net\nmodel: {{layers: {layers}, weights: net.pt}}\ninput: {{shape: [2, 3, 3]}}\n")
    with pytest.raises(Exception, match="layers of a do not stand together"):
        capture(load_spec(path))
