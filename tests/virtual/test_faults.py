"""Faults on demand: when they come and go, and what the wires and parts then do."""

import json
import re

import numpy as np
import pytest

from tests.virtual.test_camera import TABLE
from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.virtual import VirtualBoard, cli
from uc_nn_pio.virtual.faults import KINDS, Fault, When
from uc_nn_pio.virtual.scene import Scene

GRAY = Scene.of(np.full((1, 64, 64), 90, np.uint8))
LOOK = """int main(void) { pll(31, 1); uart_init(256000000u); sccb_init(); spi_init(31, SELECT_HOLD);
  for (;;) { show("ack", sensor_write(0xFF, 1)); show("id", sensor_read(0x0A, 0)); chip(0x80, 0x5A);
    show("test", chip(0x00, 0)); show("done", chip(0x41, 0) & 8); show("length", fifo_length());
    puts_("done\\n"); wait_ticks(33); } }"""


def looks(board, count=1):
    """What the firmware above saw in its next rounds."""
    for _ in range(count):
        board.run("done\n", max_seconds=2)
    return {name: int(value, 16) for name, value in re.findall(r"(\w+)=(\w{8})", board.text)[-5:]}


@pytest.fixture
def camera(build):
    elf = build("looks", source='#include "camera.h"\n' + LOOK)
    return lambda *faults, **options: VirtualBoard(elf, scene=GRAY, faults=faults, **options)


HEALTHY = {"ack": 1, "id": 0x26, "test": 0x5A, "done": 0, "length": 0}


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("unplugged", {"ack": 0, "id": 0xFFFFFFFF, "test": 0}),
        ("done-always", {"done": 8}),
        ("done-never", {"done": 0}),
        ("fifo-length", {"length": 0}),
        ("fifo-length=70000", {"length": 70000}),
        ("fifo-length=+20", {"length": 20}),
        ("fifo-length=-20", {"length": 0}),
        ("sccb-no-ack", {"ack": 0, "id": 0xFFFFFFFF}),
        ("sda-low", {"id": 0}),  # every bit a 0, every byte acknowledged
        ("scl-low", {"ack": 0, "id": 0xFFFFFFFF}),
        ("spi-errors=1", {"test": 0xFF}),  # another register is asked, and its 0 comes back inverted
    ],
)
def test_what_a_fault_does_and_that_it_goes(camera, fault, seen):
    board = camera()
    assert looks(board, 2) == HEALTHY
    board.faults.inject(fault)
    assert {name: value for name, value in looks(board, 2).items() if name in seen} == seen
    board.faults.clear(fault.partition("=")[0])
    assert looks(board, 3) == HEALTHY
    assert [report.kind for report in board.reports.items] == ["fault", "fault"]


def test_a_camera_plugged_in_again_has_forgotten(camera):
    board = camera()
    looks(board)
    sensor = board.camera_link
    sensor.write_register(0xFF, 1)
    sensor.write_register(0x3C, 0x77)
    board.faults.inject("unplugged")
    board.faults.clear()
    sensor.write_register(0xFF, 1)
    assert sensor.read_register(0x3C) == 0


def test_bit_errors_come_at_their_rate_and_follow_the_seed(camera):
    boards = [camera("spi-errors=0.05", seed=seed) for seed in (1, 1, 2)]
    texts = []
    for board in boards:
        looks(board, 40)
        texts.append(board.text)
    assert texts[0] == texts[1] != texts[2]
    noise = [boards[0].faults.noisy("spi-errors", 0) for _ in range(20_000)]
    rate = np.unpackbits(np.array(noise, np.uint8)).mean()
    assert abs(rate - 0.05) < 0.003  # 5 sigma of 160,000 bits is 0.0027


def test_uart_noise_changes_what_the_computer_sees(build):
    board = VirtualBoard(build("hello"), faults=["uart-noise=0.02"])
    board.run(max_seconds=0.01)
    clean = VirtualBoard(build("hello"))
    clean.run(max_seconds=0.01)
    flipped = np.unpackbits(np.frombuffer(board.output, np.uint8) ^ np.frombuffer(clean.output, np.uint8)).sum()
    assert len(board.output) == len(clean.output) and 1 <= flipped <= 20


def test_faults_come_and_go_at_their_time(build):
    source = """int main(void) { uart_init(RESET_HZ); uint32_t last = 2;
      GPIO(PUE) |= 1u << 12; GPIO(INPUT_EN) |= 1u << 12;
      for (;;) { uint32_t now = GPIO(0) >> 12 & 1; if (now != last) { show("t", MTIME); show("v", now); last = now; }
      } }"""
    board = VirtualBoard(build("watch", source=source), faults=["sda-low@0.0305..0.06"])
    board.run(max_seconds=0.1)
    seen = [int(value, 16) for value in re.findall(r"=(\w{8})", board.text)]
    assert seen[1::2] == [1, 0, 1]
    assert np.allclose(np.array(seen[2::2]) / 32768, [0.0305, 0.06], atol=0.0001)
    assert [round(report.seconds, 4) for report in board.reports.of("fault")] == [0.0305, 0.06]


