"""A model on a board, over its UART: frames with a number and a CRC, asked again until they are answered.

The firmware is ``firmware_template/validate/main.c.j2``, whose head describes the frames. ``port`` is whatever pyserial
opens: a serial port, or ``socket://127.0.0.1:PORT`` for the virtual board. Noise on the line, a board that is reset, a
cable that is pulled out and put back: each costs time and is asked again, until :data:`PATIENCE_S` are over.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import serial

from uc_nn_pio.errors import UcNnError

SYNC = b"\xa5\x5a"
MOST = 128
"""Bytes of a payload."""

CHUNK = MOST - 4
ANSWER_S = 0.4
"""Within so much time a frame is answered, or it was lost."""

_HELLO = "<B8s4I"

PATIENCE_S = 30.0
BAUD = 115_200


class LinkError(UcNnError):
    """The board does not answer, or is not the one that was expected."""


class Restarted(Exception):  # noqa: N818  no error of the user's: the sample is begun again
    """The board lost what it had of the sample."""


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021) & 0xFFFF if crc & 0x8000 else crc << 1 & 0xFFFF
    return crc


def frame(kind: bytes, number: int, payload: bytes) -> bytes:
    """A whole frame."""
    inner = kind + bytes([number, len(payload)]) + payload
    return SYNC + inner + struct.pack("<H", crc16(inner))


def frames_in(buffer: bytearray) -> Iterator[tuple[bytes, int, bytes]]:
    """Takes whole frames (kind, number, payload) out of a buffer, and what cannot begin one."""
    while (start := buffer.find(SYNC)) >= 0:
        del buffer[:start]
        if len(buffer) < 5:
            return
        size = 5 + buffer[4] + 2
        if buffer[4] <= MOST and len(buffer) < size:
            return
        inner = bytes(buffer[2 : size - 2])
        if buffer[4] <= MOST and struct.pack("<H", crc16(inner)) == bytes(buffer[size - 2 : size]):
            del buffer[:size]
            yield inner[:1], inner[1], inner[3:]
        else:
            del buffer[:2]  # no frame begins here
    del buffer[: max(0, len(buffer) - 1)]


@dataclass
class Hello:
    """What a board says of itself."""

    hash: bytes
    input_bytes: int
    output_bytes: int
    context_bytes: int
    core_hz: int


@dataclass
class Link:
    """One board. ``open`` gives a port like pyserial's; ``asked_again`` counts frames that were sent once more."""

    open: Callable[[], Any]
    where: str
    patience: float = PATIENCE_S
    asked_again: int = 0
    _port: Any = None
    _number: int = 0
    _met: bool = False

    def ask(self, kind: bytes, payload: bytes = b"") -> bytes:
        """The answer's payload.

        Raises:
            Restarted: the board lost the sample.
            LinkError: there was no answer for ``patience`` seconds.
        """
        self._number = (self._number + 1) % 256
        sent = frame(kind, self._number, payload)
        deadline, first = time.monotonic() + self.patience, True
        while time.monotonic() < deadline:
            if not first:
                self.asked_again += 1
            first = False
            try:
                answer = self._once(sent, kind)
            except (OSError, serial.SerialException) as error:  # unplugged; it may come back
                self.close()
                if not self._met:
                    raise LinkError(
                        f"cannot open {self.where}",
                        why=str(error),
                        next_step="python -m serial.tools.list_ports shows the ports; is this one free, and yours?",
                    ) from None
                time.sleep(0.2)
                continue
            if answer is not None:
                return answer
        raise LinkError(
            f"the board on {self.where} does not answer",
            why=f"no whole frame came for {self.patience:g} s",
            next_step="is the validation firmware on it (uc-nn validate SPEC --firmware FILE), and is the port free?",
        )

    def _once(self, sent: bytes, kind: bytes) -> bytes | None:
        if self._port is None:
            self._port = self.open()
            self._met = True
        self._port.write(sent)
        buffer, limit = bytearray(), time.monotonic() + ANSWER_S
        while time.monotonic() < limit:
            data = self._port.read(256)
            if data:
                limit = time.monotonic() + ANSWER_S
            buffer += data
            for got, number, payload in frames_in(buffer):
                if number != self._number:
                    continue  # an answer of before, late
                if got == b"E":
                    raise Restarted(payload)
                if got == kind:
                    return payload
        return None

    def close(self) -> None:
        if self._port is not None:
            with contextlib.suppress(OSError, serial.SerialException):
                self._port.close()
            self._port = None

    def hello(self) -> Hello:
        said = self.ask(b"H")
        if said[:1] != b"\x01" or len(said) != struct.calcsize(_HELLO):
            raise LinkError(
                f"the firmware on {self.where} speaks another version of the protocol",
                next_step="make it anew: uc-nn validate SPEC --firmware FILE",
            )
        _, name, *sizes = struct.unpack(_HELLO, said)
        return Hello(name, *sizes)

    def run(self, sample: bytes, output_bytes: int) -> tuple[bytes, int]:
        """The output's bytes of one sample, and the cycles of the run; begun again where the board forgot it."""
        for _ in range(10):
            try:
                self.ask(b"S")
                for at in range(0, len(sample), CHUNK):
                    self.ask(b"I", struct.pack("<I", at) + sample[at : at + CHUNK])
                cycles, _ = struct.unpack("<Ii", self.ask(b"R"))
                output = b""
                while len(output) < output_bytes:
                    count = min(MOST, output_bytes - len(output))
                    output += self.ask(b"O", struct.pack("<IB", len(output), count))
                return output, cycles
            except Restarted:
                continue
        raise LinkError(f"the board on {self.where} loses every sample", next_step="look at its power and its cable")


def serial_link(port: str, patience: float = PATIENCE_S) -> Link:
    """A link over whatever pyserial opens."""
    return Link(lambda: serial.serial_for_url(port, baudrate=BAUD, timeout=0.02), port, patience)


def outputs_on(
    link: Link, samples: np.ndarray, expected_hash: bytes, outputs: int
) -> tuple[np.ndarray, list[int], Hello]:
    """Outputs (N, ``outputs``) of samples (N, elements) in memory's order, of their element type; cycles of each.

    Raises:
        LinkError: the board does not answer, or has another network.
    """
    hello = link.hello()
    size = samples.dtype.itemsize
    if hello.hash != expected_hash or hello.input_bytes != samples[0].nbytes or hello.output_bytes != outputs * size:
        raise LinkError(
            f"the firmware on {link.where} has another network",
            why=f"its hash begins with {hello.hash.hex()}, the spec's with {expected_hash.hex()}",
            next_step="uc-nn validate SPEC --firmware FILE makes the firmware for this one",
        )
    found, cycles = [], []
    for sample in samples:
        output, taken = link.run(sample.tobytes(), hello.output_bytes)
        found.append(np.frombuffer(output, samples.dtype))
        cycles.append(taken)
    return np.stack(found), cycles, hello
