"""What no kernel computes: named with its layer and line, all at once, each with the nearest that is supported."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.capture.helpers import export_spec, save_export
from uc_nn_pio.capture import capture, capture_module
from uc_nn_pio.errors import ErrorGroup, UcNnError, UnsupportedError


class Net(nn.Module):
    """One function behind one convolution."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 1)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self.conv(x))


def error_of(module: nn.Module, shape: tuple[int, ...] = (2, 6, 4)) -> UcNnError:
    with pytest.raises(UcNnError) as caught:
        capture_module(module, shape, "net")
    assert caught.value.next_step or isinstance(caught.value, ErrorGroup)
    return caught.value


LAYERS = {
    "mish": (nn.Mish(), "mish", "silu"),
    "adaptive max": (nn.AdaptiveMaxPool2d(4), "adaptive_max_pool2d from [6, 4] to [4, 4]", "max-pool"),
    "upsample": (nn.Upsample(scale_factor=2, mode="bilinear"), "upsample_bilinear2d", "nearest"),
    "softplus": (nn.Softplus(), "softplus", "elu"),
    "batch statistics": (
        nn.BatchNorm2d(4, track_running_stats=False),
        "statistics from the batch",
        "track_running_stats",
    ),
    "local response": (nn.LocalResponseNorm(2), "not supported", ""),
}


@pytest.mark.parametrize(("layer", "what", "cure"), LAYERS.values(), ids=LAYERS)
def test_layers(layer: nn.Module, what: str, cure: str) -> None:
    text = str(error_of(nn.Sequential(nn.Conv2d(2, 4, 1), layer)))
    assert what in text
    assert cure in text
    assert text.startswith(("1:", "1 (", "pad in 1"))


FUNCTIONS = {
    "cat along the batch": (lambda x: torch.cat([x, x], 0).flatten(1)[:1], "batch axis", "dim=1"),
    "quotient": (lambda x: x / x.sigmoid(), "div by a value that is computed", "multiply"),
    "cube": (lambda x: x**3, "power of 3", "x * x"),
    "places": (lambda x: x.max(1, keepdim=True)[1].float(), "the place of the max", "_argmax()"),
    "index": (lambda x: x[:, x.flatten()[:1].long()], "index", "constant"),
    "infinite padding": (lambda x: F.pad(x, (1, 1), value=-math.inf), "padding with -inf", "max-pool"),
    "slice of the batch": (lambda x: x.select(0, 0), "batch axis", "keep the first axis"),
    "cubes": (lambda x: F.max_pool3d(x, 1), "max_pool3d", "max_pool2d"),
    "mean of all": (lambda x: x.mean((0, 1), keepdim=True), "mean over the batch axis", "AdaptiveAvgPool2d"),
    "softmax over the batch": (lambda x: F.softmax(x, 0), "batch axis (dim=0)", "dim=1"),
    "flatten all": (lambda x: x.flatten(), "batch axis", "torch.flatten(x, 1)"),
    "view as rows": (lambda x: x.view(4, -1), "batch axis", "torch.flatten(x, 1)"),
    "squeezed batch": (lambda x: x.squeeze(0), "batch axis", "name the axes"),
    "dropout that stays": (lambda x: F.dropout(x, 0.5), "dropout that is active", "self.training"),
    "half": (lambda x: x.half(), "float16", "remove the conversion"),
    "max": (lambda x: F.max_pool2d(x, 2, return_indices=True)[1].float(), "return_indices", "without"),
    "clamp": (lambda x: x.clamp(2, 1), "clamp from 2 to 1", "the lower number first"),
}


@pytest.mark.parametrize(("function", "what", "cure"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions(function: Callable[[torch.Tensor], torch.Tensor], what: str, cure: str) -> None:
    text = str(error_of(Net(function)))
    assert what in text
    assert cure in text
    assert f"({Path(__file__).name}:" in text.splitlines()[0]


class Many(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(2, 4, 1), nn.Mish(), nn.Hardshrink())
        self.head = nn.ModuleList([nn.Softplus()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.head[0](self.features(x))
        return F.softplus(x) / x  # both on this line


def test_all_are_told_at_once_with_layer_and_line(tmp_path: Path) -> None:
    here = Path(__file__)
    lines = here.read_text(encoding="utf-8").splitlines()
    both = next(number for number, line in enumerate(lines, 1) if line.endswith("# both on this line"))
    path = save_export(Many(), (2, 6, 4), tmp_path / "many.pt2")
    for take in (lambda: capture_module(Many(), (2, 6, 4), "net"), lambda: capture(export_spec(path, (2, 6, 4)))):
        with pytest.raises(ErrorGroup) as caught:
            take()
        errors = caught.value.errors
        assert all(isinstance(error, UnsupportedError) for error in errors)
        assert [str(error.where).partition(" (")[0] for error in errors] == [
            "features.1",
            "features.2",
            "head.0",
            "softplus",
            "div",
        ]
        assert str(errors[3].where) == f"softplus ({here.name}:{both})"


def test_values_changed_behind_a_view_are_refused() -> None:
    class Hidden(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.sigmoid()
            F.relu_(y.view(1, -1))
            return y

    assert "relu" in str(error_of(Hidden()))


def test_training_mode_exports_are_refused(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4)).train()
    program = torch.export.export(network, (torch.zeros(1, 2, 6, 4),))
    torch.export.save(program, tmp_path / "train.pt2")
    torch.export.save(program.run_decompositions(), tmp_path / "core.pt2")
    for name in ("train", "core"):
        with pytest.raises(UcNnError, match=r"(?s)statistics|training mode") as caught:
            capture(export_spec(tmp_path / f"{name}.pt2", (2, 6, 4)))
        assert "model.eval()" in str(caught.value)


def test_an_export_for_another_shape_is_named(tmp_path: Path) -> None:
    path = save_export(nn.Conv2d(2, 4, 1), (2, 6, 4), tmp_path / "x.pt2")
    with pytest.raises(UcNnError, match=r"\[1, 2, 6, 4\], not \[1, 2, 8, 8\]"):
        capture(export_spec(path, (2, 8, 8)))


def test_control_flow_in_an_export_is_named(tmp_path: Path) -> None:
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cond(x.sum() > 0, lambda x: x.relu(), lambda x: x.sigmoid(), (x,))

    path = save_export(Branch(), (2, 6, 4), tmp_path / "x.pt2")
    for take in (lambda: capture_module(Branch(), (2, 6, 4), "net"), lambda: capture(export_spec(path, (2, 6, 4)))):
        with pytest.raises(UcNnError, match="cond"):
            take()
