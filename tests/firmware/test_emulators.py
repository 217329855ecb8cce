"""The demo program as a whole: on the virtual board with a camera, and on QEMU as a second opinion."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tests.firmware.build import STAND_IN, build_firmware
from uc_nn_pio.virtual.board import VirtualBoard
from uc_nn_pio.virtual.camera.arduchip import ArduChip
from uc_nn_pio.virtual.camera.ov2640 import Ov2640
from uc_nn_pio.virtual.scene import Scene

PREDICTION = re.compile(r"^PREDICTION: (\S+)  (\d+\.\d) ms  scores((?: \S+:-?\d+\.\d\d)+)$")
TEST_PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_firmware(tmp_path_factory.mktemp("firmware"))


def pictures(seed: int = 3, count: int = 4) -> np.ndarray:
    """Noise with one bright band: what the stand-in model names is easy to compute here."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 120, (count, 64, 64), np.uint8)
    for index, image in enumerate(images):
        band = (3 * index + 1) % 10
        image[:, 6 * band : 6 * band + 6] += 100
    return images


def expected_scores(picture: np.ndarray) -> list[float]:
    """Every second pixel of every second row, then the means of the bands, as stand_in/tiny.h says."""
    small = picture[::2, ::2].astype(float) / 255
    return [small[:, 3 * band : 3 * band + 3].mean() for band in range(10)]


def lines(board: VirtualBoard) -> list[str]:
    assert board.text.replace("\r\n", "").count("\n") == 0, "every line ends in CR LF"
    return [line for line in board.text.split("\r\n") if line]


def predictions(board: VirtualBoard) -> list[tuple[str, float, list[float]]]:
    found = []
    for line in lines(board):
        if line.startswith("PREDICTION"):
            match = PREDICTION.match(line)
            assert match, line
            found.append((match[1], float(match[2]), [float(item.split(":")[1]) for item in match[3].split()]))
    return found


@pytest.mark.parametrize("warm", [False, True])
def test_the_pixels_reach_the_network_and_the_answer_the_uart(elf, warm):
    """Also entered warm: PLL on, UART divisor wrong, watchdog armed, QSPI0 changed, RAM random."""
    images = pictures()
    board = VirtualBoard(elf, "hifive1", Scene.of(images), warm=warm, seed=7)
    board.run(max_frames=len(images), max_seconds=5)
    found = predictions(board)
    assert len(found) == len(images)
    for image, (label, milliseconds, scores) in zip(images, found, strict=True):
        expected = expected_scores(image)
        assert label == str(int(np.argmax(expected)))
        assert np.abs(np.array(scores) - expected).max() <= 0.005 + 1e-6
        assert 0 < milliseconds < 10
    assert lines(board)[:3] == [
        "uc_nn: tiny on hifive1, core 320.0 MHz, network RAM 4136 bytes",
        "uc_nn: tiny ready",
        "camera: OV2640 0x2642, 64 x 64 gray",
    ]
    assert board.clock.core_hz == 320_000_000
    assert [str(report) for report in board.reports.items] == []


@pytest.mark.parametrize("core_hz", [16_000_000, 160_000_000, 352_000_000])
def test_other_core_clocks(tmp_path, core_hz):
    board = VirtualBoard(build_firmware(tmp_path, core_hz=core_hz), "hifive1", Scene.of(pictures(count=1)))
    board.run("PREDICTION", max_seconds=5)
    board.run("\n", max_seconds=1)
    assert f"core {core_hz / 1e6:.1f} MHz" in lines(board)[0]
    assert board.clock.core_hz == core_hz
    assert len(predictions(board)) == 1


def test_the_first_ten_frames_are_dropped_unread(elf):
    board = VirtualBoard(elf, "hifive1", Scene.of(pictures()))
    board.run("PREDICTION", max_seconds=5)
    assert board.camera.captures == 11
    assert board.camera.frames_read == 1


def test_revision_b(tmp_path):
    """Other flash origin; the ESP32's chip select is driven high before anything else uses SPI1."""
    elf = build_firmware(tmp_path, board="hifive1-revb")
    board = VirtualBoard(elf, "hifive1-revb", Scene.of(pictures(count=1)))
    board.run("PREDICTION", max_seconds=5)
    assert board.gpio.level(9) == 1
    assert "uc_nn: tiny on hifive1-revb" in lines(board)[0]


def test_without_a_camera_the_board_says_so_every_second_and_lives(elf):
    board = VirtualBoard(elf, "hifive1", camera=False)
    board.run(max_seconds=3.5)
    missing = [line for line in lines(board) if line.startswith("no camera: ")]
    assert len(missing) == 4
    assert not any(line.startswith("error") for line in lines(board))


