"""Where the UART's bytes go: a stream (stdout) or one TCP client on 127.0.0.1, and what comes back."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from typing import BinaryIO, Protocol

from uc_nn_pio.virtual.loopback import listen

SETTLE_SECONDS = 0.3  # pyserial's socket:// throws away what arrives while it opens
HEAD_BYTES = 64 * 1024
TAIL_BYTES = 256 * 1024


class UartLink(Protocol):
    """The other end of UART0."""

    def write(self, data: bytes) -> None:
        """Bytes that the board sent."""

    def read(self) -> bytes:
        """Bytes for the board that came since the last call; never waits."""

    def close(self) -> None:
        """Send what is left and let go."""


class StreamLink:
    """Writes to a binary stream such as ``sys.stdout.buffer``; the board receives nothing."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        if data.endswith(b"\n"):
            self._stream.flush()

    def read(self) -> bytes:
        return b""

    def close(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


class Replay:
    """Everything printed since reset, bounded: the first part and the newest are kept, the gap is named."""

    def __init__(self, head: int = HEAD_BYTES, tail: int = TAIL_BYTES) -> None:
        self._head_limit = head
        self._tail_limit = tail
        self._head = bytearray()
        self._tail = bytearray()
        self._tail_start = head  # stream offset of the tail's first byte
        self.total = 0

    def append(self, data: bytes) -> None:
        """Add printed bytes."""
        self.total += len(data)
        room = self._head_limit - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room < len(data) else b""
        if len(self._tail) > 2 * self._tail_limit:
            excess = len(self._tail) - self._tail_limit
            # Start at a whole line, so that what follows the gap can be read.
            newline = self._tail.find(b"\n", excess)
            cut = newline + 1 if 0 <= newline < len(self._tail) - 1 else excess
            del self._tail[:cut]
            self._tail_start += cut

    def since(self, offset: int) -> tuple[bytes, int]:
        """What follows stream offset ``offset``, and the offset behind it; a gap is said in words."""
        parts = []
        if offset < len(self._head):
            parts.append(bytes(self._head[offset:]))
            offset = len(self._head)
        if offset >= self._head_limit and self._tail:
            if offset < self._tail_start:
                parts.append(b"\r\n[virtual board: %d bytes dropped here]\r\n" % (self._tail_start - offset))
                offset = self._tail_start
            parts.append(bytes(self._tail[offset - self._tail_start :]))
        return b"".join(parts), self.total


class TcpLink:
    """Serves the UART to one client at a time on 127.0.0.1.

    A client gets, 0.3 s after it connected, everything printed since reset, then what follows. What it sends goes to
    the board. A second client is told that the line is busy. A slow client never holds up the board.
    """

    def __init__(self, port: int) -> None:
        self._listener = listen(port, "the UART", "tcp:0")
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._replay = Replay()
        self._received = bytearray()
        self._client: socket.socket | None = None
        self._client_offset = 0
        self._settled_at = 0.0
        self._idle_since = time.monotonic()
        self.clients = 0
        self._closing = False
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._thread = threading.Thread(target=self._serve, name="uart-tcp", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        with self._lock:
            self._replay.append(data)
        self._wake()

    def read(self) -> bytes:
        with self._lock:
            data = bytes(self._received)
            self._received.clear()
        return data

    def idle_seconds(self) -> float:
        """How long nobody has been connected."""
        return 0.0 if self._client is not None else time.monotonic() - self._idle_since

    def close(self) -> None:
        deadline = time.monotonic() + 1.0 + SETTLE_SECONDS
        while self._client is not None and self._client_offset < self._replay.total and time.monotonic() < deadline:
            time.sleep(0.01)
        self._closing = True
        self._wake()
        self._thread.join(2)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._waker.send(b"x")

    def _serve(self) -> None:
        pending = b""
        while not self._closing:
            pending = self._turn(pending)
        self._drop_client()
        for each in (self._listener, self._waker, self._woken):
            each.close()

    def _turn(self, pending: bytes) -> bytes:
        """One wait for sockets and one round of service; returns what could not be sent yet."""
        client = self._client
        if client is not None and not pending and time.monotonic() >= self._settled_at:
            with self._lock:
                pending, self._client_offset = self._replay.since(self._client_offset)
        readers = [self._listener, self._woken] + ([client] if client is not None else [])
        wait = 0.5 if client is None else max(self._settled_at - time.monotonic(), 0.0) or 0.5
        readable, writable, _ = select.select(readers, [client] if client is not None and pending else [], [], wait)
        if self._woken in readable:
            self._woken.recv(4096)
        # First who leaves, then who comes: a monitor that is closed and opened at once is not its own rival.
        if client is not None and (client in readable or self._listener in readable):
            while self._client is client and self._receive(client):
                pass
        if self._listener in readable:
            self._accept()
        if client is not None and client in writable and self._client is client:
            try:
                pending = pending[client.send(pending) :]
            except OSError:
                self._drop_client()
        return pending if self._client is client else b""

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        if self._client is not None:
            with contextlib.suppress(OSError):
                connection.sendall(b"virtual board: the UART has another client\r\n")
            connection.close()
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client_offset = 0
        self._settled_at = time.monotonic() + SETTLE_SECONDS
        self._client = connection
        self.clients += 1

    def _receive(self, client: socket.socket) -> bool:
        """Take what the client sent; whether there may be more. Its end of file drops it."""
        try:
            data = client.recv(4096)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data:
            with self._lock:
                self._received += data
        else:
            self._drop_client()
        return bool(data)

    def _drop_client(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
            self._idle_since = time.monotonic()
