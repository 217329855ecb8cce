"""The flash chip at QSPI0's pins when bytes are shifted by program (fctrl 0): the ISSI IS25LP128 of the HiFive1.

Commands from its data sheet, on a single lane: identification, status, write enable, reads and software reset. Erasing
and programming are not modelled and stop.
"""

from __future__ import annotations

from collections.abc import Callable

from uc_nn_pio.virtual.bus import BusError

JEDEC_ID = (0x9D, 0x60, 0x18)  # IS25LP128; OpenOCD reports 0x18609D on this board
WRITE_ENABLED = 2  # status register, bit 1
READ_STATUS, WRITE_ENABLE, WRITE_DISABLE, READ_ID = 0x05, 0x06, 0x04, 0x9F
DUMMY_BYTES = {0x03: 0, 0x0B: 1}  # read commands, with what follows their three address bytes
HARMLESS = frozenset({0x66, 0x99, 0xAB, 0xFF})  # reset enable, reset, release from power-down, nothing


class FlashChip:
    """Single-lane commands. ``read`` gives the byte at an offset into the part."""

    def __init__(self, read: Callable[[int], int]) -> None:
        self._read = read
        self._selected = False
        self._bytes: list[int] = []  # command and address of this select
        self._position = 0
        self._status = 0

    def select(self, selected: bool) -> None:
        """Chip select changes; a command ends when it rises."""
        if selected and not self._selected:
            self._bytes = []
            self._position = 0
        self._selected = selected

    def exchange(self, mosi: int) -> int:
        """One byte out and in; an unselected chip leaves the line high."""
        if not self._selected:
            return 0xFF
        if not self._bytes:
            self._command(mosi)
            return 0xFF
        command = self._bytes[0]
        if command == READ_STATUS:
            return self._status
        if command == READ_ID:
            self._position += 1
            return JEDEC_ID[(self._position - 1) % 3]
        if command in DUMMY_BYTES:
            if len(self._bytes) < 4 + DUMMY_BYTES[command]:
                self._bytes.append(mosi)
                return 0xFF
            start = int.from_bytes(bytes(self._bytes[1:4]), "big")
            self._position += 1
            return self._read(start + self._position - 1)
        return 0xFF

    def _command(self, command: int) -> None:
        self._bytes.append(command)
        if command == WRITE_ENABLE:
            self._status |= WRITE_ENABLED
        elif command == WRITE_DISABLE:
            self._status &= ~WRITE_ENABLED
        elif command not in DUMMY_BYTES and command not in HARMLESS and command not in (READ_STATUS, READ_ID):
            raise BusError(
                f"QSPI0.txdata: flash command 0x{command:02X}",
                "this model of the flash knows identification, status, write enable, 0x03 and 0x0B; it cannot be "
                "erased or programmed",
            )
