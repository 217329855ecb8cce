"""A small FE310 for the drivers' tests on the host: what its manual says of each register, in real time.

It shares nothing with the drivers, nor with the virtual board. What the manual forbids (touching the PLL while the core
runs on it, a divisor that changes under a character, driving an open-drain line to 1) fails the test.
"""

from __future__ import annotations

from collections.abc import Callable

GPIO, UART, SPI1, PRCI = 0x10012000, 0x10013000, 0x10024000, 0x10008000
MTIME = 0x0200BFF8
ACCESS_CYCLES = 8
SDA, SCL = 12, 13


class Chip:
    """Registers and time. ``us`` counts microseconds since the start; loops that only wait are cut short."""

    def __init__(self) -> None:
        self.us = 0.0
        self.cycles = 0.0
        self.prci = Prci(self)
        self.uart = Uart(self)
        self.spi = Spi(self)
        self.gpio = Gpio(self)
        self.rtc_runs = True
        self._reads = 0
        self.problems: list[str] = []
        """What the drivers did that the manual forbids (an exception inside a callback would be lost)."""

    def read(self, address: int) -> int:
        self._reads += 1
        if self._reads > 4:  # nothing but reads: a loop that waits
            self._skip()
        self._pass(ACCESS_CYCLES)
        if address == MTIME:
            return int(self.us * 32768 / 1e6) & 0xFFFFFFFF if self.rtc_runs else 7
        return self._device(address).read(address & 0xFFF) & 0xFFFFFFFF

    def write(self, address: int, value: int) -> None:
        self._pass(ACCESS_CYCLES)
        self._reads = 0
        self._device(address).write(address & 0xFFF, value)

    def spin(self, rounds: int) -> None:
        if rounds == 0:
            self.problems.append("a loop of 0 rounds runs 2^32 times")
            rounds = 1
        self._reads = 0
        self._pass(2 * rounds)

    def _skip(self) -> None:
        """Close to the next thing that happens, a tick of mtime or a byte on SPI1: the next access passes it."""
        tick = (int(self.us * 32768 / 1e6) + 1) * 1e6 / 32768 if self.rtc_runs else self.us
        byte = self.spi.incoming[0][0] if self.spi.incoming else tick
        then = max(self.us, min(tick, byte) - 0.01)
        self.cycles += (then - self.us) * self.prci.core_hz() / 1e6
        self.us = then

    def _pass(self, cycles: float) -> None:
        self.cycles += cycles
        self.us += cycles * 1e6 / self.prci.core_hz()

    def _device(self, address: int):
        devices = {GPIO: self.gpio, UART: self.uart, SPI1: self.spi, PRCI: self.prci}
        base = address & 0xFFFFF000
        if base not in devices:
            self.problems.append(f"access to {address:#010x}")
            return self.prci
        return devices[base]


class Prci:
    """Clocks: HFROSC 72 MHz / (div + 1); PLL = ref / R * F / Q, locked 100 us after bypass falls."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.hfrosccfg = 0x40100004
        self.hfxosccfg = 0x40000000
        self.pllcfg = 0x00060000 | 3 << 10 | 0x1F << 4 | 1
        self.plloutdiv = 0x100
        self.started = None
        self.crystal_works = True
        self.crystal_hz = 16e6
        self.pll_locks = True

    def warm(self, pllcfg: int) -> None:
        """As another firmware left it: the core on the PLL."""
        self.pllcfg, self.started = pllcfg, -1e6

    def pll_hz(self) -> float:
        r, f, q = (self.pllcfg & 7) + 1, 2 * ((self.pllcfg >> 4 & 0x3F) + 1), 1 << (self.pllcfg >> 10 & 3)
        reference = self.crystal_hz if self.pllcfg & 1 << 17 else self.hfrosc_hz()
        if self.pllcfg & 1 << 18:
            return reference
        if not (6e6 <= reference / r <= 12e6 and 384e6 <= reference / r * f <= 768e6):
            self.chip.problems.append(f"the PLL cannot run with pllcfg {self.pllcfg:#010x}")
        return reference / r * f / q

    def hfrosc_hz(self) -> float:
        return 72e6 / ((self.hfrosccfg & 0x3F) + 1)

    def core_hz(self) -> float:
        return self.pll_hz() if self.pllcfg & 1 << 16 else self.hfrosc_hz()

    def locked(self) -> bool:
        return self.pll_locks and self.started is not None and self.chip.us - self.started >= 100

    def read(self, offset: int) -> int:
        offset &= 0xF
        if offset == 0x0:
            return self.hfrosccfg | 1 << 31
        if offset == 0x4:
            return self.hfxosccfg | (1 << 31 if self.crystal_works and self.hfxosccfg & 1 << 30 else 0)
        if offset == 0x8:
            return self.pllcfg | (1 << 31 if self.locked() else 0)
        return self.plloutdiv

    def write(self, offset: int, value: int) -> None:
        offset &= 0xF
        problems = self.chip.problems
        if offset == 0x0:
            self.hfrosccfg = value & 0x7FFFFFFF
        elif offset == 0x4:
            self.hfxosccfg = value & 0x7FFFFFFF
        elif offset == 0x8:
            old, new = self.pllcfg, value & 0x7FFFFFFF
            if old & 1 << 16 and (old ^ new) & ~(1 << 16):
                problems.append("PLL changed while the core runs on it")
            if new & 1 << 16 and not new & 1 << 18 and not self.locked():
                problems.append("core put on a PLL that is not locked")
            if (old ^ new) & 0x2FFFF & ~(1 << 16) and not new & 1 << 18:
                problems.append("PLL fields changed without bypass")
            if new & 1 << 18:
                self.started = None
            elif old & 1 << 18:
                self.started = self.chip.us
            self.pllcfg = new
        else:
            self.plloutdiv = value


class Uart:
    """UART0: a FIFO of eight, and a shift register that takes 10 bits' time a character."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.txctrl = self.rxctrl = self.ie = 0
        self.div = 0
        self.fifo: list[int] = []
        self.busy_until = -1.0
        self.sent: list[tuple[int, float]] = []  # byte, baud
        self.stuck = False

    @property
    def text(self) -> str:
        self._shift(flush=True)
        return bytes(byte for byte, _ in self.sent).decode()

    def _shift(self, flush: bool = False) -> None:
        while self.fifo and not self.stuck and (flush or self.busy_until <= self.chip.us):
            baud = self.chip.prci.core_hz() / (self.div + 1)
            self.sent.append((self.fifo.pop(0), baud))
            self.busy_until = max(self.busy_until, self.chip.us if not flush else self.busy_until) + 10e6 / baud

    def read(self, offset: int) -> int:
        self._shift()
        if offset == 0x00:
            return 1 << 31 if len(self.fifo) >= 8 else 0
        if offset == 0x14:
            return 1 if len(self.fifo) < (self.txctrl >> 16 & 7) else 0
        return {0x08: self.txctrl, 0x0C: self.rxctrl, 0x10: self.ie, 0x18: self.div}[offset]

    def write(self, offset: int, value: int) -> None:
        self._shift()
        if offset == 0x00:
            if not self.txctrl & 1:
                self.chip.problems.append("character sent with the transmitter off")
            if len(self.fifo) >= 8:
                self.chip.problems.append("character written to a full FIFO")
            self.fifo.append(value & 0xFF)
            self._shift()
        elif offset == 0x18:
            if value != self.div and (self.fifo or self.busy_until > self.chip.us) and not self.stuck:
                self.chip.problems.append("divisor changed under a character")
            self.div = value
        elif offset == 0x08:
            self.txctrl = value
        elif offset == 0x0C:
            self.rxctrl = value
        elif offset == 0x10:
            self.ie = value


