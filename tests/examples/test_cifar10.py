"""The example of the paper's table 1: its firmware in 16 KiB, its weights, and how they were trained."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.firmware.build import build_firmware
from tests.table1 import EXAMPLE, Table1Net
from uc_nn_pio.boards import load_board
from uc_nn_pio.converter import Conversion, convert
from uc_nn_pio.reference import integer
from uc_nn_pio.samples import network_input
from uc_nn_pio.spec import load_spec
from uc_nn_pio.virtual import VirtualBoard

MODULES = ("images", "train", "models", "models.cifar10")
SKIES = ((120, 170, 230), (70, 110, 80), (200, 190, 180), (40, 60, 110), (150, 150, 155))
GROUNDS = ((60, 90, 140), (110, 90, 60), (90, 140, 70), (130, 125, 120))
THINGS = ((190, 60, 50), (240, 240, 235), (140, 100, 60))


@pytest.fixture(scope="module")
def train() -> Iterator[ModuleType]:
    """``train.py`` as Python finds it when it is run as a script."""
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.path.insert(0, str(EXAMPLE))
    try:
        yield importlib.import_module("train")
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in MODULES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def conversion() -> Conversion:
    return convert(load_spec(EXAMPLE / "models" / "cifar10.yaml"), load_board("hifive1"))


def drawn(picture: int) -> np.ndarray:
    """(3, 32, 32) uint8: what ``src/main.c`` draws."""
    y, x = np.mgrid[:32, :32]
    sky, ground = np.array(SKIES[picture % 5]), np.array(GROUNDS[picture % 4])
    colors = (sky * (32 - y[..., None]) + ground * y[..., None]) // 32
    dx, dy, reach = x - (12 + picture % 3 * 4), y - (14 + picture % 2 * 4), 5 + picture % 4
    disc = dx**2 + dy**2 <= reach**2
    box = (abs(dx) <= 2 * reach) & (2 * abs(dy) <= reach)
    colors[box if picture % 2 else disc] = THINGS[picture % 3]
    for row in range(32):
        random = 1 + picture * 32 + row
        for column in range(32):
            random ^= random << 13 & 0xFFFFFFFF
            random ^= random >> 17
            random ^= random << 5 & 0xFFFFFFFF
            colors[row, column] += [random & 15, random >> 4 & 15, random >> 8 & 15]
    return colors.astype(np.uint8).transpose(2, 0, 1)


def test_the_firmware_fits_16_kib_and_computes_the_references_integers(conversion: Conversion, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name, text in conversion.files.items():
        (model / name).write_text(text)
    elf = build_firmware(tmp_path, main=EXAMPLE / "src" / "main.c", model=model, flags=tuple(conversion.compile_flags))
    board = VirtualBoard(elf, "hifive1_virtual", camera=False)
    assert board.run(until="done", max_instructions=400_000_000).reason == "until", board.text

    graph, spec = conversion.design.graph, conversion.design.spec
    pictures = np.stack([drawn(picture) for picture in range(10)])
    inputs = network_input(pictures, spec.input.preprocess, "network")
    quant = graph.tensor(graph.inputs[0]).quant
    scaled = inputs.astype(np.float64) / np.float64(quant.scale)
    q = np.clip(np.trunc(scaled + np.copysign(0.5, scaled)) + quant.zero_point, -128, 127).astype(np.int8)
    (scores,) = integer.outputs_batch(graph, q).values()
    labels = [spec.output.labels[best] for best in scores.argmax(1)]
    assert re.findall(r"PREDICTION: (\S+)", board.text) == labels
    assert len(set(labels)) > 2, "the drawings are not all the same to the network"
    checksum = 0x811C9DC5
    for byte in scores.astype(np.uint8).reshape(-1).tolist():
        checksum = (checksum ^ byte) * 0x01000193 & 0xFFFFFFFF
    assert f"checksum 0x{checksum:08X}" in board.text


def test_the_design_reaches_its_bytes(conversion: Conversion) -> None:
    plan = conversion.design.plan
    assert plan.activation_bytes == 11264
    assert plan.total_bytes <= 12_000


def test_the_ranges_are_those_of_the_committed_weights(train: ModuleType) -> None:
    """Ranges fit by name only. On noise around the pixels' mean no tensor may leave its range by far, nor use little of
    it."""
    network = Table1Net().eval()
    network.load_state_dict(torch.load(EXAMPLE / "models" / "cifar10.pt", weights_only=True))
    graph = convert(load_spec(EXAMPLE / "models" / "cifar10.yaml"), load_board("hifive1")).design.graph
    x = train.scaled(torch.from_numpy(np.stack([drawn(picture) for picture in range(10)])))
    with torch.inference_mode():
        for layer, names in (
            ("pool1", "conv1 relu1 pool1"),
            ("pool2", "conv2 relu2 pool2"),
            ("pool3", "conv3 relu3 pool3"),
        ):
            for name in names.split():
                x = network.get_submodule(name)(x)
            quant = graph.tensor(layer).quant
            high = float(quant.scale) * (127 - quant.zero_point)
            assert 0.2 * high < float(x.max()) < 2 * high, layer


def test_folding_keeps_what_the_trained_network_computes(train: ModuleType) -> None:
    torch.manual_seed(1)
    trained = train.Trained()
    x = torch.randn(64, 3, 32, 32)
    trained(x)  # in training mode: batch norm takes statistics
    for norm in trained.norms:
        torch.nn.init.uniform_(norm.weight, 0.5, 2)
        torch.nn.init.normal_(norm.bias)
    trained.eval()
    with torch.inference_mode():
        assert torch.allclose(trained.folded()(x), trained(x), atol=1e-4)


def test_augmented_images_are_moved_mirrored_originals(train: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "COLOR", 0.0)
    torch.manual_seed(0)
    x = torch.randn(20, 3, 32, 32)
    for before, after in zip(x, train.augmented(x), strict=True):
        padded = functional.pad(before[None], (4,) * 4, mode="reflect")[0]
        views = [padded[:, t : t + 32, left : left + 32] for t in range(9) for left in range(9)]
        mirrored = functional.pad(before.flip(2)[None], (4,) * 4, mode="reflect")[0]
        views += [mirrored[:, t : t + 32, left : left + 32] for t in range(9) for left in range(9)]
        assert any(torch.allclose(view, after, atol=1e-5) for view in views)


def file_of(folder: Path, shift: int, **change: np.ndarray) -> Path:
    """Images whose color says the class, with labels ``shift`` places early."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 400), ("test", 40)):
        y = rng.integers(0, 10, count).astype(np.uint8)
        x = rng.integers(0, 40, (count, 3, 32, 32)) + 20 * y[:, None, None, None] * np.array([1, 0, 1])[:, None, None]
        arrays |= {f"{part}_x": x.astype(np.uint8), f"{part}_y": np.roll(y, -shift)}
    path = folder / "images.npz"
    np.savez(path, **(arrays | change))
    return path


