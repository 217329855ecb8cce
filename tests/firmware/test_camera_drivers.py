"""SCCB on the wire, the OV2640's settings, the ArduChip's FIFO."""

from __future__ import annotations

import csv
import ctypes
import itertools
from pathlib import Path

import pytest

from tests.firmware.camera import ArduChip, Sccb, Sensor
from tests.firmware.chip import SCL, SDA
from tests.firmware.conftest import Drivers, compile_drivers

FRAME = 64 * 64
SETTINGS = Path(__file__).parent / "data" / "ov2640_y8_64x64.csv"
"""Register settings that are known to give a 64 x 64 Y8 picture, in their order; register 0xFF selects the bank."""


class Bus(ctypes.Structure):
    _fields_ = [("sda_pin", ctypes.c_uint32), ("scl_pin", ctypes.c_uint32)]


BUS = Bus(SDA, SCL)


def init_bus(drivers) -> int:
    return drivers.c.sccb_init(ctypes.byref(BUS))


def write(drivers, register: int, value: int) -> int:
    return drivers.c.sccb_write(ctypes.byref(BUS), 0x30, register, value)


def read(drivers, register: int) -> int:
    return drivers.c.sccb_read(ctypes.byref(BUS), 0x30, register)


# SCCB ----------------------------------------------------------------------------------------------------


def test_a_write_is_start_three_acknowledged_bytes_stop(drivers):
    device = Sccb(drivers.chip)
    assert init_bus(drivers.at(320_000_000)) == 0
    assert write(drivers, 0x12, 0x80) == 0
    assert device.events == ["S", (0x60, True), (0x12, True), (0x80, True), "P"]


def test_a_read_is_two_transfers_and_the_master_does_not_acknowledge(drivers):
    device = Sensor(drivers.chip)
    init_bus(drivers.at(320_000_000))
    write(drivers, 0xFF, 1)
    device.events.clear()
    assert read(drivers, 0x0A) == 0x26
    assert device.events == ["S", (0x60, True), (0x0A, True), "P", "S", (0x61, True), (0x26, False), "P"]


@pytest.mark.parametrize("core_hz", [16_000_000, 160_000_000, 320_000_000, 352_000_000])
def test_the_bus_is_never_faster_than_100_khz(drivers, core_hz):
    """Each level of SCL holds 4.7 us and 4.0 us at the least (I2C, standard mode), and SDA moves while SCL is low."""
    device = Sccb(drivers.chip)
    init_bus(drivers.at(core_hz))
    start = drivers.chip.us
    write(drivers, 0x3C, 0xA5)
    changes = [(us, scl) for us, scl, _ in device.edges]
    times = [us for (us, scl), (_, before) in zip(changes[1:], changes, strict=False) if scl != before]
    assert len(times) == 2 * 27 + 2  # 27 clocks, and the stop's
    assert min(b - a for a, b in itertools.pairwise(times)) >= 4.7
    assert (drivers.chip.us - start) < 27 * 30


def test_both_lines_are_let_go_afterwards(drivers):
    Sccb(drivers.chip)
    init_bus(drivers)
    write(drivers, 0x3C, 0x32)
    assert not drivers.chip.gpio.registers[0x08] & (1 << SDA | 1 << SCL)
    assert drivers.chip.gpio.level(SDA) == drivers.chip.gpio.level(SCL) == 1


def test_pins_in_any_state_an_earlier_program_left(drivers):
    gpio = drivers.chip.gpio
    gpio.external_pull_up = False
    gpio.registers.update({0x38: 0xFFFFFFFF, 0x3C: 0xFFFFFFFF, 0x40: 0xFFFFFFFF, 0x0C: 0xFFFFFFFF})
    device = Sccb(drivers.chip)
    assert init_bus(drivers) == 0
    assert gpio.registers[0x10] & (1 << SDA) and gpio.registers[0x10] & (1 << SCL)
    device.events.clear()
    assert write(drivers, 0x11, 0x01) == 0
    assert device.events[1:4] == [(0x60, True), (0x11, True), (0x01, True)]


