"""PRCI: oscillators, PLL and the core clock (FE310-G000 manual v2, chapter 6)."""

from __future__ import annotations

from uc_nn_pio.virtual.bus import BusError, Peripheral, Register
from uc_nn_pio.virtual.clock import PS_PER_SECOND, Clock
from uc_nn_pio.virtual.reports import Reports

HFROSC_HZ = 72_000_000  # nominal, before its divider; the part scatters, trim is not modelled
READY = 1 << 31
ENABLE = 1 << 30
PLL_LOCK_PS = 100 * PS_PER_SECOND // 10**6
OSCILLATOR_START_PS = 10 * PS_PER_SECOND // 10**6  # chosen: nobody publishes it

PLLSEL = 1 << 16
PLLREFSEL = 1 << 17
PLLBYPASS = 1 << 18


def pll_output_hz(pllcfg: int, plloutdiv: int, reference_hz: int) -> tuple[int, int, int]:
    """Reference after R, VCO and output frequency, in Hz, of an active PLL: f = ref / R x F / Q / output divider."""
    r = (pllcfg & 7) + 1
    f = 2 * ((pllcfg >> 4 & 0x3F) + 1)
    q = 1 << (pllcfg >> 10 & 3)
    divider = 1 if plloutdiv & 0x100 else 2 * ((plloutdiv & 0x3F) + 1)
    compare = reference_hz // r
    vco = reference_hz * f // r
    return compare, vco, vco // q // divider


class Prci(Peripheral):
    """Computes the core clock from the registers and tells the board's clock of every change."""

    REGISTERS = (
        Register(0x0, "hfrosccfg", ENABLE | 16 << 16 | 4),
        Register(0x4, "hfxosccfg", ENABLE),
        Register(0x8, "pllcfg", PLLREFSEL | PLLBYPASS | 3 << 10 | 31 << 4 | 1),
        Register(0xC, "plloutdiv", 1 << 8),
        Register(0xF0, "procmoncfg"),
    )

    def __init__(self, clock: Clock, reports: Reports, crystal_hz: int, core_max_hz: int) -> None:
        self._crystal_hz = crystal_hz
        self._core_max_hz = core_max_hz
        self.crystal_starts = True  # faults: oscillator and PLL that never get ready
        self.pll_locks = True
        super().__init__("PRCI", 0x1000_8000, clock, reports)
        # Ready times in picoseconds. After a reset the ring oscillator runs; the crystal needs its start.
        self._ready_ps = {"hfrosccfg": 0, "hfxosccfg": 0, "pllcfg": 0}
        clock.set_core_hz(self.core_hz())

    def reset(self) -> None:
        super().reset()
        self._ready_ps = dict.fromkeys(self._ready_ps, 0)
        self.clock.set_core_hz(self.core_hz())

    def set_pll(self, r: int, f: int, q: int) -> None:
        """Put the PLL on and select it, locked, as a firmware that ran before may have left it (R, F, Q as numbers)."""
        self.values["pllcfg"] = PLLREFSEL | PLLSEL | {1: 0, 2: 1, 4: 2, 8: 3}[q] << 10 | (f // 2 - 1) << 4 | r - 1
        self.clock.set_core_hz(self.core_hz())

    def set_crystal(self, hz: int) -> None:
        """Another crystal is fitted: all that runs on it changes with it."""
        self._crystal_hz = hz
        self.clock.set_core_hz(self.core_hz())

    def reference_hz(self) -> int:
        """What feeds the PLL."""
        return self._crystal_hz if self.values["pllcfg"] & PLLREFSEL else self._hfrosc_hz()

    def core_hz(self) -> int:
        """The core clock that the registers select; 0 if its source is off."""
        pllcfg = self.values["pllcfg"]
        if not pllcfg & PLLSEL:
            return self._hfrosc_hz()
        source_on = self.values["hfxosccfg" if pllcfg & PLLREFSEL else "hfrosccfg"] & ENABLE
        if not source_on:
            return 0
        if pllcfg & PLLBYPASS:
            divider = self.values["plloutdiv"]
            return self.reference_hz() // (1 if divider & 0x100 else 2 * ((divider & 0x3F) + 1))
        return pll_output_hz(pllcfg, self.values["plloutdiv"], self.reference_hz())[2]

    def _hfrosc_hz(self) -> int:
        value = self.values["hfrosccfg"]
        return HFROSC_HZ // ((value & 0x3F) + 1) if value & ENABLE else 0

    def read_hfrosccfg(self) -> int:
        return self._with_ready("hfrosccfg", self.values["hfrosccfg"] & ENABLE)

    def read_hfxosccfg(self) -> int:
        return self._with_ready("hfxosccfg", self.crystal_starts and self.values["hfxosccfg"] & ENABLE)

    def read_pllcfg(self) -> int:
        return self._with_ready("pllcfg", self.pll_locks and not self.values["pllcfg"] & PLLBYPASS)

    def _with_ready(self, name: str, on: int | bool) -> int:
        ready = on and self.clock.ps() >= self._ready_ps[name]
        return self.values[name] & ~READY | (READY if ready else 0)

    def write_hfrosccfg(self, value: int) -> None:
        self._write_oscillator("hfrosccfg", value)

    def write_hfxosccfg(self, value: int) -> None:
        self._write_oscillator("hfxosccfg", value)

    def _write_oscillator(self, name: str, value: int) -> None:
        if value & ENABLE and not self.values[name] & ENABLE:
            self._becomes_ready(name, OSCILLATOR_START_PS)
        self.values[name] = value & ~READY
        self._apply()

    def write_pllcfg(self, value: int) -> None:
        old = self.values["pllcfg"]
        if (old ^ value) & (0xFF7 | PLLREFSEL | PLLBYPASS) and not value & PLLBYPASS:
            self._becomes_ready("pllcfg", PLL_LOCK_PS)
        self.values["pllcfg"] = value & ~READY
        if value & PLLSEL and not value & PLLBYPASS:
            self._check_pll(value)
        self._apply()

    def write_plloutdiv(self, value: int) -> None:
        self.values["plloutdiv"] = value
        self._apply()

    def _becomes_ready(self, name: str, ps: int) -> None:
        self._ready_ps[name] = self.clock.ps() + ps
        self.clock.at_ps(self._ready_ps[name], lambda: None)  # a poll of the ready bit ends here

    def _check_pll(self, pllcfg: int) -> None:
        if self.clock.ps() < self._ready_ps["pllcfg"]:
            self.reports.add("clock", "the PLL was selected before it had locked (100 us after its last change)")
        compare, vco, output = pll_output_hz(pllcfg, self.values["plloutdiv"], self.reference_hz())
        if not pllcfg & 3 << 10:
            self.reports.add("clock", "pllq is 0, which the PLL does not support (1, 2, 3 divide by 2, 4, 8)")
        for what, hz, low, high in (
            ("reference after R", compare, 6, 12),
            ("VCO", vco, 384, 768),
            ("output", output, 0, self._core_max_hz // 10**6),
        ):
            if not low * 10**6 <= hz <= high * 10**6:
                self.reports.add("clock", f"PLL {what} is {hz / 1e6:g} MHz, outside {low} to {high} MHz")

    def _apply(self) -> None:
        hz = self.core_hz()
        if hz == 0:
            raise BusError(
                "the core clock was switched off",
                "pllsel and the oscillator enables select a source that does not run",
                "enable the new source and wait for its ready bit before leaving the old one",
            )
        self.clock.set_core_hz(hz)
