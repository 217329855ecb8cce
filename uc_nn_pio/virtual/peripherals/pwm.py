"""PWM: counter, scale, compare and interrupts (FE310-G000 manual v2, chapter 20; sifive-blocks PWM.scala, Timer.scala).

The counter is computed when somebody looks. Its outputs do not move the pads.
"""

from __future__ import annotations

from uc_nn_pio.virtual.bus import Peripheral, Register
from uc_nn_pio.virtual.clock import Clock, Event
from uc_nn_pio.virtual.reports import Reports

COMPARATORS = 4
STICKY = 1 << 8
ZEROCMP = 1 << 9
ENALWAYS = 1 << 12
ENONESHOT = 1 << 13
COUNT_MASK = 0x7FFF_FFFF
CONFIG_MASK = 0xFF0F_370F


class Pwm(Peripheral):
    """One PWM. Each comparator has an interrupt: its bit of pwmcfg 31..28, while pwms is at or past its value."""

    REGISTERS = (
        Register(0x00, "pwmcfg"),
        Register(0x08, "pwmcount"),
        Register(0x10, "pwms"),
        *(Register(0x20 + 4 * i, f"pwmcmp{i}", 0xFFFF, 16) for i in range(COMPARATORS)),
    )

    def __init__(self, name: str, base: int, compare_bits: int, clock: Clock, reports: Reports) -> None:
        self._compare_bits = compare_bits
        self._at = 0  # cycle at which pwmcount was as stored
        self._pending = 0
        self._alarm: Event | None = None
        super().__init__(name, base, clock, reports)
        for number in range(COMPARATORS):
            self._writers[0x20 + 4 * number] = lambda value, name=f"pwmcmp{number}": self._write_compare(name, value)

    def reset(self) -> None:
        super().reset()
        self._at = self.clock.now
        self._pending = 0
        self.clock.cancel(self._alarm)
        self._alarm = None

    # -- the counter ----------------------------------------------------------------------------------------------

    def _running(self) -> bool:
        return bool(self.values["pwmcfg"] & (ENALWAYS | ENONESHOT))

    def _scale(self) -> int:
        return self.values["pwmcfg"] & 0xF

    def _compare(self, number: int) -> int:
        return self.values[f"pwmcmp{number}"] & (1 << self._compare_bits) - 1

    def _period(self) -> int:
        """Cycles until the counter is 0 again: one behind pwmcmp0 with pwmzerocmp, else when pwms overflows."""
        if self.values["pwmcfg"] & ZEROCMP:
            return (self._compare(0) << self._scale()) + 1
        return 1 << self._scale() + self._compare_bits

    def _reached(self, scaled: int) -> int:
        """Comparators whose value ``scaled`` has reached; the centre-aligned ones compare with its mirror image."""
        top = 1 << self._compare_bits - 1
        bits = 0
        for number in range(COMPARATORS):
            mirrored = scaled & top and self.values["pwmcfg"] >> 16 + number & 1
            bits |= ((scaled ^ (2 * top - 1) if mirrored else scaled) >= self._compare(number)) << number
        return bits

    def _advance(self) -> None:
        """Bring the counter and the pending bits up to now."""
        cycles, self._at = self.clock.now - self._at, self.clock.now
        if not self._running():
            return
        count, period = self.values["pwmcount"] + cycles, self._period()
        reached = 0
        if count >= period:  # it went around: the highest pwms was that of its last cycle
            reached = self._reached((period - 1) >> self._scale())
            if self.values["pwmcfg"] & ENONESHOT and not self.values["pwmcfg"] & ENALWAYS:
                self.values["pwmcfg"] &= ~ENONESHOT
                count = 0
            elif self.values["pwmcount"] < period:
                count %= period
            else:  # pwmcmp0 was moved below the counter: it starts anew at once
                count = (cycles - 1) % period
        self.values["pwmcount"] = count & COUNT_MASK
        now = self._reached(self._scaled())
        self._pending = self._pending | reached | now if self.values["pwmcfg"] & STICKY else now

    def _scaled(self) -> int:
        return self.values["pwmcount"] >> self._scale() & (1 << self._compare_bits) - 1

    # -- interrupts -----------------------------------------------------------------------------------------------

    def interrupt_lines(self) -> int:
        self._advance()
        self.clock.cancel(self._alarm)
        self._alarm = None
        if self.enabled_lines and self._running():
            self._alarm = self.clock.after_cycles(self._next_change(), self.signal, hard=True)
        return self._pending

    def _next_change(self) -> int:
        """Cycles until the next comparator is reached, or the counter is 0 again."""
        count, scale = self.values["pwmcount"], self._scale()
        top = 1 << self._compare_bits
        marks = [self._compare(n) << scale for n in range(COMPARATORS)]
        marks += [top // 2 << scale, self._period()]
        marks += [(top - self._compare(n)) << scale for n in range(COMPARATORS)]  # where a mirrored one lets go
        return min((mark - count for mark in marks if mark > count), default=1)

    # -- registers ------------------------------------------------------------------------------------------------

    def _looked_at(self) -> None:
        self._advance()
        if self._running():
            self.pure_read = False  # the next value is different

    def read_pwmcfg(self) -> int:
        self._looked_at()
        return self.values["pwmcfg"] | self._pending << 28

    def write_pwmcfg(self, value: int) -> None:
        self._advance()
        self.values["pwmcfg"] = value & CONFIG_MASK & 0x0FFF_FFFF
        self._pending = value >> 28
        if not self.values["pwmcfg"] & STICKY:
            self._pending = self._reached(self._scaled())

    def read_pwmcount(self) -> int:
        self._looked_at()
        return self.values["pwmcount"]

    def write_pwmcount(self, value: int) -> None:
        self._advance()
        self.values["pwmcount"] = value & COUNT_MASK

    def read_pwms(self) -> int:
        self._looked_at()
        return self._scaled()

    def write_pwms(self, value: int) -> None:
        """Read-only."""

    def _write_compare(self, name: str, value: int) -> None:
        self._advance()
        self.values[name] = value & (1 << self._compare_bits) - 1
        if not self.values["pwmcfg"] & STICKY:
            self._pending = self._reached(self._scaled())