def test_nobody_there(drivers):
    device = Sccb(drivers.chip)
    device.present = False
    assert init_bus(drivers) == 0
    assert write(drivers, 0x12, 0x80) == -11
    assert read(drivers, 0x0A) == -11
    assert device.events == ["S", (0x60, False), "P"] * 2


def test_another_address_is_not_for_us(drivers):
    device = Sccb(drivers.chip, address=0x3C)
    init_bus(drivers)
    assert write(drivers, 0x12, 0x80) == -11
    assert device.events[-1] == "P"


@pytest.mark.parametrize("clocks", [1, 5, 9])
def test_nine_clocks_and_a_stop_free_a_stuck_bus(drivers, clocks):
    """A sensor that was sending zeros when the board was reset holds SDA until it has had its clocks."""
    device = Sccb(drivers.chip)
    device.stuck_clocks = clocks
    drivers.chip.gpio.settle()
    assert init_bus(drivers) == 0
    assert device.events[-1] == "P"
    levels = [scl for _, scl, _ in device.edges]
    rises = sum(now > before for before, now in itertools.pairwise(levels))
    assert rises == 9 + 1  # the last is the stop's
    assert write(drivers, 0x12, 0x80) == 0


def test_a_bus_that_cannot_be_freed(drivers):
    Sccb(drivers.chip).stuck_clocks = 1000
    assert init_bus(drivers) == -13


def test_a_clock_line_at_0(drivers):
    device = Sccb(drivers.chip)
    device.short_scl = True
    start = drivers.chip.us
    assert init_bus(drivers) == -12
    assert write(drivers, 0x12, 0x80) == -12
    assert drivers.chip.us - start < 20_000


def test_a_device_may_stretch_the_clock(drivers):
    device = Sccb(drivers.chip)
    init_bus(drivers)
    device.stretch_us = 600.0
    assert write(drivers, 0x3C, 0xA5) == 0
    assert device.events == ["S", (0x60, True), (0x3C, True), (0xA5, True), "P"]


# OV2640 ----------------------------------------------------------------------------------------------------


def published_settings() -> list[tuple[int, int]]:
    lines = [line for line in SETTINGS.read_text().splitlines() if not line.startswith("#")]
    return [(int(row["register"], 0), int(row["value"], 0)) for row in csv.DictReader(lines)]


def init_sensor(drivers) -> tuple[int, int]:
    identity = ctypes.c_uint32(0)
    status = drivers.c.ov2640_init(ctypes.byref(BUS), ctypes.byref(identity))
    return status, identity.value


def test_the_settings_after_the_reset_are_the_published_ones_in_order(drivers):
    sensor = Sensor(drivers.chip)
    init_bus(drivers.at(320_000_000))
    assert init_sensor(drivers) == (0, 0x2642)
    settings = published_settings()
    assert len(settings) == 193
    assert sensor.writes[:3] == [(0xFF, 1), (0x12, 0x80), (0xFF, 1)]
    assert sensor.writes[3 : 3 + len(settings)] == settings


def test_the_window_is_a_square_from_the_middle(drivers):
    """By the data sheet: HSIZE, VSIZE in units of 4 pixels, XOFF, YOFF in pixels, OUTW, OUTH in units of 4."""
    sensor = Sensor(drivers.chip)
    init_bus(drivers)
    init_sensor(drivers)
    bank, dsp = None, {}
    for register, value in sensor.writes:
        bank = value if register == 0xFF else bank
        if bank == 0:
            dsp[register] = value
    width = 4 * (dsp[0x51] | (dsp[0x55] >> 3 & 1) << 8 | (dsp[0x57] >> 7) << 9)
    height = 4 * (dsp[0x52] | (dsp[0x55] >> 7) << 8)
    left = dsp[0x53] | (dsp[0x55] & 7) << 8
    top = dsp[0x54] | (dsp[0x55] >> 4 & 7) << 8
    assert (width, height, left, top) == (1200, 1200, 200, 0)
    divide = 1 << (dsp[0x50] & 7), 1 << (dsp[0x50] >> 3 & 7)
    assert width // divide[0] >= 64 and height // divide[1] >= 64
    assert (4 * dsp[0x5A], 4 * dsp[0x5B]) == (64, 64)
    assert dsp[0xE0] == 0 and dsp[0x05] == 0  # out of reset, DSP not bypassed
    assert dsp[0xDA] & 0x40  # Y8


