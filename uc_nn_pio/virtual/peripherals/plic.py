"""PLIC: priorities, enables, threshold, claim and complete (FE310-G000 manual v2, chapter 10; rocket-chip Plic.scala).

A gateway passes a line's level on as *pending* once; the line is looked at again when its handler has completed it. A
claim returns the enabled pending source of the highest priority, the lowest number among equals, whatever the
threshold; it only decides whether the core is interrupted. Priority 0 never interrupts.
"""

from __future__ import annotations

from collections.abc import Callable

from uc_nn_pio.virtual.bus import Peripheral, Register
from uc_nn_pio.virtual.clock import Clock
from uc_nn_pio.virtual.reports import Reports

# Interrupt numbers (FE310-G000 manual v2, chapter 10, table of PLIC sources): of each block's first line.
WATCHDOG = 1
RTC = 2
UART0 = 3
UART1 = 4
QSPI0 = 5
SPI1 = 6
SPI2 = 7
GPIO = 8  # 32 pins
PWM0, PWM1, PWM2 = 40, 44, 48  # four comparators each
SOURCES = 52  # number 0 means none

ALL = (1 << SOURCES) - 2


class Plic(Peripheral):
    """Interrupt controller of one core."""

    REGISTERS = (
        *(Register(4 * i, f"priority{i}") for i in range(1, SOURCES)),
        Register(0x1000, "pending1"),
        Register(0x1004, "pending2"),
        Register(0x2000, "enable1"),
        Register(0x2004, "enable2"),
        Register(0x20_0000, "threshold"),
        Register(0x20_0004, "claim"),
    )

    def __init__(self, clock: Clock, reports: Reports) -> None:
        self._levels = 0
        self._pending = 0
        self._in_service = 0  # claimed and not completed: their gateways are shut
        self._sources: list[tuple[Peripheral, int, int]] = []  # first source, mask of its lines
        self.interrupting = False  # the line to the core
        # Called when that line changes.
        self.on_change: Callable[[], None] = lambda: None
        super().__init__("PLIC", 0x0C00_0000, clock, reports, size=0x20_1000)
        for number in range(1, SOURCES):
            self._writers[4 * number] = self._priority_writer(f"priority{number}")

    def connect(self, peripheral: Peripheral, first: int, lines: int = 1) -> None:
        """Wire a peripheral's ``lines`` interrupt lines to sources ``first`` and up."""
        mask = (1 << lines) - 1 << first
        self._sources.append((peripheral, first, mask))

        def changed(levels: int) -> None:
            self._levels = self._levels & ~mask | levels << first & mask
            self._update()

        peripheral.on_lines = changed

    def reset(self) -> None:
        super().reset()
        self._pending = self._in_service = 0
        self._tell_enabled()
        self._update()

    # -- registers ------------------------------------------------------------------------------------------------

    def _priority_writer(self, name: str) -> Callable[[int], None]:
        def write(value: int) -> None:
            self.values[name] = value & 7
            self._update()

        return write

    def read_pending1(self) -> int:
        return self._pending & 0xFFFF_FFFF

    def read_pending2(self) -> int:
        return self._pending >> 32

    def write_pending1(self, value: int) -> None:
        """Read-only."""

    def write_pending2(self, value: int) -> None:
        """Read-only."""

    def write_enable1(self, value: int) -> None:
        self.values["enable1"] = value & ALL
        self._tell_enabled()
        self._update()

    def write_enable2(self, value: int) -> None:
        self.values["enable2"] = value & ALL >> 32
        self._tell_enabled()
        self._update()

    def write_threshold(self, value: int) -> None:
        self.values["threshold"] = value & 7
        self._update()

    def read_claim(self) -> int:
        source = self._best()
        if source:
            self.pure_read = False
            self._pending &= ~(1 << source)
            self._in_service |= 1 << source
            self._update()
        return source

    def write_claim(self, value: int) -> None:
        """Completion; of a source that is not enabled it is ignored."""
        if value < SOURCES and self._enabled() >> value & 1:
            self._in_service &= ~(1 << value)
            self._update()

    # -- inside ---------------------------------------------------------------------------------------------------

    def _enabled(self) -> int:
        return self.values["enable1"] | self.values["enable2"] << 32

    def _tell_enabled(self) -> None:
        """Some peripherals compute their interrupts only while somebody listens."""
        enabled = self._enabled()
        for peripheral, first, mask in self._sources:
            lines = (enabled & mask) >> first
            if lines != peripheral.enabled_lines:
                peripheral.enabled_lines = lines
                peripheral.signal()

    def _best(self) -> int:
        waiting = self._pending & self._enabled()
        best = priority = 0
        while waiting:
            source = (waiting & -waiting).bit_length() - 1
            waiting &= waiting - 1
            if self.values[f"priority{source}"] > priority:
                best, priority = source, self.values[f"priority{source}"]
        return best

    def _update(self) -> None:
        new = self._levels & ~self._in_service & ~self._pending
        if new:
            self._pending |= new
            self.clock.epoch += 1
        best = self._best()
        interrupting = best != 0 and self.values[f"priority{best}"] > self.values["threshold"]
        if interrupting != self.interrupting:
            self.interrupting = interrupting
            self.on_change()
