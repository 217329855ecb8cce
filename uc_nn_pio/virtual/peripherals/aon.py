"""AON: watchdog, real-time clock, backup and power registers (FE310-G000 manual v2, chapters 11 to 14).

Interrupt line 0 is the watchdog's (``wdogcmpip``, which stays until it is written 0), line 1 the clock's (``rtccmpip``,
true while ``rtcs`` is at or past ``rtccmp``). Details from sifive-blocks WatchdogTimer.scala and Timer.scala.
"""

from __future__ import annotations

from collections.abc import Callable

from uc_nn_pio.virtual.bus import BusError, Peripheral, Register
from uc_nn_pio.virtual.clock import PS_PER_SECOND, Clock, Event
from uc_nn_pio.virtual.reports import Reports

KEY = 0x51_F15E
FOOD = 0xD09_F00D
RSTEN = 1 << 8
ZEROCMP = 1 << 9
ENALWAYS = 1 << 12
ENCOREAWAKE = 1 << 13
CMPIP = 1 << 28
RESET_BY_WATCHDOG = 2 << 8  # pmucause, field resetcause
RTC_MASK = (1 << 48) - 1


class Aon(Peripheral):
    """The watchdog counts the 32,768 Hz clock. A write to its registers counts only right behind the key."""

    REGISTERS = (
        Register(0x00, "wdogcfg"),
        Register(0x08, "wdogcount"),
        Register(0x10, "wdogs"),
        Register(0x18, "wdogfeed"),
        Register(0x1C, "wdogkey"),
        Register(0x20, "wdogcmp", 0xFFFF),
        Register(0x40, "rtccfg"),
        Register(0x48, "rtclo"),
        Register(0x4C, "rtchi"),
        Register(0x50, "rtcs"),
        Register(0x60, "rtccmp", 0xFFFF_FFFF),
        Register(0x70, "lfrosccfg", 0xC000_0000),
        *(Register(0x80 + 4 * i, f"backup{i}") for i in range(32)),
        *(Register(0x100 + 4 * i, f"pmuwakeupi{i}") for i in range(8)),
        *(Register(0x120 + 4 * i, f"pmusleepi{i}") for i in range(8)),
        Register(0x140, "pmuie"),
        Register(0x144, "pmucause"),
        Register(0x148, "pmusleep"),
        Register(0x14C, "pmukey"),
    )

    def __init__(self, clock: Clock, reports: Reports, rtc_hz: int, on_reset: Callable[[], None]) -> None:
        self._rtc_hz = rtc_hz
        self._on_reset = on_reset
        self._unlocked = False
        self._origin = 0  # of the watchdog counter, in ticks
        self._rtc_origin = 0
        self._alarm: Event | None = None
        self._rtc_alarm: Event | None = None
        super().__init__("AON", 0x1000_0000, clock, reports)

    def reset(self) -> None:
        backup = {name: value for name, value in self.values.items() if name.startswith("backup")}
        super().reset()
        self.values.update(backup)
        self._unlocked = False
        self.clock.cancel(self._alarm)
        self.clock.cancel(self._rtc_alarm)
        self._alarm = self._rtc_alarm = None

    def arm(self, ticks: int) -> None:
        """Watchdog on, reset enabled, expiring in ``ticks``: as a firmware that ran before may have left it."""
        self.values["wdogcfg"] = RSTEN | ENALWAYS
        self.values["wdogcmp"] = min(ticks, 0xFFFF)
        self._restart(0)

    def _running(self) -> bool:
        return bool(self.values["wdogcfg"] & (ENALWAYS | ENCOREAWAKE))

    def _count(self) -> int:
        if not self._running():
            return self.values["wdogcount"]
        return self.clock.ticks(self._rtc_hz) - self._origin & 0x7FFF_FFFF

    def _restart(self, count: int) -> None:
        self.values["wdogcount"] = count
        self._origin = self.clock.ticks(self._rtc_hz) - count
        self.clock.cancel(self._alarm)
        self._alarm = None
        if self._running():
            scale = self.values["wdogcfg"] & 0xF
            due = self._origin + (self.values["wdogcmp"] << scale)
            self._alarm = self.clock.at_ps(-(-due * PS_PER_SECOND // self._rtc_hz), self._expired, hard=True)

    def _expired(self) -> None:
        self._alarm = None
        self.values["wdogcfg"] |= CMPIP
        if self.values["wdogcfg"] & RSTEN:
            self.reports.add("watchdog", "the watchdog expired and reset the chip")
            self._on_reset()
            self.values["pmucause"] = RESET_BY_WATCHDOG
            return
        if self.values["wdogcfg"] & ZEROCMP:
            self._restart(0)
        self.signal()

    def _locked_write(self, name: str) -> bool:
        if self._unlocked:
            self._unlocked = False
            return False
        self.reports.add("watchdog", f"a write to {name} without the key 0x51F15E in wdogkey was ignored")
        return True

    def read_wdogcount(self) -> int:
        return self._count()

    def read_wdogs(self) -> int:
        return self._count() >> (self.values["wdogcfg"] & 0xF) & 0xFFFF

    def read_wdogfeed(self) -> int:
        return 0

    def write_wdogs(self, value: int) -> None:
        """Read-only."""

    def read_wdogkey(self) -> int:
        return int(self._unlocked)

    def write_wdogkey(self, value: int) -> None:
        self._unlocked = value == KEY

    def write_wdogcfg(self, value: int) -> None:
        if not self._locked_write("wdogcfg"):
            count = self._count()
            self.values["wdogcfg"] = value & 0x1000_330F
            self._restart(count)

    def write_wdogcount(self, value: int) -> None:
        if not self._locked_write("wdogcount"):
            self._restart(value & 0x7FFF_FFFF)

    def write_wdogfeed(self, value: int) -> None:
        if not self._locked_write("wdogfeed") and value == FOOD:
            self._restart(0)

    def write_wdogcmp(self, value: int) -> None:
        if not self._locked_write("wdogcmp"):
            self.values["wdogcmp"] = value & 0xFFFF
            self._restart(self._count())

    def _rtc(self) -> int:
        if not self.values["rtccfg"] & ENALWAYS:
            return self._rtc_origin
        return self.clock.ticks(self._rtc_hz) - self._rtc_origin & RTC_MASK

    def _set_rtc(self, count: int) -> None:
        on = self.values["rtccfg"] & ENALWAYS
        self._rtc_origin = self.clock.ticks(self._rtc_hz) - count if on else count

    def write_rtccfg(self, value: int) -> None:
        count = self._rtc()
        self.values["rtccfg"] = value & 0x100F  # rtccmpip is read-only
        self._set_rtc(count)

    def read_rtccfg(self) -> int:
        return self.values["rtccfg"] | (CMPIP if self._rtc_elapsed() else 0)

    def write_rtclo(self, value: int) -> None:
        self._set_rtc(self._rtc() & ~0xFFFF_FFFF | value)

    def write_rtchi(self, value: int) -> None:
        self._set_rtc(self._rtc() & 0xFFFF_FFFF | value << 32 & RTC_MASK)

    def write_rtcs(self, value: int) -> None:
        """Read-only."""

    def read_rtclo(self) -> int:
        return self._rtc() & 0xFFFF_FFFF

    def read_rtchi(self) -> int:
        return self._rtc() >> 32

    def read_rtcs(self) -> int:
        return self._rtc() >> (self.values["rtccfg"] & 0xF) & 0xFFFF_FFFF

    def _rtc_elapsed(self) -> bool:
        return self.read_rtcs() >= self.values["rtccmp"]

    def interrupt_lines(self) -> int:
        """Also sets the alarm for the next change of the clock's line."""
        self.clock.cancel(self._rtc_alarm)
        self._rtc_alarm = None
        elapsed = self._rtc_elapsed()
        if self.values["rtccfg"] & ENALWAYS and not elapsed:
            scale = self.values["rtccfg"] & 0xF
            high = self._rtc() & ~((1 << 32 + scale) - 1)
            due = self._rtc_origin + (high | self.values["rtccmp"] << scale)
            self._rtc_alarm = self.clock.at_ps(-(-due * PS_PER_SECOND // self._rtc_hz), self.signal, hard=True)
        return (self.values["wdogcfg"] & CMPIP) >> 28 | elapsed << 1

    # -- power management -----------------------------------------------------------------------------------------

    def write_pmusleep(self, value: int) -> None:
        raise BusError(
            "AON.pmusleep: the chip was sent to sleep",
            "this model has no power management: nothing would wake it",
            "use wfi",
        )