def test_nothing_is_sent_for_100_ms_after_the_reset(drivers):
    """The sensor is silent so long, and one byte that it does not acknowledge would be a failure."""
    sensor = Sensor(drivers.chip)
    init_bus(drivers)
    assert init_sensor(drivers)[0] == 0
    assert sensor.silent_until >= 100_000
    refused = [event[0] for event in sensor.events if isinstance(event, tuple) and not event[1]]
    assert refused == [0x26, 0x42]  # the two bytes that were read: the master ends a read so


@pytest.mark.parametrize(
    ("ids", "status"), [((0x26, 0x42), 0), ((0x26, 0x41), 0), ((0x26, 0x50), -21), ((0x77, 0x42), -21)]
)
def test_ids(drivers, ids, status):
    sensor = Sensor(drivers.chip, ids)
    init_bus(drivers)
    assert init_sensor(drivers) == (status, ids[0] << 8 | ids[1])
    assert (len(sensor.writes) > 3) == (status == 0)


def test_a_sensor_that_falls_silent(drivers):
    sensor = Sensor(drivers.chip)
    init_bus(drivers)
    drivers.chip.us = 0.0
    sensor.silent_until = 1e9
    assert init_sensor(drivers)[0] == -11


# ArduCAM ----------------------------------------------------------------------------------------------------


def frame(dummy: int) -> bytes:
    return b"\xd0" * dummy + bytes(index % 251 for index in range(FRAME))


def read_frame(drivers, size: int = FRAME) -> tuple[int, bytes]:
    status = drivers.c.arducam_read_start(size)
    rows = b""
    while status == 0 and len(rows) < size:
        row = (ctypes.c_uint8 * 64)()
        status = drivers.c.arducam_read(row, 64)
        rows += bytes(row)
    drivers.c.arducam_read_end()
    return status, rows


def test_set_up_is_test_register_reset_version_clear(drivers):
    chip = ArduChip(drivers.chip, frame(8))
    assert drivers.at(320_000_000).c.arducam_init(2) == 0
    assert (0x00, 0x55) in chip.writes
    (on_at, on), (off_at, off) = chip.resets
    assert (on, off) == (0x80, 0x00) and off_at - on_at >= 100_000
    assert drivers.chip.us - off_at >= 100_000
    assert chip.writes.index((0x00, 0x55)) < chip.writes.index((0x07, 0x80))
    assert chip.writes[-1] == (0x04, 0x01)
    assert not chip.selected


@pytest.mark.parametrize("core_hz", [16_000_000, 160_000_000, 256_000_000, 320_000_000, 352_000_000])
def test_sck_is_4_mhz_or_a_little_less(drivers, core_hz):
    ArduChip(drivers.chip, frame(8))
    drivers.at(core_hz).c.arducam_init(2)
    (sck,) = drivers.chip.spi.sck_hz
    assert 3_600_000 <= sck <= 4_000_000


def test_no_arduchip(drivers):
    """Nothing drives MISO: it reads as ones."""
    start = drivers.at(320_000_000).chip.us
    assert drivers.c.arducam_init(2) == -31
    assert drivers.chip.us - start < 10_000


def test_another_version(drivers):
    ArduChip(drivers.chip, frame(8), version=0x61)
    assert drivers.c.arducam_init(2) == -32


@pytest.mark.parametrize("dummy", [0, 1, 8, 16])
def test_dummy_bytes_are_the_length_beyond_the_frame_and_come_first(drivers, dummy):
    chip = ArduChip(drivers.chip, frame(dummy))
    drivers.at(320_000_000).c.arducam_init(2)
    assert drivers.c.arducam_capture(1000) == 0
    assert read_frame(drivers) == (0, frame(0))
    assert chip.bursts == [FRAME + dummy]  # one burst: chip select never rose in between
    assert not chip.selected


