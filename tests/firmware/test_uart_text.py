"""UART: divisor, waiting for the last character. Text: numbers as they should read."""

from __future__ import annotations

import ctypes
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest

CLOCKS = [14_400_000, 16_000_000, 64_000_000, 160_000_000, 256_000_000, 320_000_000, 352_000_000]


@pytest.mark.parametrize("core_hz", CLOCKS)
@pytest.mark.parametrize("baud", [9_600, 115_200])
def test_divisor_is_the_nearest(drivers, core_hz, baud):
    div = drivers.c.fe310_uart_divisor(core_hz, baud)
    errors = {candidate: abs(core_hz / (candidate + 1) - baud) for candidate in (div - 1, div, div + 1)}
    assert errors[div] == min(errors.values())
    assert errors[div] / baud < 0.01
    assert 0 < div < 1 << 16


@pytest.mark.parametrize("core_hz", CLOCKS[1:])
def test_text_leaves_at_115200_baud_after_every_clock_change(drivers, core_hz):
    """The divisor is never changed under a character: the simulated UART objects to it."""
    drivers.c.fe310_uart_init(115_200)
    drivers.c.fe310_print(b"before the change of the clock\n")
    drivers.at(core_hz)
    drivers.c.fe310_print(b"after\n")
    uart = drivers.chip.uart
    assert uart.text == "before the change of the clock\r\nafter\r\n"
    assert all(abs(baud - 115_200) / 115_200 < 0.01 for _, baud in uart.sent)
    assert drivers.chip.gpio.registers[0x38] & (1 << 17) and not drivers.chip.gpio.registers[0x3C] & (1 << 17)


def test_characters_of_an_earlier_program_are_let_out(drivers):
    uart = drivers.chip.uart
    uart.txctrl, uart.div, uart.ie = 1, 3055, 3
    uart.fifo = list(b"old text")
    assert drivers.c.fe310_uart_init(115_200) == 0
    drivers.c.fe310_print(b"new")
    assert uart.text == "old textnew"
    assert uart.ie == 0


def test_a_stuck_uart_ends_every_wait(drivers):
    drivers.c.fe310_uart_init(115_200)
    drivers.chip.uart.stuck = True
    for _ in range(8):
        assert drivers.c.fe310_uart_write(ord("x")) == 0
    start = drivers.chip.us
    assert drivers.c.fe310_uart_write(ord("x")) == -4
    assert 20_000 <= drivers.chip.us - start < 100_000
    assert drivers.c.fe310_uart_drain() == -4
    assert drivers.chip.us - start < 400_000


def printed(drivers, call) -> str:
    drivers.at(320_000_000)
    drivers.c.fe310_uart_init(115_200)
    call(drivers.c)
    return drivers.chip.uart.text


@pytest.mark.parametrize("value", [0, 1, 9, 10, 4_294_967_295, 1_000_000_000])
def test_unsigned(drivers, value):
    assert printed(drivers, lambda c: c.fe310_print_unsigned(ctypes.c_uint32(value))) == str(value)


@pytest.mark.parametrize("value", [0, -1, 2_147_483_647, -2_147_483_648])
def test_signed(drivers, value):
    assert printed(drivers, lambda c: c.fe310_print_signed(ctypes.c_int32(value))) == str(value)


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (-1234, 2, "-12.34"),
        (5, 2, "0.05"),
        (-5, 2, "-0.05"),
        (0, 1, "0.0"),
        (3032, 1, "303.2"),
        (7, 0, "7"),
        (-2_147_483_648, 2, "-21474836.48"),
        (1, 9, "0.000000001"),
        (2_147_483_647, 9, "2.147483647"),
    ],
)
def test_fixed_point(drivers, value, decimals, text):
    assert printed(drivers, lambda c: c.fe310_print_fixed(ctypes.c_int32(value), decimals)) == text


def test_hex(drivers):
    def call(c):
        c.fe310_print_hex(ctypes.c_uint32(0x2642), 4)
        c.fe310_print_hex(ctypes.c_uint32(0xDEADBEEF), 8)
        c.fe310_print_hex(0, 1)

    assert printed(drivers, call) == "0x26420xDEADBEEF0x0"


def expected_float2(value: np.float32) -> str:
    """Two decimals of the float's exact value, halves away from zero; no minus before 0.00."""
    if np.isnan(value):
        return "nan"
    if np.isinf(value):
        return "-inf" if value < 0 else "inf"
    limit = Decimal(2**31 - 1) / 100
    rounded = min(Decimal(float(abs(value))), limit).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return f"{'-' if value < 0 and rounded else ''}{rounded}"


def test_floats_to_two_decimals(drivers):
    rng = np.random.default_rng(1)
    special = [
        0.0,
        -0.0,
        0.005,
        0.00499,
        -0.005,
        0.125,
        0.375,
        1.0,
        -1.5,
        99.995,
        1e-45,
        1e-38,
        np.nan,
        np.inf,
        -np.inf,
    ]
    special += [21_474_836.0, 21_474_836.5, 33_554_432.0, -1e30, 2.0**23, 2.0**24, 2.0**-9, 12345.678]
    values = np.array([*special, *rng.normal(0, 30, 300), *(2.0 ** rng.uniform(-30, 30, 200))], np.float32)

    def call(c):
        for value in values:
            c.fe310_print_float2(ctypes.c_float(value))
            c.fe310_print(b"\n")

    assert printed(drivers, call).split("\r\n")[:-1] == [expected_float2(value) for value in values]


def test_labels_cannot_steer_a_terminal(drivers):
    label = "a\x1b[2J\r\n\x7f caf\u00e9".encode()
    assert printed(drivers, lambda c: c.fe310_print_label(label)) == r"a\x1B[2J\x0D\x0A\x7F café"
