"""Validation on the virtual board: the real firmware, the real UART of the board, noise on the line and none."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.emit.harness import without_weights
from tests.modules import load_module
from uc_nn_pio import cli, validate
from uc_nn_pio.boards import load_board
from uc_nn_pio.converter import Conversion, convert
from uc_nn_pio.errors import UcNnError
from uc_nn_pio.graph.quant import to_int8
from uc_nn_pio.resources import resources
from uc_nn_pio.spec import load_spec
from uc_nn_pio.validation import load_inputs
from uc_nn_pio.validation.board import build_firmware, on_a_board, virtual_board
from uc_nn_pio.validation.link import PATIENCE_S, Restarted, serial_link

SPEC = resources("examples") / "lenet5_camera" / "models" / "lenet5.yaml"


def test_int8_streamed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["validate", str(SPEC), "--on", "virtual", "--samples", "6", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] and found["integer_differences"] == 0 and found["outputs"] == 60
    assert found["samples"] == 6 and found["same_class"] == 6 and found["core_hz"] == 320_000_000
    predicted = convert(SPEC, load_board("hifive1_virtual")).report["predicted"]["cycles"]
    assert all(abs(cycles / predicted - 1) < 0.1 for cycles in found["cycles"])
    assert sum(map(sum, found["confusion"])) == 6 and found["asked_again"] == 0
    layers = found["layers"]
    assert [layer["name"] for layer in layers] == ["conv1", "conv2", "fc1", "fc2", "fc3"]
    assert all(layer["agrees"] and abs(layer["cycles"] / layer["predicted"] - 1) < 0.15 for layer in layers)
    assert sum(layer["cycles"] for layer in layers) == pytest.approx(found["cycles"][found["traced_sample"]], rel=0.02)


def test_noise_on_the_line() -> None:
    found = validate(SPEC, "virtual", samples=3, faults=["uart-noise=0.0003"])
    assert found.passed and found.integer_differences == 0 and found.asked_again > 0


def in_float32(folder: Path) -> Path:
    """The example's spec, in float32 and with whole maps."""
    text = SPEC.read_text(encoding="utf-8")
    for old, new in (("precision: int8", "precision: float32"), ("schedule: streamed", "schedule: pingpong")):
        assert old in text
        text = text.replace(old, new)
    for path in ("lenet5.py", "lenet5.pt", "data"):
        (folder / path).symlink_to(SPEC.parent / path)
    spec = folder / "lenet5.yaml"
    spec.write_text(text)
    return spec


def test_float32_with_whole_maps(tmp_path: Path) -> None:
    found = validate(in_float32(tmp_path), "virtual", samples=2)
    assert found.passed and found.same_class == 2 and found.worst_difference < 1e-4
    assert found.integer_differences is None and found.diverges is None and len(found.layers) == 5


def test_over_a_port_that_pyserial_opens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a real board: the firmware is made by one command, and met by another."""
    elf = tmp_path / "validate.elf"
    assert cli.main(["validate", str(SPEC), "--board", "hifive1", "--firmware", str(elf)]) == 0
    assert "program it" in capsys.readouterr().out
    with virtual_board(elf, load_board("hifive1_virtual")) as running:
        found = validate(SPEC, f"serial:{running.port}", samples=2)
    assert found.passed and found.samples == 2 and found.target.startswith("serial:")


def spoil(monkeypatch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    """Firmware is made with a changed ``lenet5.c``."""
    real = Conversion.traced.fget

    def spoiled(conversion: Conversion) -> dict[str, str]:
        files = real(conversion)
        changed = change(files["lenet5.c"])
        assert changed != files["lenet5.c"]
        return {**files, "lenet5.c": changed}

    monkeypatch.setattr(Conversion, "traced", property(spoiled))


def test_a_wrong_layer_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A firmware whose second layer has other weights than the reference: the first is right, the second is named."""
    spoil(monkeypatch, lambda source: without_weights(source, "lenet5_conv2_weights"))
    assert cli.main(["validate", str(SPEC), "--on", "virtual", "--samples", "2"]) == 1
    said = capsys.readouterr().out
    assert "FAILED" in said and "conv2 is the first that differs from the reference" in said
    assert "conv2 (lenet5.py:" in said and said.count("  differs\n") >= 1
    found = validate(SPEC, "virtual", samples=1)
    assert not found.passed and [layer.agrees for layer in found.layers][:2] == [True, False]
    assert found.as_dict()["diverges"] == "conv2"


