"""ArduChip: the SPI registers and the frame FIFO of the ArduCAM Mini 2MP (ArduCAM Mini hardware notes).

SPI mode 0, MSB first, at most 8 MHz: a register number (bit 7 set to write), then data, while chip select is low.

A capture waits for the sensor's next VSYNC and takes everything until the one after it, so it lasts one to two frames
of the sensor; firmware that starts it just after a VSYNC waits for nearly two.
"""

from __future__ import annotations

from collections.abc import Callable

from uc_nn_pio.virtual.camera.ov2640 import Ov2640
from uc_nn_pio.virtual.clock import Clock, Event
from uc_nn_pio.virtual.reports import Reports

TEST, CAPTURE, MODE, TIMING, FIFO_CONTROL, GPIO_DIRECTION, GPIO_WRITE, RESET = range(8)
BURST, SINGLE, VERSION, STATUS, LENGTH, GPIO_READ = 0x3C, 0x3D, 0x40, 0x41, 0x42, 0x45
CLEAR_DONE, START, RESET_READ, RESET_WRITE = 0x01, 0x02, 0x10, 0x20
VSYNC, DONE = 0x01, 0x08
FRAMES_MASK = 0x07  # CAPTURE: frames to capture, less one
DUMMY_BYTES = 8  # in front of a frame in the FIFO
SCK_MAX_HZ = 8_000_000
FIFO_BYTES = {"mini": 384 << 10, "plus": 8 << 20}
READ_ENOUGH = 7, 8  # this much of a frame counts as read when the firmware drops the rest


class ArduChip:
    """One camera module: ``mini`` (the first Mini 2MP) gives one dummy byte after 0x3C, ``plus`` none.

    ``on_frame_read(frame)`` is called when the firmware has read the whole of a frame; ``on_read_start(frame)`` when it
    reads the first byte of one. Frames count from 0 and are those that are read; dropped captures do not count.
    """

    def __init__(self, clock: Clock, reports: Reports, sensor: Ov2640, module: str = "mini") -> None:
        self._clock = clock
        self._reports = reports
        self._sensor = sensor
        sensor.on_timing = self._wait_for_vsync
        self._burst_dummy = module == "mini"
        self._fifo_bytes = FIFO_BYTES[module]
        self.on_frame_read: Callable[[int], None] = lambda frame: None
        self.on_read_start: Callable[[int], None] = lambda frame: None
        self.frames_read = 0
        self.captures = 0
        self._selected = False
        self._reset_registers()

    def _reset_registers(self) -> None:
        self._registers = bytearray(128)
        self._registers[VERSION] = 0x73
        self._fifo = b""
        self._position = 0
        self._credited = True  # this frame was reported as read
        self._done = False
        self._capturing = False
        self._filling = False  # between the two VSYNCs of a capture
        self._next_vsync: Event | None = None
        self._held_in_reset = False
        self._command: int | None = None
        self._first_of_burst = False

    def power_up(self) -> None:
        """The supply comes back: nothing under way, registers and FIFO as after a reset."""
        self._clock.cancel(self._next_vsync)
        self._reset_registers()

    @property
    def fifo_length(self) -> int:
        """Bytes of the frame in the FIFO."""
        return len(self._fifo)

    # -- SPI -------------------------------------------------------------------------------------------------------

    def select(self, selected: bool) -> None:
        """Chip select moved; a new low starts a new command."""
        self._selected = selected
        self._command = None

    def exchange(self, mosi: int, sck_hz: float, mode: int) -> int | None:
        """One byte on the bus, if selected."""
        if not self._selected:
            return None
        if sck_hz > SCK_MAX_HZ:
            self._reports.add("camera", f"SCK is {sck_hz / 1e6:.3g} MHz; the ArduChip takes 8 MHz")
        if mode != 0:
            self._reports.add("camera", f"SPI mode {mode}; the ArduChip takes mode 0")
            if mode != 3:  # which samples at the same edges
                return 0xFF
        if self._command is None:
            self._command = mosi
            self._first_of_burst = mosi == BURST
            return 0
        if self._command & 0x80:
            self._write(self._command & 0x7F, mosi)
            return 0
        return self._read(self._command)

    def _read(self, register: int) -> int:
        if register == BURST:
            if self._first_of_burst and self._burst_dummy:
                self._first_of_burst = False
                return 0
            return self._pop()
        if register == SINGLE:
            return self._pop()
        if register == STATUS:
            return (DONE if self._done else 0) | (VSYNC if self._sensor.vsync() else 0)
        if LENGTH <= register < LENGTH + 3:
            return len(self._fifo) >> 8 * (register - LENGTH) & 0xFF
        if register == GPIO_READ:
            return self._registers[GPIO_WRITE] & self._registers[GPIO_DIRECTION]
        return self._registers[register]

    def _write(self, register: int, value: int) -> None:
        if register == RESET:
            self._reset(bool(value & 0x80))
        elif self._held_in_reset:
            self._reports.add("camera", "a write to the ArduChip while it is held in reset (0x07 = 0x80) is lost")
        elif register == FIFO_CONTROL:
            self._control(value)
        elif register < LENGTH - 2:
            self._registers[register] = value
            if register == CAPTURE and value & FRAMES_MASK:
                self._reports.add("camera", "several frames in one capture (0x01) are not modelled: one is taken")

    def _reset(self, held: bool) -> None:
        command = self._command
        if held:
            self._clock.cancel(self._next_vsync)
            self._reset_registers()
        self._held_in_reset, self._command = held, command

    # -- FIFO ------------------------------------------------------------------------------------------------------

    def _control(self, value: int) -> None:
        if value & RESET_READ:
            self._position = 0
        if value & (CLEAR_DONE | RESET_WRITE):
            self._drop()
            self._done = False
        if value & START and not self._capturing:
            self._drop()
            self._fifo, self._position = b"", 0
            self._done = False
            self._capturing, self._filling = True, False
            self._wait_for_vsync()

    def _wait_for_vsync(self) -> None:
        """Also when the sensor's timing has changed under a capture."""
        self._clock.cancel(self._next_vsync)
        due = self._sensor.next_vsync_ps() if self._capturing else None
        self._next_vsync = self._clock.at_ps(due, self._vsync) if due is not None else None

    def _vsync(self) -> None:
        if self._filling:
            self._captured()
        else:
            self._filling = True
            self._wait_for_vsync()

    def _captured(self) -> None:
        self._capturing = self._filling = False
        self._done = True
        self.captures += 1
        pixels = self._sensor.frame()
        fifo = bytes(DUMMY_BYTES) + pixels
        if len(fifo) > self._fifo_bytes:
            self._reports.add(
                "camera", f"a frame of {len(pixels)} bytes: the FIFO holds {self._fifo_bytes}, the rest is lost"
            )
        self._fifo = fifo[: self._fifo_bytes]
        self._position = 0
        self._credited = not pixels

    def _pop(self) -> int:
        if self._position >= len(self._fifo):
            self._reports.add("camera", "the FIFO was read past its end")
            return 0
        if self._position == 0 and not self._credited:
            self.on_read_start(self.frames_read)
        value = self._fifo[self._position]
        self._position += 1
        if self._position == len(self._fifo):
            self._credit()
        return value

    def _drop(self) -> None:
        """The firmware is through with this frame; most of it counts as all of it."""
        if self._position * READ_ENOUGH[1] >= len(self._fifo) * READ_ENOUGH[0]:
            self._credit()
        self._credited = True

    def _credit(self) -> None:
        if not self._credited:
            self._credited = True
            self.frames_read += 1
            self.on_frame_read(self.frames_read - 1)
