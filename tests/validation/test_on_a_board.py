"""Validation on the virtual board: the real firmware, the real UART of the board, noise on the line and none."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from uc_nn_pio import cli, validate
from uc_nn_pio.boards import load_board
from uc_nn_pio.converter import convert
from uc_nn_pio.errors import UcNnError
from uc_nn_pio.graph.quant import to_int8
from uc_nn_pio.reference import integer
from uc_nn_pio.resources import resources
from uc_nn_pio.spec import load_spec
from uc_nn_pio.validation import load_inputs
from uc_nn_pio.validation.board import build_firmware, outputs_of, virtual_board
from uc_nn_pio.validation.link import Restarted, serial_link

SPEC = resources("examples") / "lenet5_camera" / "models" / "lenet5.yaml"


def test_int8_streamed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["validate", str(SPEC), "--on", "virtual", "--samples", "6", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] and found["integer_differences"] == 0 and found["outputs"] == 60
    assert found["samples"] == 6 and found["same_class"] == 6 and found["core_hz"] == 320_000_000
    predicted = convert(SPEC, load_board("hifive1_virtual")).report["predicted"]["cycles"]
    assert all(abs(cycles / predicted - 1) < 0.1 for cycles in found["cycles"])
    assert sum(map(sum, found["confusion"])) == 6 and found["asked_again"] == 0


def test_noise_on_the_line() -> None:
    found = validate(SPEC, "virtual", samples=3, faults=["uart-noise=0.0003"])
    assert found.passed and found.integer_differences == 0 and found.asked_again > 0


def test_float32_with_whole_maps(tmp_path: Path) -> None:
    folder = SPEC.parent
    text = SPEC.read_text(encoding="utf-8").replace("precision: int8", "precision: float32")
    assert "float32" in text
    for path in ("lenet5.py", "lenet5.pt", "data"):
        (tmp_path / path).symlink_to(folder / path)
    (tmp_path / "lenet5.yaml").write_text(text + "\nmemory: {schedule: pingpong}\n" if "memory:" not in text else text)
    found = validate(tmp_path / "lenet5.yaml", "virtual", samples=2)
    assert found.passed and found.same_class == 2 and found.worst_difference < 1e-4
    assert found.integer_differences is None


def test_over_a_port_that_pyserial_opens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a real board: the firmware is made by one command, and met by another."""
    elf = tmp_path / "validate.elf"
    assert cli.main(["validate", str(SPEC), "--board", "hifive1", "--firmware", str(elf)]) == 0
    assert "program it" in capsys.readouterr().out
    with virtual_board(elf, load_board("hifive1_virtual")) as port:
        found = validate(SPEC, f"serial:{port}", samples=2)
    assert found.passed and found.samples == 2 and found.target.startswith("serial:")


def test_the_reference_is_what_is_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """A board whose outputs differ fails."""
    real = integer.outputs_batch

    def wrong(*arguments: object) -> dict[str, np.ndarray]:
        return {name: values ^ 1 for name, values in real(*arguments).items()}

    monkeypatch.setattr(integer, "outputs_batch", wrong)
    found = validate(SPEC, "virtual", samples=1)
    assert not found.passed and found.integer_differences == 10


def test_the_board_has_another_network(tmp_path: Path) -> None:
    board = load_board("hifive1_virtual")
    other = resources("examples") / "cifar10_table1" / "models" / "cifar10.yaml"
    elf = build_firmware(convert(SPEC, board), board, tmp_path)
    made = convert(other, board)
    inputs = np.zeros((1, 3, 32, 32), np.int8)
    with virtual_board(elf, board) as port, pytest.raises(UcNnError, match="has another network"):
        outputs_of(made, board, f"serial:{port}", inputs)


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
    with virtual_board(elf, board) as port:
        line = serial_link(port)
        assert line.hello().output_bytes == 10
        with pytest.raises(Restarted):
            line.ask(b"O", struct.pack("<IB", 0, 10))
        line.ask(b"S")
        with pytest.raises(Restarted):
            line.ask(b"O", struct.pack("<IB", 0, 10))
        line.close()
