"""The demo program under each fault: it says what is wrong, and names pictures again when the fault goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.firmware.build import build_firmware
from tests.firmware.test_emulators import expected_scores, lines, pictures, predictions
from uc_nn_pio.virtual.board import VirtualBoard
from uc_nn_pio.virtual.scene import Scene

IMAGES = pictures()
LABELS = [int(np.argmax(expected_scores(image))) for image in IMAGES]
ABSENT = "no camera: the ArduChip does not answer on SPI1 (-31)"
RESTARTED = "error: the ArduChip has lost what was set: its supply was cut (-37)"


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo, less patient: it drops one dark frame (dark pictures have the same answers here), and waits 0.2 s."""
    folder = tmp_path_factory.mktemp("firmware")
    build_firmware(folder)
    text = (folder / "project" / "src" / "main.c").read_text()
    for patience in ("RETRY_MS 1000u", "FRAME_TIMEOUT_MS 1000u"):
        assert text.count(f"#define {patience}") == 1
        text = text.replace(patience, patience.replace("1000u", "200u"))
    main = folder / "main.c"
    main.write_text(text)
    return build_firmware(folder / "hasty", main=main, flags=("-DOV2640_SETTLE_FRAMES=1u",))


def start(elf: Path, **options: object) -> VirtualBoard:
    return VirtualBoard(elf, "hifive1", Scene.of(IMAGES, LABELS), **options)


def troubles(board: VirtualBoard) -> list[str]:
    return [line for line in lines(board) if line.startswith(("error: ", "no camera: "))]


def reads_again(board: VirtualBoard, count: int = 1) -> None:
    """The next predictions are right, and nothing else is wrong."""
    board.run("\n", max_seconds=1)
    before, said, frames = len(predictions(board)), troubles(board), len(board.frames)
    for _ in range(count):
        assert board.run("PREDICTION", max_seconds=4).reason == "until"
        board.run("\n", max_seconds=1)
    named = [int(label) for label, _, _ in predictions(board)[before:]]
    assert named == [record["label"] for record in board.frames[frames:]][-count:] and len(named) == count
    assert troubles(board) == said


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("unplugged", ABSENT),
        ("done-never", "error: the capture never ends: no picture comes from the sensor (-33)"),
        ("done-always", "error: the done flag of the last capture cannot be cleared (-35)"),
        ("fifo-length=0", "error: the FIFO holds another number of bytes than a frame has (-34, FIFO length 0)"),
        ("fifo-length=+17", "error: the FIFO holds another number of bytes than a frame has (-34, FIFO length 4121)"),
        ("sccb-no-ack", "error: nobody acknowledges on SCCB (sensor absent, not powered, or in reset) (-11)"),
        ("sda-low", "error: SCCB: SDA stays at 0, even after nine clocks and a stop (-13)"),
        ("scl-low", "error: SCCB: SCL stays at 0 (no pull-up, a short circuit, or a stuck device) (-12)"),
        (
            "spi-errors=0.004",
            "error: bits are lost on SPI1: shorter wires, a better ground, or a slower SCK (-36)",
        ),
    ],
)
def test_a_fault_from_the_start(elf, fault, line):
    board = start(elf, faults=[fault])
    assert board.run(line, max_seconds=8).reason == "until"
    assert predictions(board) == [] or fault.startswith("spi-errors")
    board.faults.clear()
    reads_again(board)


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("unplugged@capture3.5", ABSENT),  # while the sensor fills the FIFO
        ("unplugged@frame2.5", ABSENT),  # while the FIFO is read: half of a picture is no picture
        ("done-never@frame2.5", "error: the capture never ends: no picture comes from the sensor (-33)"),
        ("done-always@frame2.5", "error: the done flag of the last capture cannot be cleared (-35)"),
        (
            "fifo-length=9@frame1.5",
            "error: the FIFO holds another number of bytes than a frame has (-34, FIFO length 9)",
        ),
        ("spi-errors=0.002@frame1.5", "error: bits are lost on SPI1"),
    ],
)
def test_a_fault_while_it_reads(elf, fault, line):
    board = start(elf, faults=[fault])
    assert board.run(line, max_seconds=6).reason == "until"
    seen = [int(label) for label, _, _ in predictions(board)]
    assert len(seen) >= 1
    assert seen == [LABELS[index % len(LABELS)] for index in range(len(seen))], "no picture was made up"
    board.faults.clear()
    reads_again(board)


def test_a_camera_that_was_away_between_two_looks_is_set_up_anew(elf):
    """The plug was out for 20 ms while the firmware slept: the chip answers, and knows nothing any more."""
    board = start(elf, faults=["unplugged@capture4.2..capture4.6"])
    board.run("PREDICTION", max_seconds=3)
    board.run("gray", max_seconds=3)
    assert troubles(board) and set(troubles(board)) <= {RESTARTED, ABSENT}
    reads_again(board)


@pytest.mark.parametrize("percent", ["-5%", "4%"])
def test_a_crystal_of_another_frequency_leaves_the_uart_readable(elf, percent):
    board = start(elf, faults=[f"crystal={percent}"])
    assert board.run("the crystal is not one of 16 MHz", max_seconds=3).reason == "until"
    reads_again(board)
    assert troubles(board) == [
        "error: the core clock is more than 2 % off: the crystal is not one of 16 MHz, or mtime is wrong (-9)"
    ]
    assert board.reports.of("uart") == []
    assert "core 304.0 MHz" in board.text or percent != "-5%"


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("crystal-dead", "error: the 16 MHz crystal oscillator does not start (-2)"),
        ("pll-no-lock", "error: the PLL does not lock (-3)"),
    ],
)
def test_without_a_pll_it_reads_on_the_ring_oscillator(elf, fault, line):
    board = start(elf, faults=[fault])
    board.run("ready", max_seconds=2)
    assert troubles(board) == [line]
    assert board.clock.core_hz == 14_400_000
    reads_again(board)


@pytest.mark.parametrize("when", ["frame1.5", "capture0.5", "0.0004", "0.5"])
def test_a_reset_at_any_time(elf, when):
    """In a burst, in a capture, on the way to the PLL, and in the middle of SCCB bytes; the camera keeps its power."""
    board = start(elf, faults=[f"reset@{when}"], seed=5)
    board.run("camera: OV2640", max_seconds=4)
    if board.reports.of("fault") == []:
        board.run("camera: OV2640", max_seconds=4)
    assert len(board.reports.of("fault")) == 1
    assert lines(board)[-1].startswith("camera: OV2640")
    reads_again(board)
    assert troubles(board) == []