class Spi:
    """SPI1: ``device`` gets ``select(bool)`` and ``exchange(byte) -> byte``. A byte takes 8 SCK periods."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.registers = {
            0x00: 3,
            0x04: 0,
            0x10: 0,
            0x14: 0xF,
            0x18: 0,
            0x28: 0x10001,
            0x2C: 1,
            0x40: 0x80000,
            0x60: 0,
            0x70: 0,
        }
        self.device = None
        self.incoming: list[tuple[float, int]] = []
        self.held = False
        self.stuck = False
        self.sck_hz: set[float] = set()

    def read(self, offset: int) -> int:
        if offset == 0x48:
            return 0
        if offset == 0x4C:
            if self.incoming and self.incoming[0][0] <= self.chip.us:
                return self.incoming.pop(0)[1]
            return 1 << 31
        return self.registers[offset]

    def write(self, offset: int, value: int) -> None:
        if offset == 0x48:
            if not self.stuck:
                self._exchange(value & 0xFF)
            return
        self.registers[offset] = value
        if offset == 0x18 and value != 2 and self.held:
            self.held = False
            if self.device:
                self.device.select(False)

    def _exchange(self, byte: int) -> None:
        sck = self.chip.prci.core_hz() / (2 * (self.registers[0x00] + 1))
        self.sck_hz.add(sck)
        iof = self.chip.gpio.registers
        pins = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5
        wired = iof[0x38] & pins == pins and not iof[0x3C] & pins and self.registers[0x10] == 0
        framed = self.registers[0x40] == 0x80000 and self.registers[0x04] == 0 and self.registers[0x14] & 1
        answer = 0xFF
        if self.device and wired and framed:
            if not self.held:
                self.device.select(True)
            answer = self.device.exchange(byte)
            self.held = self.registers[0x18] == 2
            if not self.held:
                self.device.select(False)
        self.incoming.append((self.chip.us + 8e6 / sck, answer))


class Gpio:
    """Pins. SDA and SCL are open-drain lines with pull-ups; ``watchers`` see every change of their levels."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.registers = {offset: 0 for offset in (0x04, 0x08, 0x0C, 0x10, 0x38, 0x3C, 0x40)}
        self.watchers: list[Callable[[int, int], None]] = []
        self.pulls: dict[int, Callable[[], bool]] = {}  # pin -> does a device hold it at 0 now?
        self.external_pull_up = True
        self._seen = (1, 1)

    def level(self, pin: int) -> int:
        bit = 1 << pin
        r = self.registers
        if r[0x08] & bit and not r[0x38] & bit:
            driven = 1 if (r[0x0C] ^ r[0x40]) & bit else 0
            if pin in (SDA, SCL) and driven:
                self.chip.problems.append(f"open-drain pin {pin} driven to 1")
            return driven
        if self.pulls.get(pin, lambda: False)():
            return 0
        return 1 if self.external_pull_up or r[0x10] & bit else 0

    def read(self, offset: int) -> int:
        self.settle()  # a stretched clock may have risen meanwhile
        if offset == 0x00:
            enabled = self.registers[0x04]
            return sum(self.level(pin) << pin for pin in range(32) if enabled >> pin & 1)
        return self.registers[offset]

    def write(self, offset: int, value: int) -> None:
        self.registers[offset] = value
        self.settle()

    def settle(self) -> None:
        """Tell the watchers until nothing moves: a device may pull SDA when SCL falls."""
        while (now := (self.level(SCL), self.level(SDA))) != self._seen:
            self._seen = now
            for watcher in self.watchers:
                watcher(*now)
