"""Serves gdb: ``target remote 127.0.0.1:PORT`` (GDB manual, appendix E "Remote Serial Protocol").

The firmware stands at reset until gdb lets it run. Emulated time stands still whenever the board is halted. When gdb
detaches or goes away the firmware runs on; when one connects it halts.
"""

from __future__ import annotations

import re
import select
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from uc_nn_pio.virtual.debug import Debugger, Halt, Limits
from uc_nn_pio.virtual.gdb_monitor import monitor
from uc_nn_pio.virtual.gdb_protocol import INTERRUPT, Connection
from uc_nn_pio.virtual.gdb_target import PC, RefusedError, Target
from uc_nn_pio.virtual.loopback import listen

if TYPE_CHECKING:
    from uc_nn_pio.virtual.board import VirtualBoard

SIGINT, SIGILL, SIGTRAP, SIGSEGV = 2, 4, 5, 11
PACKET_BYTES = 0x4000
MAX_WATCH_BYTES = 4096
WAIT_SECONDS = 0.1  # how often a halted board looks whether it is to end
_WATCH = {"2": "write", "3": "read", "4": "access"}
_WATCH_REPLY = {"write": "watch", "read": "rwatch", "access": "awatch"}


class GdbServer:
    """Listens on 127.0.0.1 for one gdb at a time; port 0 takes a free one.

    Raises:
        VirtualBoardError: the port is taken.
    """

    def __init__(self, port: int) -> None:
        self._listener = listen(port, "gdb", "--gdb 0")
        self.port: int = self._listener.getsockname()[1]
        self._gdb: Connection | None = None
        self._queue: list[bytes] = []

    @property
    def connected(self) -> bool:
        """A gdb is there."""
        return self._gdb is not None and not self._gdb.closed

    def close(self) -> None:
        """Hang up and listen no more."""
        if self._gdb is not None:
            self._gdb.close()
        self._listener.close()

    # -- the loop --------------------------------------------------------------------------------------------------

    def serve(
        self,
        board: VirtualBoard,
        limits: Limits | None = None,
        *,
        on_slice: Callable[[Any], None] | None = None,
        over: Callable[[], bool] = lambda: False,
    ) -> str:
        """Run ``board`` as gdb says until it ends; returns the reason (``killed``, or that of a ``RunResult``).

        ``over`` is asked while the board stands still, ``on_slice`` is called while it runs.

        Raises:
            VirtualBoardError: the firmware did what the chip cannot do, and no gdb was there to look at it.
        """
        self._debugger = Debugger(board, limits)
        self._target = Target(board)
        self._on_slice = on_slice or (lambda board: None)
        self._last = f"T{SIGTRAP:02x}"
        self._reason: str | None = None
        self._run = False  # the firmware runs as soon as nobody wants to talk
        while self._reason is None:
            if over():
                self._reason = "stopped"
            elif not self.connected and (not self._accept(0 if self._run else WAIT_SECONDS)) and self._run:
                self._free_run()
            elif self.connected:
                self._talk()
        return self._reason

    def _talk(self) -> None:
        assert self._gdb is not None
        self._queue += self._gdb.receive(0 if self._queue else WAIT_SECONDS)
        if self._queue:
            packet = self._queue.pop(0)
            if packet != INTERRUPT:
                self._answer(packet)
        if self._gdb is not None and self._gdb.closed:
            self._leave()

    def _accept(self, wait: float) -> bool:
        if not select.select([self._listener], [], [], wait)[0]:
            return False
        connection, _ = self._listener.accept()
        self._gdb = Connection(connection)
        self._queue.clear()
        self._run = False
        return True

    def _leave(self) -> None:
        """gdb is gone: the firmware runs on without its breakpoints."""
        self._debugger.clear()
        if self._gdb is not None:
            self._gdb.close()
        self._gdb = None
        self._run = True

    def _free_run(self) -> None:
        halt = self._debugger.resume(self._while_running)
        if halt.error is not None:
            raise halt.error
        if halt.over:
            self._reason = halt.reason

    def _while_running(self, board: Any) -> None:
        self._on_slice(board)
        if not self.connected:
            if select.select([self._listener], [], [], 0)[0]:
                self._debugger.interrupt()
            return
        assert self._gdb is not None
        self._queue += self._gdb.receive(0)
        if self._queue or self._gdb.closed:
            self._queue = [packet for packet in self._queue if packet != INTERRUPT]
            self._debugger.interrupt()

    # -- packets ---------------------------------------------------------------------------------------------------

    def _answer(self, packet: bytes) -> None:
        assert self._gdb is not None
        try:
            reply = self._handle(packet)
        except RefusedError as error:
            reply = f"E.{error.what}"
        except (ValueError, IndexError):
            reply = "E01"  # a packet that is none
        if reply is not None:
            self._gdb.send(reply)
        if packet == b"QStartNoAckMode":
            self._gdb.parser.acknowledge = False
        if packet.startswith(b"D") and reply == "OK":
            self._leave()

    def _handle(self, packet: bytes) -> bytes | str | None:
        """The reply to a packet, ``""`` for what is not known, ``None`` for none."""
        if packet.startswith(b"X"):
            head, _, data = packet[1:].partition(b":")
            return self._write(head.decode(), data)
        if packet.startswith(b"vFlashWrite:"):
            return self._flash_write(packet[len(b"vFlashWrite:") :])
        text = packet.decode("ascii", "replace")
        name = next((n for n in self._LONG if text.startswith(n)), text[:1])
        handler = self._LONG.get(name) or self._SHORT.get(name)
        return handler(self, text[len(name) :]) if handler is not None else ""

    def _supported(self, rest: str) -> str:
        return (
            f"PacketSize={PACKET_BYTES:x};QStartNoAckMode+;qXfer:features:read+;qXfer:memory-map:read+;vContSupported+"
        )

    def _transfer(self, rest: str) -> bytes | str:
        kind, _, place = rest.rpartition(":")
        offset, length = (int(part, 16) for part in place.split(","))
        if kind == "features:read:target.xml":
            document = self._target.features_xml().encode()
        elif kind == "memory-map:read:":
            document = self._target.memory_map_xml().encode()
        else:
            return "E00" if kind.startswith("features:read:") else ""
        return (b"m" if offset + length < len(document) else b"l") + document[offset : offset + length]

    def _monitor(self, rest: str) -> str:
        assert self._gdb is not None
        text = monitor(bytes.fromhex(rest).decode("utf-8", "replace"), self._debugger, self._target)
        if text:
            self._gdb.say(text)
        return "OK"

    def _read_registers(self, rest: str) -> str:
        return "".join(_hex_word(self._target.register(i)) for i in range(PC + 1))

    def _write_registers(self, rest: str) -> str:
        data = bytes.fromhex(rest)
        for i in range(min(len(data) // 4, PC + 1)):
            self._target.set_register(i, int.from_bytes(data[4 * i : 4 * i + 4], "little"))
        return "OK"

    def _read_register(self, rest: str) -> str:
        return _hex_word(self._target.register(int(rest, 16)))

    def _write_register(self, rest: str) -> str:
        number, _, value = rest.partition("=")
        self._target.set_register(int(number, 16), int.from_bytes(bytes.fromhex(value), "little"))
        return "OK"

    def _read_memory(self, rest: str) -> str:
        address, length = (int(part, 16) for part in rest.split(","))
        return self._target.read(address, min(length, PACKET_BYTES // 2 - 4)).hex()

    def _write_memory(self, rest: str) -> str:
        head, _, data = rest.partition(":")
        return self._write(head, bytes.fromhex(data))

    def _write(self, head: str, data: bytes) -> str:
        address, length = (int(part, 16) for part in head.split(","))
        if length != len(data):
            return "E01"
        if data:
            self._target.write(address, data)
        return "OK"

    def _flash_write(self, rest: bytes) -> str:
        head, _, data = rest.partition(b":")
        if not self._target.holds(int(head, 16), data):
            raise RefusedError("the virtual board runs the ELF it was started with; start it anew with the new one")
        return "OK"

    def _insert(self, rest: str) -> str:
        return self._point(rest, self._debugger.breakpoints.add, self._debugger.watch)

    def _remove(self, rest: str) -> str:
        return self._point(rest, self._debugger.breakpoints.discard, self._debugger.unwatch)

    def _point(self, rest: str, at_address: Callable[[int], None], at_access: Callable[[str, int, int], None]) -> str:
        kind, address, size = rest.split(";")[0].split(",")
        at = int(address, 16) & 0xFFFF_FFFF
        if kind in ("0", "1"):
            at_address(at)
        elif kind in _WATCH:
            if int(size, 16) > MAX_WATCH_BYTES:
                raise RefusedError(f"a watchpoint spans at most {MAX_WATCH_BYTES} bytes")
            at_access(_WATCH[kind], at, int(size, 16))
        else:
            return ""
        return "OK"

    # -- running ---------------------------------------------------------------------------------------------------

    def _continue(self, rest: str) -> str | None:
        return self._go(rest, lambda: self._debugger.resume(self._while_running))

    def _step(self, rest: str) -> str | None:
        return self._go(rest, lambda: self._debugger.step(self._while_running))

    def _go(self, rest: str, run: Callable[[], Halt]) -> str | None:
        """``c``, ``s`` with an address to go on at, or a signal, which means nothing here."""
        if re.fullmatch("[0-9a-f]+", rest):
            self._target.set_register(PC, int(rest, 16))
        return self._stopped(run())

    def _continue_signal(self, rest: str) -> str | None:
        return self._continue(rest.partition(";")[2])

    def _step_signal(self, rest: str) -> str | None:
        return self._step(rest.partition(";")[2])

    def _resume(self, rest: str) -> str | None:
        """``vCont``: there is one thread, so the first action is its."""
        action = rest.split(";")[1].partition(":")[0]
        if action[0] in "cC":
            return self._continue("")
        if action[0] in "sS":
            return self._step("")
        if action[0] == "r":
            low, high = (int(part, 16) for part in action[1:].split(","))
            return self._stopped(self._debugger.step(self._while_running, (low, high)))
        return ""

    def _stopped(self, halt: Halt) -> str | None:
        """The stop reply. A fault is told in words first."""
        assert self._gdb is not None
        if halt.over:
            self._reason = halt.reason
            return "W00"
        signal, detail = SIGTRAP, ""
        if halt.error is not None:
            self._gdb.say(f"virtual board: {halt.error}\n")
            signal = SIGILL if "illegal" in halt.error.what else SIGSEGV
        elif halt.reason == "interrupt":
            signal = SIGINT
        elif halt.reason == "watch":
            detail = f"{_WATCH_REPLY[halt.watch]}:{halt.address:x};"
        self._last = f"T{signal:02x}{detail}"
        return self._last

    def _kill(self, rest: str) -> str | None:
        self._reason = "killed"
        return "OK" if rest.startswith(";") else None

    _SHORT: dict[str, Callable[[GdbServer, str], bytes | str | None]] = {
        "?": lambda self, rest: self._last,
        "g": _read_registers, "G": _write_registers, "p": _read_register, "P": _write_register,
        "m": _read_memory, "M": _write_memory, "Z": _insert, "z": _remove,
        "c": _continue, "s": _step, "C": _continue_signal, "S": _step_signal,
        "H": lambda self, rest: "OK", "T": lambda self, rest: "OK", "D": lambda self, rest: "OK", "k": _kill,
    }  # fmt: skip
    _LONG: dict[str, Callable[[GdbServer, str], bytes | str | None]] = {
        "qSupported": _supported, "qXfer:": _transfer, "qRcmd,": _monitor,
        "qAttached": lambda self, rest: "1",
        "qC": lambda self, rest: "QC1" if not rest else "",
        "qfThreadInfo": lambda self, rest: "m1", "qsThreadInfo": lambda self, rest: "l",
        "QStartNoAckMode": lambda self, rest: "OK",
        "vCont?": lambda self, rest: "vCont;c;C;s;S;r", "vCont": _resume, "vKill": _kill,
        "vFlashErase:": lambda self, rest: "OK", "vFlashDone": lambda self, rest: "OK",
    }  # fmt: skip


def _hex_word(value: int) -> str:
    return (value & 0xFFFF_FFFF).to_bytes(4, "little").hex()
