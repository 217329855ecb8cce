"""SPI1's clock and chip select; time; the four memory functions."""

from __future__ import annotations

import ctypes
import random

import pytest

CLOCKS = [16_000_000, 64_000_000, 160_000_000, 256_000_000, 320_000_000, 352_000_000]


@pytest.mark.parametrize("core_hz", [*CLOCKS, 14_400_000, 333_333_333])
@pytest.mark.parametrize("sck_hz", [500_000, 3_000_000, 4_000_000, 8_000_000])
def test_divider_gives_the_fastest_clock_that_is_not_above(drivers, core_hz, sck_hz):
    div = drivers.c.fe310_spi_divider(core_hz, sck_hz)
    assert core_hz / (2 * (div + 1)) <= sck_hz
    assert div == 0 or core_hz / (2 * div) > sck_hz


@pytest.mark.parametrize(("pin", "csid"), [(2, 0), (9, 2), (10, 3)])
def test_chip_selects_of_spi1(drivers, pin, csid):
    assert drivers.c.fe310_spi1_init(pin, 4_000_000) == 0
    assert drivers.chip.spi.registers[0x10] == csid


@pytest.mark.parametrize("pin", [0, 1, 3, 7, 8, 31])
def test_other_pins_are_refused(drivers, pin):
    assert drivers.c.fe310_spi1_init(pin, 4_000_000) == -6


class Echo:
    """Answers each byte with the one before; keeps the edges of chip select."""

    def __init__(self) -> None:
        self.edges: list[bool] = []
        self.last = 0x11

    def select(self, on: bool) -> None:
        self.edges.append(on)

    def exchange(self, byte: int) -> int:
        answer, self.last = self.last, byte
        return answer


def test_chip_select_stays_low_over_a_burst_in_any_state_an_earlier_program_left(drivers):
    spi = drivers.chip.spi
    spi.registers.update({0x00: 0, 0x04: 3, 0x10: 2, 0x14: 0, 0x18: 2, 0x40: 0x40007, 0x70: 3})
    spi.incoming = [(0.0, 0xAA)] * 8
    drivers.chip.gpio.registers.update({0x3C: 0xFFFFFFFF, 0x40: 0xFFFFFFFF})
    spi.device = echo = Echo()
    drivers.at(320_000_000).c.fe310_spi1_init(2, 4_000_000)
    drivers.c.fe310_spi1_select()
    assert [drivers.c.fe310_spi1_transfer(byte) for byte in (1, 2, 3)] == [0x11, 1, 2]
    assert echo.edges == [True]
    drivers.c.fe310_spi1_release()
    assert echo.edges == [True, False]
    assert spi.sck_hz == {4_000_000}
    assert spi.registers[0x70] == 0


def test_a_stuck_spi_ends_the_wait(drivers):
    drivers.c.fe310_spi1_init(2, 4_000_000)
    drivers.chip.spi.stuck = True
    start = drivers.chip.us
    assert drivers.c.fe310_spi1_transfer(0x55) == -5
    assert 1_000 <= drivers.chip.us - start < 10_000


@pytest.mark.parametrize("core_hz", CLOCKS)
@pytest.mark.parametrize("microseconds", [1, 5, 1000])
def test_delays_are_never_short(drivers, core_hz, microseconds):
    drivers.at(core_hz)
    start = drivers.chip.us
    drivers.c.fe310_delay_us(microseconds)
    assert microseconds * 0.999 <= drivers.chip.us - start <= 1.2 * microseconds + 1


def test_no_delay_is_no_delay(drivers):
    start = drivers.chip.us
    drivers.c.fe310_delay_us(0)
    assert drivers.chip.us == start


@pytest.mark.parametrize("milliseconds", [0, 1, 10, 100])
@pytest.mark.parametrize("phase", [0.1, 15.0, 29.0])
def test_sleeps_by_mtime(drivers, milliseconds, phase):
    """Whenever within a tick, of 30.5 us, the sleep begins."""
    drivers.at(160_000_000)
    assert drivers.c.fe310_timer_init() == 0
    drivers.c.fe310_delay_us(1)
    drivers.chip.us = 1e6 / 32768 * 10_000 + phase
    start = drivers.chip.us
    drivers.c.fe310_sleep_ms(milliseconds)
    assert milliseconds * 1000 <= drivers.chip.us - start <= milliseconds * 1000 + 100


def test_a_dead_rtc_is_said_and_sleeps_are_counted(drivers):
    drivers.chip.rtc_runs = False
    assert drivers.c.fe310_timer_init() == -7
    start = drivers.chip.us
    drivers.c.fe310_sleep_ms(20)
    assert 20_000 * 0.999 <= drivers.chip.us - start <= 30_000


@pytest.mark.parametrize(
    ("ticks", "tenths"), [(0, 0), (1, 0), (2, 1), (32768, 10_000), (327, 100), (4_000_000_000, 1_220_703_125)]
)
def test_ticks_to_tenths_of_a_millisecond(drivers, ticks, tenths):
    assert drivers.c.fe310_ticks_to_tenths(ctypes.c_uint32(ticks)) == tenths


def test_memory_functions_do_what_bytes_do(drivers):
    """Every alignment, sizes 0..70, overlapping both ways."""
    rng = random.Random(2)
    c = drivers.c
    for _ in range(600):
        before = bytes(rng.randrange(256) for _ in range(160))
        to, source, size = rng.randrange(80), rng.randrange(80), rng.randrange(71)
        value = rng.randrange(-300, 300)
        buffer = (ctypes.c_uint8 * 160).from_buffer_copy(before)
        base = ctypes.addressof(buffer)

        c.fe310_memmove(ctypes.c_void_p(base + to), ctypes.c_void_p(base + source), ctypes.c_size_t(size))
        expected = bytearray(before)
        expected[to : to + size] = before[source : source + size]
        assert bytes(buffer) == bytes(expected)

        c.fe310_memset(ctypes.c_void_p(base + to), value, ctypes.c_size_t(size))
        expected[to : to + size] = bytes([value & 0xFF]) * size
        assert bytes(buffer) == bytes(expected)

        other = (ctypes.c_uint8 * 160).from_buffer_copy(before)
        shift = rng.randrange(8)
        c.fe310_memcpy(
            ctypes.c_void_p(base + to), ctypes.c_void_p(ctypes.addressof(other) + shift), ctypes.c_size_t(size)
        )
        expected[to : to + size] = before[shift : shift + size]
        assert bytes(buffer) == bytes(expected)

        left, right = bytes(buffer[to : to + size]), bytes(other[to : to + size])
        order = c.fe310_memcmp(
            ctypes.c_void_p(base + to), ctypes.c_void_p(ctypes.addressof(other) + to), ctypes.c_size_t(size)
        )
        assert (order > 0) - (order < 0) == (left > right) - (left < right)


def test_waits_end_without_an_rtc_too(drivers):
    drivers.chip.rtc_runs = False
    drivers.c.fe310_timer_init()
    drivers.c.fe310_spi1_init(2, 4_000_000)
    drivers.chip.spi.stuck = True
    start = drivers.chip.us
    assert drivers.c.fe310_spi1_transfer(0x55) == -5
    assert 1_000 <= drivers.chip.us - start < 20_000
