"""The line to a board: damaged, late and lost frames, a board that is reset or unplugged, the wrong network."""

from __future__ import annotations

import random
import struct
import time

import pytest

from uc_nn_pio.validation import link as protocol
from uc_nn_pio.validation.link import Hello, Link, LinkError, crc16, frame, frames_in, meet, serial_link

HASH = bytes(range(8))
INPUT, OUTPUT, LAYERS = 300, 150, 40


class Board:
    """What the firmware does, as a port: the output is the first 150 bytes of the input, each plus one."""

    def __init__(self, seed: int = 0, **chances: float) -> None:
        self.rng, self.chances = random.Random(seed), chances
        self.taken, self.to_send = bytearray(), bytearray()
        self.kind, self.number, self.answer = b"", -1, b""
        self.sample, self.done, self.opened = b"", 0, 0
        self.traced = False
        self.plugged = True

    def happens(self, what: str) -> bool:
        return self.rng.random() < self.chances.get(what, 0)

    def open(self) -> Board:
        self.opened += 1
        if self.opened > 1 and self.happens("stays unplugged"):
            raise OSError("no such port")
        self.plugged = True
        return self

    def close(self) -> None:
        pass

    def write(self, data: bytes) -> None:
        if self.happens("unplugged"):
            self.plugged = False
        if not self.plugged:
            raise OSError("gone")
        self.taken += self.damaged(data)
        for kind, number, payload in frames_in(self.taken):
            if self.happens("reset"):
                self.sample, self.number = b"", -1
            if kind == b"H" or (kind, number) != (self.kind, self.number):
                self.kind, self.number = kind, number
                made, self.answer = self.obey(kind, payload)
                self.answer = frame(made, number, self.answer)
            self.to_send += self.damaged(self.answer)

    def damaged(self, data: bytes) -> bytes:
        if self.happens("lost"):
            return b""
        if self.happens("garbage"):
            data = bytes(self.rng.randrange(256) for _ in range(self.rng.randrange(9))) + data
        return bytes(byte ^ 1 << self.rng.randrange(8) if self.happens("flip") else byte for byte in data)

    def obey(self, kind: bytes, payload: bytes) -> tuple[bytes, bytes]:
        if kind == b"H":
            return kind, struct.pack("<B8s5I", 2, HASH, INPUT, OUTPUT, 1000, 320_000_000, LAYERS)
        if kind == b"S":
            self.sample, self.traced = b"", payload == b"\x01"
            return kind, b""
        if kind == b"I" and struct.unpack("<I", payload[:4])[0] == len(self.sample):
            self.sample += payload[4:]
            return kind, b""
        if kind == b"R" and len(self.sample) == INPUT:
            self.done += 1
            return kind, struct.pack("<Ii", 1234, 0)
        if kind == b"O" and len(self.sample) == INPUT:
            at, count = struct.unpack("<IB", payload)
            return kind, bytes((byte + 1) % 256 for byte in self.sample[at : at + count])
        if kind == b"L" and len(self.sample) == INPUT and self.traced:
            first, count = struct.unpack("<HB", payload)
            return kind, b"".join(struct.pack("<2I", *layer) for layer in traced_layers(self.sample)[first:][:count])
        return b"E", b"\x02"

    def read(self, count: int) -> bytes:
        if not self.plugged:
            raise OSError("gone")
        data, self.to_send = bytes(self.to_send[:count]), self.to_send[count:]
        return data


def traced_layers(sample: bytes) -> list[tuple[int, int]]:
    return [(layer, layer * 1000 + sample[layer]) for layer in range(LAYERS)]


def samples(count: int) -> list[bytes]:
    return [random.Random(count * 1000 + index).randbytes(INPUT) for index in range(count)]


def outputs_on(line: Link, given: list[bytes], name: bytes = HASH) -> tuple[list[bytes], list[int], Hello]:
    hello = meet(line, name, INPUT, OUTPUT, LAYERS)
    found = [line.run(sample, OUTPUT) for sample in given]
    return [output for output, _ in found], [cycles for _, cycles in found], hello


def link_to(board: Board, patience: float = protocol.PATIENCE_S) -> Link:
    return Link(board.open, "here", patience, answer_s=0.01)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol.time, "sleep", lambda seconds: None)


