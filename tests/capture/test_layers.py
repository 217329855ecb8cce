"""The inline list: sizes inferred, mistakes shown with their place in the spec."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.capture.helpers import write_spec
from uc_nn_pio.capture import capture, load_model
from uc_nn_pio.errors import ModelError

EVERY = """
  layers:
    - Conv2d: {out_channels: 4, kernel_size: [3, 2], stride: 1, padding: same, groups: 2}
    - BatchNorm2d
    - LeakyReLU: {negative_slope: 0.1}
    - MaxPool2d: {kernel_size: 2, ceil_mode: true}
    - Dropout2d
    - Conv2d: {name: middle, out_channels: 3, kernel_size: 1, bias: false}
    - ReLU6
    - AvgPool2d: {kernel_size: 2, stride: 1}
    - Sigmoid
    - AdaptiveAvgPool2d: {output_size: [2, null]}
    - Tanh
    - Flatten
    - Linear: {out_features: 6}
    - BatchNorm1d
    - ReLU
    - Identity
    - Dropout: {p: 0.1}
    - Linear: {out_features: 5, bias: false}
    - LogSoftmax: {dim: 1}
  weights: net.pt
"""


def _spec(folder: Path, text: str, shape: str = "[2, 9, 7]") -> object:
    return write_spec(folder, text.strip().replace("\n  ", "\n"), shape, "net")


def test_every_layer_with_inferred_sizes(tmp_path: Path) -> None:
    nn = torch.nn
    written = nn.Sequential()
    for index, layer in enumerate(
        (
            nn.Conv2d(2, 4, (3, 2), padding="same", groups=2),
            nn.BatchNorm2d(4),
            nn.LeakyReLU(0.1),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Dropout2d(),
            nn.Conv2d(4, 3, 1, bias=False),
            nn.ReLU6(),
            nn.AvgPool2d(2, 1),
            nn.Sigmoid(),
            nn.AdaptiveAvgPool2d((2, None)),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(18, 6),
            nn.BatchNorm1d(6),
            nn.ReLU(),
            nn.Identity(),
            nn.Dropout(0.1),
            nn.Linear(6, 5, bias=False),
            nn.LogSoftmax(1),
        )
    ):
        written.add_module("middle" if index == 5 else str(index), layer)
    written.eval()
    torch.save(written.state_dict(), tmp_path / "net.pt")
    spec = _spec(tmp_path, EVERY)
    x = torch.rand(1, 2, 9, 7)
    torch.testing.assert_close(load_model(spec)(x), written(x), rtol=0, atol=0)
    graph = capture(spec).graph
    assert [node.source.layer for node in graph.nodes if node.op.kind in ("conv2d", "linear")] == [
        "0",
        "middle",
        "12",
        "17",
    ]
    assert {node.name for node in graph.nodes if node.op.kind == "conv2d"} == {"layer_0", "middle"}
    for node in graph.nodes:
        assert node.source.file == str(spec.path)
    lines = spec.path.read_text(encoding="utf-8").splitlines()
    assert "name: middle" in lines[next(n for n in graph.nodes if n.name == "middle").source.line - 1]


MISTAKES = {
    "too small": ("- Conv2d: {out_channels: 4, kernel_size: 12}", "shape [2, 9, 7]"),
    "channels": ("- Conv2d: {in_channels: 3, out_channels: 4, kernel_size: 1}", "shape [2, 9, 7]"),
    "groups": ("- Conv2d: {out_channels: 3, kernel_size: 1, groups: 2}", "divisible"),
    "not flat": ("- Linear: {out_features: 3}", "Flatten"),
    "features": ("- Flatten\n    - Linear: {in_features: 5, out_features: 3}", "shape [126]"),
    "pool padding": ("- MaxPool2d: {kernel_size: 2, padding: 2}", "pad"),
    "batch norm": ("- Flatten\n    - BatchNorm2d", "BatchNorm2d"),
    "unflatten": ("- Flatten\n    - Unflatten: {dim: 1, unflattened_size: [5, 5]}", "Unflatten"),
    "indices": ("- MaxPool2d: {kernel_size: 2, return_indices: true}", "return_indices"),
    "reserved": ("- ReLU: {name: forward}", "'forward'"),
    "dotted": ("- ReLU: {name: a..b}", "'a..b'"),
    "stride over same": ("- Conv2d: {out_channels: 4, kernel_size: 3, stride: 2, padding: same}", "same"),
}


@pytest.mark.parametrize(("layers", "says"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_show_their_place(tmp_path: Path, layers: str, says: str) -> None:
    torch.save({"0.weight": torch.zeros(1)}, tmp_path / "net.pt")
    spec = _spec(tmp_path, f"layers:\n    {layers}\n  weights: net.pt")
    with pytest.raises(ModelError) as caught:
        capture(spec)
    text = str(caught.value)
    assert says in text
    last = len(layers.splitlines()) - 1
    assert str(spec.location("model", "layers", last)) in text
    assert "Traceback" not in text


def test_weights_of_another_list_do_not_match(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(4, 2, 1, 1)}, tmp_path / "net.pt")
    spec = _spec(tmp_path, "layers:\n    - Conv2d: {out_channels: 4, kernel_size: 1, bias: false}\n  weights: net.pt")
    with pytest.raises(ModelError, match=r"(?s)missing: +0\.weight \[4, 2, 1, 1\].*unexpected: conv\.weight"):
        capture(spec)