def test_labels_that_stand_early_are_found_and_moved(
    train: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = file_of(tmp_path, shift=5)
    assert train.main([str(path), "--output", str(tmp_path / "net.pt")]) == 2
    assert "--label-shift 5" in capsys.readouterr().err and not (tmp_path / "net.pt").exists()
    data, test = sys.modules["images"].load(path, shift=5)
    assert len(data.x) == len(data.y) == 395 and len(test.x) == 35
    assert np.array_equal(data.y, np.round((data.x[:, 0].mean((1, 2)) - 19.5) / 20))


def test_a_short_training_learns_and_writes_the_papers_network(train: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "net.pt"
    assert train.main([str(file_of(tmp_path, 0)), "--epochs", "2", "--output", str(out)]) == 0
    network = Table1Net().eval()
    network.load_state_dict(torch.load(out, weights_only=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_y": np.full(400, 99, np.uint8)}, "CIFAR-100"),
        ({"test_x": np.zeros((40, 32, 32, 3), np.uint8)}, "uint8 (N, 3, 32, 32)"),
        ({"train_x": np.zeros((400, 3, 32, 32), np.float32)}, "float32"),
    ],
)
def test_files_that_are_something_else(
    train: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture, change: dict, message: str
) -> None:
    assert train.main([str(file_of(tmp_path, 0, **change))]) == 2
    assert message in capsys.readouterr().err


def test_no_file_and_no_archive(train: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    for path in ("nothing.npz", "text.npz"):
        assert train.main([str(tmp_path / path)]) == 2
        assert "next: give an .npz file" in capsys.readouterr().err
