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
from typing import Any, TypeVar

import serial

from uc_nn_pio.errors import UcNnError

SYNC = b"\xa5\x5a"
MOST = 128
"""Bytes of a payload."""

CHUNK = MOST - 4
VERSION = 2

ANSWER_S = 0.4
"""Within so much time a frame is answered, or it was lost."""

_HELLO = "<B8s5I"
_LAYER = "<2I"
_MOST_LAYERS = MOST // struct.calcsize(_LAYER)

PATIENCE_S = 30.0
BAUD = 115_200

Answer = TypeVar("Answer")


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
    layers: int


@dataclass
class Link:
    """One board. ``open`` gives a port like pyserial's; ``asked_again`` counts frames that were sent once more, to a
    board that had answered before.

    A frame that has no answer within ``answer_s`` was lost; one that sets the network going takes ``run_s`` besides.
    A board that is not ``alive`` is not waited for.
    """

    open: Callable[[], Any]
    where: str
    patience: float = PATIENCE_S
    answer_s: float = ANSWER_S
    run_s: float = 0.0
    alive: Callable[[], bool] = lambda: True
    asked_again: int = 0
    _port: Any = None
    _number: int = 0
    _met: bool = False
    _answered: bool = False

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
            self.asked_again += not first and self._answered
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
                answer = None
            if answer is not None:
                self._answered = True
                return answer
            if not self.alive():
                break
        raise LinkError(
            f"the board on {self.where} does not answer",
            why=f"no whole frame came for {self.patience:g} s" if self.alive() else "it has stopped",
            next_step="is the validation firmware on it (uc-nn validate SPEC --firmware FILE), and is the port free?",
        )

    def _once(self, sent: bytes, kind: bytes) -> bytes | None:
        if self._port is None:
            self._port = self.open()
            self._met = True
        self._port.write(sent)
        wait = self.answer_s if self._answered else min(self.answer_s, ANSWER_S)
        wait += self.run_s if kind in b"IR" else 0
        buffer, limit = bytearray(), time.monotonic() + wait
        while time.monotonic() < limit:
            data = self._port.read(256)
            if data:
                limit = time.monotonic() + wait
            elif not self.alive():
                return None
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
        if said[:1] != bytes([VERSION]) or len(said) != struct.calcsize(_HELLO):
            raise LinkError(
                f"the firmware on {self.where} speaks another version of the protocol",
                next_step="make it anew: uc-nn validate SPEC --firmware FILE",
            )
        _, name, *sizes = struct.unpack(_HELLO, said)
        return Hello(name, *sizes)

    def run(self, sample: bytes, output_bytes: int) -> tuple[bytes, int]:
        """The outputs' bytes of one sample, and the cycles of the run; begun again where the board forgot it."""
        return self._insist(lambda: self._run(sample, output_bytes))

    def trace(self, sample: bytes, layers: int) -> list[tuple[int, int]]:
        """Cycles of each layer, and the word that stands for its output, of one sample."""

        def once() -> list[tuple[int, int]]:
            self._begin(sample, traced=True)
            found: list[tuple[int, int]] = []
            while len(found) < layers:
                count = min(_MOST_LAYERS, layers - len(found))
                found += struct.iter_unpack(_LAYER, self.ask(b"L", struct.pack("<HB", len(found), count)))
            return found

        return self._insist(once)

    def _insist(self, once: Callable[[], Answer]) -> Answer:
        for _ in range(10):
            with contextlib.suppress(Restarted):
                return once()
        raise LinkError(f"the board on {self.where} loses every sample", next_step="look at its power and its cable")

    def _begin(self, sample: bytes, traced: bool = False) -> int:
        """Runs a sample; its cycles."""
        self.ask(b"S", bytes([traced]))
        for at in range(0, len(sample), CHUNK):
            self.ask(b"I", struct.pack("<I", at) + sample[at : at + CHUNK])
        cycles, _ = struct.unpack("<Ii", self.ask(b"R"))
        return cycles

    def _run(self, sample: bytes, output_bytes: int) -> tuple[bytes, int]:
        cycles, output = self._begin(sample), b""
        while len(output) < output_bytes:
            count = min(MOST, output_bytes - len(output))
            output += self.ask(b"O", struct.pack("<IB", len(output), count))
        return output, cycles


def serial_link(port: str, **how: Any) -> Link:
    """A link over whatever pyserial opens; ``how`` are further fields of :class:`Link`."""
    return Link(lambda: serial.serial_for_url(port, baudrate=BAUD, timeout=0.02), port, **how)


def meet(link: Link, expected_hash: bytes, input_bytes: int, output_bytes: int, layers: int) -> Hello:
    """What the board says of itself.

    Raises:
        LinkError: it does not answer, or has another network.
    """
    hello = link.hello()
    wanted = (expected_hash, input_bytes, output_bytes, layers)
    if (hello.hash, hello.input_bytes, hello.output_bytes, hello.layers) != wanted:
        raise LinkError(
            f"the firmware on {link.where} has another network",
            why=f"its hash begins with {hello.hash.hex()}, the spec's with {expected_hash.hex()}",
            next_step="uc-nn validate SPEC --firmware FILE makes the firmware for this one",
        )
    return hello