def test_a_wrong_layer_in_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, lambda source: without_weights(source, "lenet5_fc2_weights"))
    found = validate(in_float32(tmp_path), "virtual", samples=1)
    assert [layer.agrees for layer in found.layers][:4] == [True, True, True, False]


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    """One behind another on the line, each with its own scale."""
    (tmp_path / "pair.py").write_text(PAIR)
    torch.manual_seed(0)
    network = load_module(tmp_path / "pair.py").Pair().eval()
    torch.save(network.state_dict(), tmp_path / "pair.pt")
    rng = np.random.default_rng(0)
    data = {"seen": rng.normal(size=(6, 2, 5, 6)), "speed": 4 * rng.normal(size=(6, 3))}
    data = {name: values.astype(np.float32) for name, values in data.items()}
    with torch.no_grad():
        labels = network(*map(torch.from_numpy, data.values()))[0].argmax(dim=1).numpy()
    np.savez(tmp_path / "data.npz", labels=labels, **data)
    for precision in ("int8", "float32"):
        (tmp_path / "pair.yaml").write_text(PAIR_SPEC.replace("PRECISION", precision))
        found = validate(tmp_path / "pair.yaml", "virtual")
        assert found.passed and found.samples == 6 and found.outputs == 6 * (4 + 3 * 3 * 4)
        assert found.diverges is None and sum(layer.agrees or 0 for layer in found.layers) >= 2


PAIR = """\
import torch
from torch import nn


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.look, self.join = nn.Conv2d(2, 3, 3), nn.Linear(3 * 3 * 4 + 3, 4)

    def forward(self, seen, speed):
        found = self.look(seen).relu()
        return self.join(torch.cat([found.flatten(1), speed], dim=1)), found
"""
PAIR_SPEC = """\
spec: 1
name: pair
model: {python: pair.py:Pair, weights: pair.pt}
inputs:
  seen: {shape: [2, 5, 6]}
  speed: {shape: [3]}
output: {names: [way, found]}
precision: PRECISION
calibration: {file: data.npz}
validate: {file: data.npz}
"""


def test_the_board_has_another_network(tmp_path: Path) -> None:
    board = load_board("hifive1_virtual")
    other = resources("examples") / "cifar10_table1" / "models" / "cifar10.yaml"
    elf = build_firmware(convert(SPEC, board), board, tmp_path)
    made = convert(other, board)
    with (
        virtual_board(elf, board) as running,
        pytest.raises(UcNnError, match="has another network"),
        on_a_board(made, board, f"serial:{running.port}"),
    ):
        raise AssertionError("it was taken")


@pytest.mark.parametrize("on", ["moon", "serial", "host:1", "virtual:2"])
def test_what_there_is_not_to_validate_on(on: str) -> None:
    with pytest.raises(UcNnError, match="to validate on"):
        validate(SPEC, on)


def test_a_board_without_drivers(tmp_path: Path) -> None:
    board = load_board("mps2_an386")
    with pytest.raises(UcNnError, match="not for Arm MPS2"):
        build_firmware(convert(SPEC, board), board, tmp_path)


def test_the_samples_are_the_spec_s() -> None:
    inputs, labels = load_inputs(load_spec(SPEC))
    design = convert(SPEC, load_board("hifive1_virtual")).design
    entry = design.graph.tensor(design.graph.inputs[0])
    assert to_int8(inputs["input"][:1], entry.quant).shape == (1, 1, 32, 32) and len(labels) == 1000


def test_a_board_that_was_reset_has_no_output(tmp_path: Path) -> None:
    """It says that it lost the sample, and gives no bytes that no run has made."""
    board = load_board("hifive1_virtual")
    elf = build_firmware(convert(SPEC, board), board, tmp_path)
    with virtual_board(elf, board) as running:
        line = serial_link(running.port)
        assert line.hello().output_bytes == 10
        with pytest.raises(Restarted):
            line.ask(b"O", struct.pack("<IB", 0, 10))
        line.ask(b"S", bytes(1))
        with pytest.raises(Restarted):
            line.ask(b"O", struct.pack("<IB", 0, 10))
        line.close()


def test_a_firmware_that_the_board_stops(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It reads where nothing is while the network runs: said at once, with the board's own reason."""
    begin = "void lenet5_run(lenet5_context *ctx)\n{\n"
    spoil(monkeypatch, lambda source: source.replace(begin, f"{begin}    (void)*(volatile uint32_t *)0x70000000u;\n"))
    began = time.monotonic()
    assert cli.main(["validate", str(SPEC), "--on", "virtual", "--samples", "1"]) == 3
    said = capsys.readouterr().err
    assert "ran into a trap on the virtual board" in said and "0x70000000" in said and "in lenet5_run" in said
    assert "next: " in said and "uc-nn board run validate.elf --gdb 3333" in said
    assert time.monotonic() - began < PATIENCE_S
