"""Packets of the GDB remote serial protocol over one TCP connection (GDB manual, appendix E)."""

from __future__ import annotations

import contextlib
import select
import socket

INTERRUPT = b"\x03"
MAX_PACKET = 1 << 16  # a line of noise must not fill the memory


def frame(payload: bytes) -> bytes:
    """``$payload#checksum``; the payload is escaped."""
    escaped = bytearray()
    for byte in payload:
        if byte in b"#$}*":
            escaped += bytes((0x7D, byte ^ 0x20))
        else:
            escaped.append(byte)
    return b"$" + bytes(escaped) + b"#%02x" % (sum(escaped) & 0xFF)


def unescape(payload: bytes) -> bytes:
    """Undo the escapes of a received payload."""
    plain = bytearray()
    escaped = False
    for byte in payload:
        if escaped:
            plain.append(byte ^ 0x20)
            escaped = False
        elif byte == 0x7D:
            escaped = True
        else:
            plain.append(byte)
    return bytes(plain)


class Parser:
    """Cuts a byte stream into packets. ``feed`` returns payloads (unescaped) and ``INTERRUPT`` for Ctrl-C;
    ``replies`` are the acknowledgements to send."""

    def __init__(self) -> None:
        self.acknowledge = True
        self.replies = bytearray()
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take received bytes; incomplete packets wait for the rest, damaged ones are asked for again."""
        self._buffer += data
        packets: list[bytes] = []
        while self._buffer:
            first = self._buffer[0]
            if first != 0x24:
                del self._buffer[0]
                if first == 3:
                    packets.append(INTERRUPT)
                continue  # "+", "-" and noise
            end = self._buffer.find(b"#")
            if end < 0 or len(self._buffer) < end + 3:
                if len(self._buffer) > MAX_PACKET:
                    self._buffer.clear()
                break
            body, check = bytes(self._buffer[1:end]), bytes(self._buffer[end + 1 : end + 3])
            del self._buffer[: end + 3]
            good = check.lower() == b"%02x" % (sum(body) & 0xFF)
            if self.acknowledge:
                self.replies += b"+" if good else b"-"
            if good:
                packets.append(unescape(body))
        return packets


class Connection:
    """One gdb. ``receive`` never waits longer than it is told; a lost peer sets ``closed``."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(10)
        self.parser = Parser()
        self.closed = False

    def receive(self, wait: float) -> list[bytes]:
        """The packets that came within ``wait`` seconds."""
        if self.closed or not select.select([self._socket], [], [], wait)[0]:
            return []
        try:
            data = self._socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.close()
            return []
        packets = self.parser.feed(data)
        if self.parser.replies:
            self._send_raw(bytes(self.parser.replies))
            self.parser.replies.clear()
        return packets

    def send(self, payload: bytes | str) -> None:
        """Send one packet; losing the peer closes the connection. Resending is TCP's work."""
        self._send_raw(frame(payload.encode() if isinstance(payload, str) else payload))

    def say(self, text: str) -> None:
        """Text for gdb's console; only while gdb waits for the end of a command."""
        self.send(b"O" + text.encode().hex().encode())

    def close(self) -> None:
        """Hang up."""
        self.closed = True
        with contextlib.suppress(OSError):
            self._socket.close()

    def _send_raw(self, data: bytes) -> None:
        if self.closed:
            return
        try:
            self._socket.sendall(data)
        except OSError:
            self.close()