def test_frames_and_captures_name_moments_too(build):
    items = ",".join(f"{{{register},{value}}}" for register, value in TABLE)
    elf = build("frame", TABLE=items, SELECT=0, DROP=2, FRAMES=3, PLUS=0, PIXELS=1)
    board = VirtualBoard(elf, scene=GRAY, faults=["unplugged@frame1.25", "sda-low@capture2.5"])
    board.run(max_seconds=3)
    pixels = [bytes.fromhex(line) for line in re.findall(r"^[0-9a-f]{8000,}$", board.text, re.MULTILINE)]
    assert len(pixels) == 2 and pixels[0][4000] > 0
    dark = next(index for index, value in enumerate(pixels[1][9:]) if value == 0)
    assert 1000 < dark < 1040  # a quarter of 4,104 bytes
    at = {report.message.split(":")[0]: report.seconds for report in board.reports.of("fault")}
    assert 0.1 + 3.2 / 15 > at["sda-low"] - 2 / 15 > 0.1  # half way through the third capture, behind 0.1 s of reset


def test_a_slow_crystal_slows_what_hangs_on_it_and_no_more(build):
    source = """int main(void) { pll(31, 1); uart_init(243200000u);
      uint32_t t = MTIME; while (MTIME == t); t = MTIME; uint32_t c = CSR_READ(mcycle);
      while (MTIME - t < 328); show("c", CSR_READ(mcycle) - c); puts_("done\\n"); for (;;) {} }"""
    board = VirtualBoard(build("clock", source=source), faults=["crystal=-5%"])
    board.run("done\n", max_seconds=1)
    cycles = int(re.search(r"c=(\w+)", board.text)[1], 16)
    assert abs(cycles / (328 / 32768) / (256e6 * 0.95) - 1) < 0.002
    board.faults.clear()
    assert board.clock.core_hz == 256_000_000


@pytest.mark.parametrize(("fault", "register", "bit"), [("crystal-dead", 4, 31), ("pll-no-lock", 8, 31)])
def test_ready_bits_that_stay_away(build, fault, register, bit):
    source = f"""int main(void) {{ uart_init(RESET_HZ); PRCI(8) = 1u << 17 | 1u << 10 | 31u << 4 | 1u; wait_ticks(300);
      show("r", PRCI({register}) >> {bit}); puts_("done\\n"); for (;;) {{}} }}"""
    elf = build("ready", source=source)
    for faults, expected in (((), 1), ((fault,), 0)):
        board = VirtualBoard(elf, faults=faults)
        board.run("done\n", max_seconds=1)
        assert f"r={expected:08x}" in board.text


def test_a_reset_starts_the_program_again_over_the_same_ram(build):
    source = """int main(void) { uart_init(RESET_HZ); show("ram", REG(0x80003000)); REG(0x80003000) = 0x1234;
      show("hfrosc", PRCI(0)); wait_ticks(100); PRCI(0) = 1u << 30 | 9; for (;;) {} }"""
    board = VirtualBoard(build("again", source=source), faults=["reset@0.01"])
    board.run(max_seconds=0.02)
    first, second = re.findall(r"ram=(\w+)\nhfrosc=(\w+)\n", board.text)
    assert first[0] != second[0] == "00001234"
    assert first[1] == second[1]  # the clocks are those of a reset again


def test_texts():
    assert Fault.of("unplugged@1.5..frame9") == Fault("unplugged", None, When(1.5), When(9, "frame"))
    assert Fault.of("spi-errors=0.01@capture2.5", "3s") == Fault("spi-errors", "0.01", When(2.5, "capture"), When(3.0))
    for name in KINDS:
        assert str(Fault.of(name)) == name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("unpluged", "did you mean unplugged?"),
        ("spi-errors=2", "0 to 1"),
        ("spi-errors=x", "is no value"),
        ("sda-low=1", "takes no value"),
        ("crystal=-80%", "-50 to 50"),
        ("reset@soon", "'soon' is no moment"),
        ("reset@-1", "no moment"),
        ("reset@frame", "no moment"),
        ("reset@nan", "no moment"),
    ],
)
def test_texts_that_mean_nothing(text, said):
    with pytest.raises(VirtualBoardError) as caught:
        Fault.of(text)
    assert said in str(caught.value)


def test_faults_of_a_camera_need_one(build):
    with pytest.raises(VirtualBoardError, match="needs a camera"):
        VirtualBoard(build("hello"), camera=False, faults=["unplugged"])
    VirtualBoard(build("hello"), camera=False, faults=["sda-low"])


def test_from_the_command_line(build, tmp_path, capfd):
    log = tmp_path / "log.jsonl"
    command = ["run", str(build("hello")), "--seconds", "0.02", "--log", str(log)]
    faults = ["--fault", "scl-low@0.005", "--fault", "sda-low", "--fault-until", "0.01"]
    assert cli.main([*command, *faults]) == 0
    records = [json.loads(line) for line in log.read_text().splitlines()]
    said = [(record["message"].split(":")[0], record["seconds"]) for record in records if "report" in record]
    assert said == [("sda-low", 0.0), ("scl-low", 0.005), ("scl-low", 0.01), ("sda-low", 0.01)]
    assert cli.main([*command, "--fault", "fire"]) == 3
    assert "there is no fault 'fire'" in capfd.readouterr().err
