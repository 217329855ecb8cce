"""CLINT: software interrupt, timer, timer compare (FE310-G000 manual v2, chapter 7)."""

from __future__ import annotations

from collections.abc import Callable

from uc_nn_pio.virtual.bus import Peripheral, Register
from uc_nn_pio.virtual.clock import PS_PER_SECOND, Clock, Event
from uc_nn_pio.virtual.reports import Reports

MSIP = 1 << 3
MTIP = 1 << 7


class Clint(Peripheral):
    """``mtime`` counts the 32,768 Hz crystal; writing it moves its origin."""

    REGISTERS = (
        Register(0x0, "msip"),
        Register(0x4000, "mtimecmp", 0xFFFF_FFFF),
        Register(0x4004, "mtimecmph", 0xFFFF_FFFF),
        Register(0xBFF8, "mtime"),
        Register(0xBFFC, "mtimeh"),
    )

    def __init__(self, clock: Clock, reports: Reports, rtc_hz: int) -> None:
        self._rtc_hz = rtc_hz
        self._origin = 0
        self._alarm: Event | None = None
        # Called when a pending interrupt appears or goes.
        self.on_change: Callable[[], None] = lambda: None
        super().__init__("CLINT", 0x0200_0000, clock, reports, size=0x1_0000)

    def reset(self) -> None:
        super().reset()
        self.clock.cancel(self._alarm)
        self._alarm = None
        self._origin = self.clock.ticks(self._rtc_hz)

    def time(self) -> int:
        """mtime, 64 bits."""
        return (self.clock.ticks(self._rtc_hz) - self._origin) & (1 << 64) - 1

    def pending(self) -> int:
        """Bits of mip that this block drives."""
        bits = MSIP if self.values["msip"] & 1 else 0
        return bits | (MTIP if self.time() >= self._compare() else 0)

    def _compare(self) -> int:
        return self.values["mtimecmph"] << 32 | self.values["mtimecmp"]

    def read_mtime(self) -> int:
        return self.time() & 0xFFFF_FFFF

    def read_mtimeh(self) -> int:
        return self.time() >> 32

    def write_mtime(self, value: int) -> None:
        self._set_time(self.time() & ~0xFFFF_FFFF | value)

    def write_mtimeh(self, value: int) -> None:
        self._set_time(self.time() & 0xFFFF_FFFF | value << 32)

    def write_msip(self, value: int) -> None:
        self.values["msip"] = value & 1
        self.on_change()

    def write_mtimecmp(self, value: int) -> None:
        self.values["mtimecmp"] = value
        self._arm()

    def write_mtimecmph(self, value: int) -> None:
        self.values["mtimecmph"] = value
        self._arm()

    def _set_time(self, value: int) -> None:
        self._origin = self.clock.ticks(self._rtc_hz) - value
        self.clock.epoch += 1
        self._arm()

    def _arm(self) -> None:
        self.clock.cancel(self._alarm)
        self._alarm = None
        due = self._compare() + self._origin
        if self._compare() > self.time() and due < 1 << 48:
            self._alarm = self.clock.at_ps(-(-due * PS_PER_SECOND // self._rtc_hz), self.on_change, hard=True)
        self.on_change()