def test_the_crc_is_the_published_one() -> None:
    """CRC-16/CCITT-FALSE's check value."""
    assert crc16(b"123456789") == 0x29B1


@pytest.mark.parametrize(
    "chances",
    [
        {},
        {"flip": 0.002},
        {"lost": 0.2},
        {"garbage": 0.5},
        {"reset": 0.03},
        {"unplugged": 0.05, "stays unplugged": 0.5},
        {"flip": 0.0005, "lost": 0.05, "garbage": 0.2, "reset": 0.01, "unplugged": 0.02},
    ],
    ids=lambda chances: " and ".join(chances) or "nothing",
)
@pytest.mark.parametrize("seed", range(3))
def test_every_sample_comes_through(chances: dict[str, float], seed: int) -> None:
    board, given = Board(seed, **chances), samples(12)
    found, cycles, hello = outputs_on(line := link_to(board), given)
    assert found == [bytes((byte + 1) % 256 for byte in sample[:OUTPUT]) for sample in given]
    assert cycles == [1234] * 12 and hello.core_hz == 320_000_000
    assert [line.trace(sample, LAYERS) for sample in given] == [traced_layers(sample) for sample in given]
    assert (line.asked_again > 0) == bool(set(chances) - {"reset", "garbage"})
    if not chances:
        assert board.done == 24


def test_nothing_is_done_twice() -> None:
    """An answer that is lost is sent again; the run behind it is not made again, for it consumed its input."""
    board = Board(1, lost=0.3)
    outputs_on(link_to(board), samples(10))
    assert board.done == 10


def test_a_slow_board_is_not_asked_twice() -> None:
    """Once it has answered, it is given its time: of any frame, and of those that set the network going."""
    line = Link(slow_board().open, "here", answer_s=5.0)
    outputs_on(line, samples(2))
    assert line.asked_again == 0
    board = slow_board()
    line = Link(board.open, "here", answer_s=0.005, run_s=5.0)
    outputs_on(line, samples(2))
    assert line.asked_again >= 2 * 3 and board.done == 2  # S, O and O of both samples, which are run once


def slow_board() -> Board:
    """It answers after 20 ms."""
    board, since = Board(0), {}
    read = board.read

    def slow(count: int) -> bytes:
        begun = since.setdefault(board.number, time.monotonic())
        return read(count) if time.monotonic() - begun > 0.02 else b""

    board.read = slow
    return board


def test_no_board() -> None:
    with pytest.raises(LinkError, match="does not answer"):
        outputs_on(link_to(Board(0, lost=1.0), patience=0.05), samples(1))


def test_another_version_of_the_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Board, "obey", lambda self, kind, payload: (kind, b"\x01 and more"))
    with pytest.raises(LinkError, match="another version of the protocol") as caught:
        outputs_on(link_to(Board()), samples(1))
    assert caught.value.next_step


def test_a_port_that_there_is_not() -> None:
    with pytest.raises(LinkError, match="cannot open /dev/there-is-none"):
        outputs_on(serial_link("/dev/there-is-none"), samples(1))


def test_another_network() -> None:
    with pytest.raises(LinkError, match="another network"):
        outputs_on(link_to(Board()), samples(1), bytes(8))


def test_a_board_that_loses_every_sample() -> None:
    with pytest.raises(LinkError, match="loses every sample"):
        outputs_on(link_to(Board(0, reset=0.7)), samples(1))


def test_frames_out_of_noise() -> None:
    rng = random.Random(0)
    for _ in range(500):
        wanted = [
            (bytes([rng.choice(b"HSIROL")]), rng.randrange(256), rng.randbytes(rng.randrange(129))) for _ in range(4)
        ]
        stream = b"".join(rng.randbytes(rng.randrange(20)) + frame(*each) for each in wanted)
        buffer, found = bytearray(), []
        while stream:
            size = rng.randrange(1, 60)
            buffer += stream[:size]
            stream = stream[size:]
            found += frames_in(buffer)
        # noise that looks like a frame's head may hide the one behind it, until more comes
        assert all(each in wanted for each in found) and len(found) >= 2
