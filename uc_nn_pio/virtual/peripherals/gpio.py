"""GPIO at pin level: 32 pads with drivers, pull-ups and pin muxing (FE310-G000 manual v2, chapter 17; GPIO.scala).

``value`` is a pad's level where ``input_en`` is set, else 0. The pending bits follow ``value``: an edge of it sets
``rise_ip`` or ``fall_ip``, its level sets ``high_ip`` or ``low_ip`` again as long as it lasts; a 1 written clears.
"""

from __future__ import annotations

from collections.abc import Callable

from uc_nn_pio.virtual.bus import Peripheral, Register
from uc_nn_pio.virtual.clock import Clock
from uc_nn_pio.virtual.reports import Reports

PINS = 32


class Gpio(Peripheral):
    """Pads resolve from all who drive them: the chip's port or a peripheral behind the pin mux, the outside, a pull-up.

    A line that nobody drives reads 1 only with a pull-up. Two drivers that disagree are reported; the low one wins.
    """

    REGISTERS = (
        Register(0x00, "value"),
        Register(0x04, "input_en"),
        Register(0x08, "output_en"),
        Register(0x0C, "port"),
        Register(0x10, "pue"),
        Register(0x14, "ds"),
        Register(0x18, "rise_ie"),
        Register(0x1C, "rise_ip"),
        Register(0x20, "fall_ie"),
        Register(0x24, "fall_ip"),
        Register(0x28, "high_ie"),
        Register(0x2C, "high_ip"),
        Register(0x30, "low_ie"),
        Register(0x34, "low_ip"),
        Register(0x38, "iof_en"),
        Register(0x3C, "iof_sel"),
        Register(0x40, "out_xor"),
    )

    def __init__(self, clock: Clock, reports: Reports) -> None:
        self.levels = 0  # of all pads, as a word
        self._value = 0  # what register value shows
        self._iof_levels = [0, 0]
        self._iof_drives = [0, 0]  # which pads a peripheral behind the mux drives
        self._outside: dict[int, dict[str, int]] = {}  # pin -> driver -> level
        self._outside_pull_ups = 0
        self._watchers: list[tuple[int, Callable[[int], None]]] = []
        super().__init__("GPIO", 0x1001_2000, clock, reports)

    def reset(self) -> None:
        super().reset()
        self._resolve()

    # -- the world outside and the peripherals behind the mux ---------------------------------------------------

    def watch(self, mask: int, function: Callable[[int], None]) -> None:
        """Call ``function(levels)`` whenever a pad in ``mask`` changes."""
        self._watchers.append((mask, function))

    def drive(self, pin: int, driver: str, level: int | None) -> None:
        """The outside drives ``pin`` to 0 or 1, or lets go (``None``)."""
        drivers = self._outside.setdefault(pin, {})
        if level is None:
            drivers.pop(driver, None)
        else:
            drivers[driver] = level
        self._resolve()

    def pull_up_outside(self, pin: int) -> None:
        """Fit a pull-up resistor on the board."""
        self._outside_pull_ups |= 1 << pin
        self._resolve()

    def set_iof(self, pin: int, select: int, level: int) -> None:
        """A peripheral's output behind the pin mux takes a level."""
        bit = 1 << pin
        before = self._iof_levels[select], self._iof_drives[select]
        self._iof_drives[select] |= bit
        self._iof_levels[select] = self._iof_levels[select] & ~bit | (bit if level else 0)
        if before != (self._iof_levels[select], self._iof_drives[select]):
            self._resolve()

    def muxed(self, pin: int, select: int = 0) -> bool:
        """Whether the pad belongs to peripheral function ``select``."""
        return bool(self.values["iof_en"] >> pin & 1) and (self.values["iof_sel"] >> pin & 1) == select

    def muxed_all(self, mask: int) -> bool:
        """Whether all pads in ``mask`` belong to peripheral function 0."""
        return self.values["iof_en"] & ~self.values["iof_sel"] & mask == mask

    def level(self, pin: int) -> int:
        """The pad's level."""
        return self.levels >> pin & 1

    def reaches(self, pin: int, select: int = 0) -> bool:
        """Whether the pad's level gets to a peripheral behind the mux: its input is on, by the mux or input_en."""
        return self.muxed(pin, select) or bool(self.values["input_en"] >> pin & 1)

    def floating_level(self, pin: int) -> int:
        """What an input reads when nobody drives the pad."""
        return (self.values["pue"] | self._outside_pull_ups) >> pin & 1

    # -- registers -----------------------------------------------------------------------------------------------

    def read_value(self) -> int:
        return self.levels & self.values["input_en"]

    def write_value(self, value: int) -> None:
        """Read-only."""

    def write(self, offset: int, size: int, value: int) -> None:
        super().write(offset, size, value)
        self._resolve()

    def interrupt_lines(self) -> int:
        v = self.values
        return (
            v["rise_ip"] & v["rise_ie"] | v["fall_ip"] & v["fall_ie"]
            | v["high_ip"] & v["high_ie"] | v["low_ip"] & v["low_ie"]
        )  # fmt: skip

    def write_rise_ip(self, value: int) -> None:
        self.values["rise_ip"] &= ~value

    def write_fall_ip(self, value: int) -> None:
        self.values["fall_ip"] &= ~value

    def write_high_ip(self, value: int) -> None:
        self.values["high_ip"] &= ~value

    def write_low_ip(self, value: int) -> None:
        self.values["low_ip"] &= ~value

    def _resolve(self) -> None:
        v = self.values
        by_iof1 = v["iof_en"] & v["iof_sel"]
        by_iof0 = v["iof_en"] & ~v["iof_sel"]
        drives = v["output_en"] & ~v["iof_en"] | by_iof0 & self._iof_drives[0] | by_iof1 & self._iof_drives[1]
        out = v["port"] & ~v["iof_en"] | by_iof0 & self._iof_levels[0] | by_iof1 & self._iof_levels[1]
        out = (out ^ v["out_xor"]) & drives
        levels = out | (v["pue"] | self._outside_pull_ups) & ~drives
        for pin, drivers in self._outside.items():
            if drivers:
                levels = self._resolve_outside(pin, drivers, drives, out, levels)
        self._update(levels & 0xFFFF_FFFF)

    def _resolve_outside(self, pin: int, drivers: dict[str, int], drives: int, out: int, levels: int) -> int:
        bit = 1 << pin
        level = min(drivers.values())
        if level != max(drivers.values()):
            who = ", ".join(f"{name} {value}" for name, value in sorted(drivers.items()))
            self.reports.add("pins", f"GPIO{pin}: drivers outside the chip disagree: {who}")
        if drives & bit:
            inside = 1 if out & bit else 0
            if inside != level:
                self.reports.add(
                    "pins", f"GPIO{pin}: the chip drives {inside}, {', '.join(sorted(drivers))} drives {level}"
                )
            level = min(level, inside)
        return levels | bit if level else levels & ~bit

    def _update(self, levels: int) -> None:
        v = self.values
        changed = levels ^ self.levels
        value = levels & v["input_en"]
        edges = value ^ self._value
        self.levels, self._value = levels, value
        v["high_ip"] |= value
        v["low_ip"] |= ~value & 0xFFFF_FFFF
        if edges:
            v["rise_ip"] |= edges & value
            v["fall_ip"] |= edges & ~value
        self.signal()
        if not changed:
            return
        self.clock.epoch += 1
        for mask, function in self._watchers:
            if changed & mask:
                function(self.levels)
