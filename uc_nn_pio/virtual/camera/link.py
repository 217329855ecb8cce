"""The camera's plug: SPI, SCCB and power between the board and the module, and the faults on them.

Without a fault everything passes as it is.
"""

from __future__ import annotations

from collections.abc import Callable

from uc_nn_pio.virtual.camera.arduchip import BURST, DONE, FIFO_CONTROL, LENGTH, SINGLE, START, STATUS, ArduChip
from uc_nn_pio.virtual.camera.ov2640 import Ov2640
from uc_nn_pio.virtual.faults import Faults

LENGTH_MAX = 0x7F_FFFF


class CameraLink:
    """Stands for the ArduChip on SPI1 and for the sensor on SCCB. ``pull_sda`` drives the board's data line."""

    def __init__(self, faults: Faults, chip: ArduChip, sensor: Ov2640, pull_sda: Callable[[bool], None]) -> None:
        self._faults = faults
        self._chip = chip
        self._sensor = sensor
        self._pull_sda = pull_sda
        self._plugged = True
        self._command: int | None = None
        self._popped = 0
        self._scl = self._sda = 1
        self.on_lines: Callable[[int, int], None] = lambda scl, sda: None  # the slave's side of SCCB

    def plug(self, plugged: bool) -> None:
        """Pull the module's plug, or push it in: then it powers up."""
        if plugged and not self._plugged:
            self._chip.power_up()
            self._sensor.power_up()
            self.on_lines(self._scl, self._sda)
        self._plugged = plugged
        if not plugged:
            self._pull_sda(False)
            for sda in (1, 0, 1):  # a stop for the slave: whatever was under way is over
                self.on_lines(1, sda)
            self._command = None

    # -- SCCB ------------------------------------------------------------------------------------------------------

    def lines(self, scl: int, sda: int) -> None:
        """The board's SCCB lines took these levels."""
        self._scl, self._sda = scl, sda
        if self._plugged:
            self.on_lines(scl, sda)

    def pull_sda(self, low: bool) -> None:
        """The slave holds SDA, or lets it go."""
        self._pull_sda(low and self._plugged)

    def acknowledges(self) -> bool:
        """Whether the sensor answers now."""
        return self._plugged and "sccb-no-ack" not in self._faults.active and self._sensor.acknowledges()

    def read_register(self, register: int) -> int:
        """Of the sensor."""
        return self._sensor.read_register(register)

    def write_register(self, register: int, value: int) -> None:
        """Of the sensor."""
        self._sensor.write_register(register, value)

    # -- SPI -------------------------------------------------------------------------------------------------------

    def select(self, selected: bool) -> None:
        """Chip select moved."""
        self._command = None
        self._chip.select(selected)

    def exchange(self, mosi: int, sck_hz: float, mode: int) -> int | None:
        """A byte between SPI1 and the ArduChip."""
        if not self._plugged:
            return None
        faults = self._faults
        mosi = faults.noisy("spi-errors", mosi)
        answer = self._chip.exchange(mosi, sck_hz, mode)
        if answer is None:
            return None
        if self._command is None:
            self._command = mosi
        else:
            answer = self._answered(self._command, mosi, answer)
        return faults.noisy("spi-errors", answer)

    def _answered(self, command: int, mosi: int, answer: int) -> int:
        active = self._faults.active
        if command == FIFO_CONTROL | 0x80 and mosi & START:
            self._faults.capture_starts()
        elif command == STATUS:
            if "done-always" in active:
                return answer | DONE
            if "done-never" in active:
                return answer & ~DONE
        elif LENGTH <= command < LENGTH + 3 and "fifo-length" in active:
            return self._length() >> 8 * (command - LENGTH) & 0xFF
        elif command in (BURST, SINGLE):
            self._popped += 1
            self._faults.frame_progress(self._popped / max(self._chip.fifo_length, 1))
        return answer

    def _length(self) -> int:
        fault = self._faults.active["fifo-length"]
        relative = self._chip.fifo_length if (fault.value or "").startswith(("+", "-")) else 0
        return min(max(relative + int(fault.setting()), 0), LENGTH_MAX)

    def frame_starts(self, frame: int) -> None:
        """The first byte of a frame is read."""
        self._popped = 0
        self._faults.frame_starts(frame)
