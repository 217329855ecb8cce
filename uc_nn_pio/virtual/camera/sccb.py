"""SCCB (I2C-like) slave at pin level: start, stop, repeated start, acknowledge, sub-address, auto-increment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

IDLE, ADDRESS, REGISTER, WRITE, READ = range(5)


class SccbTarget(Protocol):
    """Registers behind a slave."""

    def acknowledges(self) -> bool:
        """Whether the chip answers now."""

    def read_register(self, register: int) -> int:
        """Value of an 8-bit register."""

    def write_register(self, register: int, value: int) -> None:
        """Set an 8-bit register."""


class SccbSlave:
    """Decodes the two lines. ``pull_sda(True)`` holds SDA low, ``pull_sda(False)`` lets it go.

    Args:
        address: 7-bit address.
        target: what is behind it.
        pull_sda: how to drive the open-drain data line.
    """

    def __init__(self, address: int, target: SccbTarget, pull_sda: Callable[[bool], None]) -> None:
        self._address = address
        self._target = target
        self._pull_sda = pull_sda
        self._scl = 1
        self._sda = 1
        self._state = IDLE
        self._bits = 0
        self._shift = 0
        self._register = 0
        self._pulling = False
        self._master_acknowledged = False

    def lines(self, scl: int, sda: int) -> None:
        """The lines took these levels."""
        old_scl, old_sda = self._scl, self._sda
        self._scl, self._sda = scl, sda
        if old_scl and scl:
            if old_sda and not sda:
                self._start()
            elif sda and not old_sda:
                self._stop()
        elif scl and not old_scl:
            self._rise(sda)
        elif old_scl and not scl:
            self._fall()

    def _start(self) -> None:
        self._state = ADDRESS
        self._bits = self._shift = 0
        self._hold(False)

    def _stop(self) -> None:
        self._state = IDLE
        self._hold(False)

    def _hold(self, low: bool) -> None:
        if low != self._pulling:
            self._pulling = low
            self._pull_sda(low)

    def _rise(self, sda: int) -> None:
        if self._state == IDLE:
            return
        if self._bits < 8 and self._state != READ:
            self._shift = self._shift << 1 | sda
        elif self._bits == 8 and self._state == READ:
            self._master_acknowledged = sda == 0
        self._bits += 1

    def _fall(self) -> None:
        if self._state == IDLE or self._bits == 0:
            return
        if self._bits == 8:
            self._ninth_bit()
        elif self._bits == 9:
            self._bits = 0
            self._next_byte()
        elif self._state == READ:
            self._hold(not self._shift >> (7 - self._bits) & 1)

    def _ninth_bit(self) -> None:
        """Eight bits are through: acknowledge what was received; after sending, let the master do it."""
        if self._state == READ:
            self._hold(False)
        elif self._received():
            self._hold(True)
        else:
            self._state = IDLE

    def _received(self) -> bool:
        if not self._target.acknowledges():
            return False
        if self._state == ADDRESS:
            return self._shift >> 1 == self._address
        if self._state == REGISTER:
            self._register = self._shift
        elif self._state == WRITE:
            self._target.write_register(self._register, self._shift)
            self._register = self._register + 1 & 0xFF
        return True

    def _next_byte(self) -> None:
        if self._state == ADDRESS:
            self._state = READ if self._shift & 1 else REGISTER
        elif self._state == REGISTER:
            self._state = WRITE
        elif self._state == READ and not self._master_acknowledged:
            self._state = IDLE
        self._shift = 0
        if self._state == READ:
            self._shift = self._target.read_register(self._register)
            self._register = self._register + 1 & 0xFF
            self._hold(not self._shift >> 7 & 1)
        else:
            self._hold(False)
