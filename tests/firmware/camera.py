"""An OV2640 behind SCCB and an ArduChip behind SPI, at the level of clocks and bytes, for the drivers' tests."""

from __future__ import annotations

from tests.firmware.chip import SCL, SDA, Chip


class Sccb:
    """A device on SCCB that decodes the lines as the I2C and SCCB papers define them, and keeps what it saw.

    ``events`` holds ``"S"``, ``"P"``, and ``(byte, acknowledged)``; ``edges`` every (us, scl, sda).
    """

    def __init__(self, chip: Chip, address: int = 0x30) -> None:
        self.chip = chip
        self.address = address
        self.events: list[object] = []
        self.edges: list[tuple[float, int, int]] = []
        self.silent_until = -1.0
        self.present = True
        self.stuck_clocks = 0  # SDA is held at 0 until so many clocks have come
        self.stretch_us = 0.0  # SCL is held at 0 for so long after each fall
        self.short_scl = False
        self._pull = False
        self._scl, self._sda = 1, 1
        self._clock = 0
        self._mode = "idle"
        self._bits = 0
        self._position = 0
        self._fell = -1e9
        chip.gpio.watchers.append(self._lines)
        chip.gpio.pulls[SDA] = lambda: self._pull or self.stuck_clocks > 0
        chip.gpio.pulls[SCL] = lambda: self.short_scl or chip.us < self._fell + self.stretch_us

    # what a device does with bytes
    def received(self, position: int, byte: int) -> None: ...

    def to_send(self) -> int:
        return 0xFF

    def _lines(self, scl: int, sda: int) -> None:
        self.edges.append((self.chip.us, scl, sda))
        was_scl, was_sda, self._scl, self._sda = self._scl, self._sda, scl, sda
        if was_scl and scl and sda != was_sda:
            self._start() if not sda else self._stop()
        elif scl and not was_scl:
            self._rise(sda)
        elif was_scl and not scl:
            self._fell = self.chip.us
            self._fall()

    def _start(self) -> None:
        self.events.append("S")
        self._mode, self._clock, self._bits, self._position, self._pull = "write", 0, 0, 0, False

    def _stop(self) -> None:
        self.events.append("P")
        self._mode, self._pull = "idle", False

    def _rise(self, sda: int) -> None:
        if self.stuck_clocks > 0:
            self.stuck_clocks -= 1
        self._clock += 1
        if self._clock <= 8:
            self._bits = (self._bits << 1 | sda) & 0xFF
        elif self._mode == "read":
            self.events.append((self._bits, not sda))
            if sda:
                self._mode = "done"

    def _fall(self) -> None:
        if self._mode == "write" and self._clock == 8:
            answers = self.present and self.chip.us >= self.silent_until
            answers = answers and (self._position > 0 or self._bits >> 1 == self.address)
            self.events.append((self._bits, answers))
            self._pull = answers
            if not answers:
                self._mode = "ignore"
        elif self._clock >= 9:
            self._pull = False
            if self._mode == "write":
                reading = self._position == 0 and self._bits & 1
                if self._position > 0:
                    self.received(self._position - 1, self._bits)
                self._position += 1
                if reading:
                    self._mode, self._out = "read", self.to_send()
            self._clock = 0
            self._bits = 0
        if self._mode == "read":
            self._pull = self._clock < 8 and not self._out >> (7 - self._clock) & 1


class Sensor(Sccb):
    """An OV2640's registers: ids, banks, and silence for 100 ms after a reset. ``writes`` are (register, value)."""

    def __init__(self, chip: Chip, ids: tuple[int, int] = (0x26, 0x42)) -> None:
        super().__init__(chip)
        self.writes: list[tuple[int, int]] = []
        self.ids = ids
        self.bank = 0
        self._register = 0

    def received(self, position: int, byte: int) -> None:
        if position == 0:
            self._register = byte
            return
        self.writes.append((self._register, byte))
        if self._register == 0xFF:
            self.bank = byte
        elif (self._register, self.bank) == (0x12, 1) and byte & 0x80:
            self.silent_until = self.chip.us + 100_000

    def to_send(self) -> int:
        if self.bank == 1 and self._register in (0x0A, 0x0B):
            return self.ids[self._register - 0x0A]
        return 0x00


class ArduChip:
    """The ArduChip of a Mini 2MP. A capture takes ``frame_us``; its FIFO then gives ``fifo``.

    A burst begins with ``burst_dummy`` bytes that are not from the FIFO: one on the Mini 2MP, none on the Plus.
    """

    def __init__(
        self, chip: Chip, fifo: bytes, *, version: int = 0x73, frame_us: float = 66_667.0, burst_dummy: int = 1
    ) -> None:
        self.chip = chip
        self.fifo = fifo
        self.length = len(fifo)
        self.version = version
        self.frame_us = frame_us
        self.burst_dummy = burst_dummy
        self.registers = {0x00: 0x00}
        self.done_at: float | None = None
        self.captures = 0
        self.stuck_done = False
        self.spoil: set[int] = set()  # reads of the test register from now on, by number, that lose a bit
        self.bursts: list[int] = []  # bytes read in each burst
        self.writes: list[tuple[int, int]] = []
        self.resets: list[tuple[float, int]] = []
        self._bytes: list[int] = []
        self._test_reads = 0
        self.selected = False
        chip.spi.device = self

    def select(self, on: bool) -> None:
        self.selected = on
        if on:
            self._bytes = []
            return
        if self._bytes and self._bytes[0] == 0x3C:
            self.bursts.append(len(self._bytes) - 1 - self.burst_dummy)

    def exchange(self, byte: int) -> int:
        self._bytes.append(byte)
        command = self._bytes[0]
        position = len(self._bytes) - 2
        if position < 0:
            return 0x00
        if command == 0x3C:
            position -= self.burst_dummy
            return self.fifo[position] if 0 <= position < len(self.fifo) else 0xEE
        if command & 0x80:
            self._write(command & 0x7F, byte)
            return 0x00
        return self._read(command)

    def _write(self, register: int, value: int) -> None:
        self.writes.append((register, value))
        self.registers[register] = value
        if register == 0x04 and value & 1:
            self.done_at = None
        if register == 0x04 and value & 2:
            self.captures += 1
            self.done_at = self.chip.us + self.frame_us
        if register == 0x07:
            self.resets.append((self.chip.us, value))

    def _read(self, register: int) -> int:
        if register == 0x40:
            return self.version
        if register == 0x41:
            return 0x08 if self.stuck_done or (self.done_at is not None and self.chip.us >= self.done_at) else 0x00
        if register in (0x42, 0x43, 0x44):
            return self.length >> 8 * (register - 0x42) & 0xFF
        if register == 0x00 and self.spoil:
            self._test_reads += 1
            return self.registers[0x00] ^ (0x10 if self._test_reads in self.spoil else 0)
        return self.registers.get(register, 0x00)