def test_the_plus_module_has_no_byte_in_front_of_a_burst(tmp_path):
    plus = Drivers(compile_drivers(tmp_path / "plus.so", "-DARDUCAM_BURST_DUMMY_BYTES=0"))
    ArduChip(plus.chip, frame(8), burst_dummy=0)
    plus.c.arducam_init(2)
    assert plus.c.arducam_capture(1000) == 0
    assert read_frame(plus) == (0, frame(0))


@pytest.mark.parametrize("length", [0, 1, FRAME - 1, FRAME + 17, 2 * FRAME, 0x7FFFFF])
def test_another_length_is_refused_and_nothing_is_read(drivers, length):
    chip = ArduChip(drivers.chip, frame(8))
    drivers.c.arducam_init(2)
    assert drivers.c.arducam_capture(1000) == 0
    chip.length = length
    assert read_frame(drivers)[0] == -34
    assert drivers.c.arducam_fifo_length() == length
    assert chip.bursts == [] and not chip.selected


def test_only_23_bits_of_the_length_count(drivers):
    chip = ArduChip(drivers.chip, frame(8))
    drivers.c.arducam_init(2)
    drivers.c.arducam_capture(1000)
    chip.length |= 1 << 23
    assert read_frame(drivers) == (0, frame(0))


def test_a_capture_waits_for_a_new_frame(drivers):
    chip = ArduChip(drivers.chip, frame(8))
    drivers.at(320_000_000).c.arducam_init(2)
    for count in (1, 2, 3):
        start = drivers.chip.us
        assert drivers.c.arducam_capture(1000) == 0
        assert drivers.chip.us - start >= 66_667
        assert chip.captures == count
    assert chip.bursts == []


def test_a_capture_that_never_ends(drivers):
    chip = ArduChip(drivers.chip, frame(8), frame_us=1e12)
    drivers.c.arducam_init(2)
    start = drivers.chip.us
    assert drivers.c.arducam_capture(300) == -33
    assert 300_000 <= drivers.chip.us - start < 400_000
    assert not chip.selected


def test_a_done_flag_that_stays_set_is_no_picture(drivers):
    chip = ArduChip(drivers.chip, frame(8))
    drivers.c.arducam_init(2)
    chip.stuck_done = True
    assert drivers.c.arducam_capture(1000) == -35
    assert chip.captures == 0
    chip.stuck_done = False
    assert drivers.c.arducam_capture(1000) == 0


def test_the_check_behind_a_frame(drivers):
    """Gone, there with another supply's registers, there with bad wires, there."""
    chip = ArduChip(drivers.chip, frame(8))
    drivers.at(320_000_000).c.arducam_init(2)
    drivers.c.arducam_capture(1000)
    read_frame(drivers)
    assert drivers.c.arducam_check() == 0 == drivers.c.arducam_check()
    chip.registers[0x00] = 0x00
    assert drivers.c.arducam_check() == -37
    assert drivers.c.arducam_check() == 0
    chip.spoil = {3}
    assert drivers.c.arducam_check() == -36
    chip.spoil = set()
    drivers.chip.spi.device = None
    assert drivers.c.arducam_check() == -31


def test_a_camera_that_goes_during_a_capture_is_absent(drivers):
    ArduChip(drivers.chip, frame(8), frame_us=1e12)
    drivers.at(320_000_000).c.arducam_init(2)
    drivers.chip.spi.device = None
    assert drivers.c.arducam_capture(20) == -31


def test_an_spi_that_stops_shifting(drivers):
    ArduChip(drivers.chip, frame(8))
    drivers.c.arducam_init(2)
    drivers.chip.spi.stuck = True
    assert drivers.c.arducam_capture(1000) == -5
    assert read_frame(drivers)[0] == -5
    assert drivers.c.arducam_init(2) == -5


def test_every_code_has_one_line_of_its_own(drivers):
    c = drivers.c
    lines = {code: c.sccb_error_text(code) for code in (-11, -12, -13)}
    lines |= {-21: c.ov2640_error_text(-21)} | {code: c.arducam_error_text(code) for code in range(-37, -30)}
    assert None not in lines.values() and len(set(lines.values())) == len(lines)
    assert all(b"\n" not in line for line in lines.values())
    for text in (c.sccb_error_text, c.ov2640_error_text, c.arducam_error_text):
        assert text(0) is None and text(-99) is None
