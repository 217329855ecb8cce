"""Core clock: arithmetic of the FE310-G000's PLL, and the order in which it may be touched."""

from __future__ import annotations

import ctypes
from fractions import Fraction

import pytest


class Pll(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("r", "f", "q", "bypass", "core_hz")]


def reachable() -> list[Fraction]:
    """Every output of the PLL that the manual allows, by its own formula: 16 MHz / R x F / Q."""
    found = set()
    for r in (1, 2, 3, 4):
        for f in range(2, 129, 2):
            for q in (2, 4, 8):
                reference, vco = Fraction(16_000_000, r), Fraction(16_000_000, r) * f
                if 6_000_000 <= reference <= 12_000_000 and 384_000_000 <= vco <= 768_000_000:
                    found.add(vco / q)
    return sorted(found)


@pytest.mark.parametrize("hz", [320_000_000, 352_000_000, 256_000_000, 160_000_000, 64_000_000])
def test_usual_clocks_are_exact(drivers, hz):
    pll = Pll()
    assert drivers.c.fe310_pll_find(hz, ctypes.byref(pll)) == 0
    assert pll.core_hz == hz
    assert Fraction(16_000_000, pll.r + 1) * 2 * (pll.f + 1) / 2**pll.q == hz
    assert not pll.bypass


def test_the_paper_s_clock_has_the_paper_s_factors(drivers):
    pll = Pll()
    drivers.c.fe310_pll_find(352_000_000, ctypes.byref(pll))
    assert (pll.r + 1, 2 * (pll.f + 1), 2**pll.q) == (2, 88, 2)


@pytest.mark.parametrize("hz", [48_000_000, 50_000_001, 99_999_999, 200_123_456, 333_333_333, 384_000_000])
def test_other_clocks_get_the_fastest_that_is_not_above(drivers, hz):
    pll = Pll()
    assert drivers.c.fe310_pll_find(hz, ctypes.byref(pll)) == 0
    assert pll.core_hz == max(clock for clock in reachable() if clock <= hz)


@pytest.mark.parametrize("hz", [0, 1_000_000, 16_000_001, 47_999_999, 384_000_001, 4_000_000_000])
def test_clocks_out_of_reach_are_refused(drivers, hz):
    assert drivers.c.fe310_pll_find(ctypes.c_uint32(hz), ctypes.byref(Pll())) == -1
    assert drivers.c.fe310_clock_set(ctypes.c_uint32(hz)) == -1


@pytest.mark.parametrize("hz", [320_000_000, 352_000_000, 160_000_000, 16_000_000])
def test_the_core_runs_at_the_clock_that_was_set(drivers, hz):
    assert drivers.c.fe310_clock_set(hz) == 0
    assert drivers.chip.prci.core_hz() == hz == drivers.c.fe310_core_hz()
    assert drivers.chip.prci.plloutdiv == 0x100


def test_from_a_running_pll_to_another(drivers):
    """After an upload the core runs on the last firmware's PLL: it must leave it before it is changed."""
    drivers.chip.prci.warm(1 << 16 | 1 << 17 | 1 | 43 << 4 | 1 << 10)
    assert drivers.chip.prci.core_hz() == 352_000_000
    assert drivers.c.fe310_clock_set(320_000_000) == 0
    assert drivers.c.fe310_clock_set(256_000_000) == 0
    assert drivers.chip.prci.core_hz() == 256_000_000


def test_a_pll_that_does_not_lock(drivers):
    drivers.chip.prci.pll_locks = False
    assert drivers.c.fe310_clock_set(320_000_000) == -3
    assert drivers.chip.prci.core_hz() == 14_400_000 == drivers.c.fe310_core_hz()
    assert drivers.chip.us < 200_000


def test_a_dead_crystal(drivers):
    drivers.chip.prci.crystal_works = False
    assert drivers.c.fe310_clock_set(320_000_000) == -2
    assert drivers.chip.prci.core_hz() == 14_400_000 == drivers.c.fe310_core_hz()
    assert drivers.chip.us < 200_000


@pytest.mark.parametrize("percent", [-20, -5, -2.5, 3, 6])
def test_a_crystal_of_another_frequency(drivers, percent):
    """mtime tells; from then on the core clock is the measured one, so the UART stays within a receiver's 2 %."""
    drivers.chip.prci.crystal_hz = 16e6 * (1 + percent / 100)
    assert drivers.c.fe310_timer_init() == 0 == drivers.c.fe310_uart_init(115_200)
    assert drivers.c.fe310_clock_set(256_000_000) == -9
    real = drivers.chip.prci.core_hz()
    assert real == 256e6 * (1 + percent / 100)
    assert abs(drivers.c.fe310_core_hz() / real - 1) < 0.01
    assert abs(real / (drivers.c.fe310_uart_divisor(drivers.c.fe310_core_hz(), 115_200) + 1) / 115_200 - 1) < 0.01


@pytest.mark.parametrize("percent", [-1.5, -0.005, 0, 1.5])
def test_a_crystal_within_its_tolerance(drivers, percent):
    drivers.chip.prci.crystal_hz = 16e6 * (1 + percent / 100)
    assert drivers.c.fe310_clock_set(320_000_000) == 0
    assert drivers.c.fe310_core_hz() == 320_000_000


def test_a_clock_beside_an_mtime_that_stands_is_not_measured(drivers):
    drivers.chip.rtc_runs = False
    assert drivers.c.fe310_timer_init() == -7
    assert drivers.c.fe310_clock_set(320_000_000) == 0


def test_every_code_has_its_line(drivers):
    lines = [drivers.c.fe310_error_text(code) for code in range(-10, 0)]
    assert None not in lines and len(set(lines)) == 10
    assert drivers.c.fe310_error_text(0) is None and drivers.c.fe310_error_text(-11) is None