def failing(monkeypatch, target, name, replacement, elf) -> list[str]:
    """Run with a fault, then without it: the fault has its line, the board comes back by itself."""
    images = pictures(count=2)
    board = VirtualBoard(elf, "hifive1", Scene.of(images))
    with monkeypatch.context() as patch:
        patch.setattr(target, name, replacement)
        board.run(max_seconds=2.3)
        assert predictions(board) == []
        found = [line for line in lines(board) if line.startswith(("error: ", "no camera: "))]
    board.run("PREDICTION", max_seconds=5)
    return found


def test_sensor_that_does_not_acknowledge(elf, monkeypatch):
    found = failing(monkeypatch, Ov2640, "acknowledges", lambda self: False, elf)
    assert len(found) == 2  # each round takes a second, and the 0.2 s of the ArduChip's reset
    assert set(found) == {"error: nobody acknowledges on SCCB (sensor absent, not powered, or in reset) (-11)"}


def test_sensor_with_another_id(elf, monkeypatch):
    found = failing(monkeypatch, Ov2640, "read_register", lambda self, register: 0x77, elf)
    assert found and set(found) == {"error: a chip answers at the sensor's address, but it is no OV2640 (-21)"}


def with_answer(register: int, value: int):
    """The ArduChip, but for one register."""
    original = ArduChip.exchange

    def exchange(self, mosi, sck_hz, mode):
        command = self._command
        answer = original(self, mosi, sck_hz, mode)
        return value if command == register else answer

    return exchange


def test_capture_that_never_ends(elf, monkeypatch):
    found = failing(monkeypatch, ArduChip, "exchange", with_answer(0x41, 0x00), elf)
    assert found == ["error: the capture never ends: no picture comes from the sensor (-33)"]


def test_fifo_length_that_is_no_frame(elf, monkeypatch):
    found = failing(monkeypatch, ArduChip, "exchange", with_answer(0x43, 0x20), elf)
    text = f"error: the FIFO holds another number of bytes than a frame has (-34, FIFO length {0x2008})"
    assert found and set(found) == {text}


def test_another_arduchip(elf, monkeypatch):
    found = failing(monkeypatch, ArduChip, "exchange", with_answer(0x40, 0x55), elf)
    assert found and set(found) == {"error: a chip answers on SPI1, but it is not the ArduChip of a Mini 2MP (-32)"}


# QEMU ------------------------------------------------------------------------------------------------------------


def on_qemu(elf: Path, until: str, timeout: float = 20.0) -> str:
    """Run until a text appears; everything printed up to the end of its line."""
    command = ["qemu-system-riscv32", "-M", "sifive_e", "-nographic", "-monitor", "none", "-serial", "stdio"]
    with subprocess.Popen([*command, "-kernel", elf], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            text, end = b"", time.monotonic() + timeout
            while until.encode() not in text and time.monotonic() < end:
                line = process.stdout.readline()
                if not line:
                    break
                text += line
        finally:
            process.kill()
    return text.decode()


def test_qemu_gets_as_far_as_no_camera(elf):
    text = on_qemu(elf, "no camera: the ArduChip does not answer on SPI1 (-31)")
    assert [line for line in text.split("\r\n") if line][:3] == [
        "uc_nn: tiny on hifive1, core 320.0 MHz, network RAM 4136 bytes",
        "uc_nn: tiny ready",
        "no camera: the ArduChip does not answer on SPI1 (-31)",
    ]


@pytest.fixture(scope="module")
def trap_programs(tmp_path_factory: pytest.TempPathFactory):
    def build(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        flags = ("-fno-optimize-sibling-calls",)
        return build_firmware(folder, main=TEST_PROGRAMS / f"{name}.c", flags=flags, model=STAND_IN)

    return build


@pytest.mark.parametrize(
    ("program", "pattern"),
    [
        (
            "load_nowhere",
            r"error: trap: load access fault, mcause 0x00000005, pc 0x2040[0-9A-F]{4}, address 0x50000010",
        ),
        (
            "illegal",
            r"error: trap: illegal instruction, mcause 0x00000002, pc 0x2040[0-9A-F]{4}, address 0x[0-9A-F]{8}",
        ),
        (
            "overflow",
            r"error: trap: store access fault, mcause 0x00000007, pc 0x2040[0-9A-F]{4}, address 0x7FFFF[0-9A-F]{3}",
        ),
        ("returns", r"error: the program has ended: main\(\) returned"),
    ],
)
def test_a_program_that_cannot_go_on_says_why(trap_programs, program, pattern):
    """Real devices trap on all of these; QEMU is the emulator that traps as they do."""
    assert re.search(pattern, on_qemu(trap_programs(program), "error: "))
