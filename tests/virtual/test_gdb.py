"""The gdb server, by a real gdb and by hand."""

from __future__ import annotations

import itertools
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.firmware.build import build_firmware
from uc_nn_pio.virtual import VirtualBoard
from uc_nn_pio.virtual.debug import Debugger, Limits
from uc_nn_pio.virtual.gdb import GdbServer
from uc_nn_pio.virtual.gdb_protocol import INTERRUPT, Parser, frame
from uc_nn_pio.virtual.gdb_target import CSRS, FIRST_CSR, RefusedError, Target

DEBUG = ("-Og", "-g")


@pytest.fixture
def gdb():
    """``gdb(elf, commands)``: the board from the command line, a real gdb on it; (gdb's text, the board's UART)."""
    processes = []

    def go(elf: Path, commands: str, *arguments: str) -> tuple[str, str]:
        board = subprocess.Popen(
            [sys.executable, "-m", "uc_nn_pio.virtual", "run", str(elf), "--gdb", "0", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        processes.append(board)
        assert board.stderr is not None
        port = next(m[1] for m in (re.search(r"target remote 127\.0\.0\.1:(\d+)", line) for line in board.stderr) if m)
        command = ["gdb-multiarch", "-q", "-nx", "-batch", "-ex", "set pagination off", "-ex", "set confirm off"]
        lines = [f"target remote 127.0.0.1:{port}", *commands.strip().splitlines()]
        done = subprocess.run(
            [*command, *(part for line in lines for part in ("-ex", line.strip())), str(elf)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
        )  # fmt: skip
        text = done.stdout
        assert "Remote connection closed" not in text, text
        uart, _ = board.communicate(timeout=30)
        assert board.returncode == 0, text
        return text, uart

    yield go
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


def in_order(text: str, *parts: str) -> None:
    at = 0
    for part in parts:
        found = text.find(part, at)
        assert found >= 0, f"{part!r} is not behind offset {at} of:\n{text}"
        at = found + len(part)


# -- a real gdb ------------------------------------------------------------------------------------------------


def test_break_step_registers_memory_continue(build, gdb):
    text, uart = gdb(
        build("debugged", flags=DEBUG),
        """monitor init
        info registers pc mstatus mcycle
        monitor time
        load
        break square
        continue
        backtrace
        finish
        print place
        set var limit = 7
        print limit
        delete
        tbreak accumulate
        monitor reset halt
        maintenance flush register-cache
        info registers pc
        continue
        stepi
        next
        monitor time
        monitor time
        set var place.y = 12
        x/2dw &place
        set var $a5 = 77
        print $a5
        x/1xw 0x10013004
        monitor registers uart0
        monitor nonsense
        continue""",
        "--seconds", "0.2",
    )  # fmt: skip
    in_order(
        text,
        "_start () at",
        "pc             0x20400000",
        "mstatus        0x",
        "mcycle         0x0",
        "0.000000000 s, 0 cycles, 0 instructions",
        "Start address 0x20400000",
        "hardware breakpoints for read-only addresses",
        "Breakpoint 1, square (n=",
        "#0  square (n=",
        " in accumulate (n=5) at",
        " in main () at",
        "Value returned is $1 = 0",
        "$2 = {x = 3, y = -4}",
        "$3 = 7",
        "reset: halted at 0x20400000",
        "pc             0x20400000",
        "Temporary breakpoint 2, accumulate (n=5)",
        "<place>:",
        "3\t12",
        "$4 = 77",
        "0x10013004:\t0x80000000",
        "0x10013000  txdata         0x00000000",
        "0x10013018  div            0x0000007c",  # 14.4 MHz / 115,200 - 1
        "'nonsense' is no monitor command",
        "exited normally",
    )
    times = re.findall(r"(\d\.\d{9}) s, (\d+) cycles", text)
    assert times[1] == times[2]  # it stands still while halted
    assert uart == "total=0000001e\ndone\n"


def test_watchpoints_and_a_fault(build, gdb):
    text, uart = gdb(
        build("debugged", flags=DEBUG),
        """tbreak main
        continue
        watch total
        continue
        continue
        delete
        watch bytes[2]
        set var limit = 9
        continue
        delete
        rwatch limit
        continue
        delete
        continue
        print $pc == *broken
        backtrace 1
        kill""",
        "--seconds", "0.2",
    )  # fmt: skip
    in_order(
        text,
        "Temporary breakpoint 1, main () at",
        "Hardware watchpoint 2: total\n\nOld value = 0\nNew value = 1\n",
        "Old value = 1\nNew value = 5\n",
        "Hardware watchpoint 3: bytes[2]\n\nOld value = ",
        "New value = 2 '\\002'\n",
        "Hardware read watchpoint 4: limit\n\nValue = 9\n",
        "a store to address 0x40000000",
        "Program received signal SIGSEGV",
        "broken () at",
        "#0 ",
        "broken () at",
    )
    assert uart.endswith("done\n")


LIBRARY = r"""
#include "fe310.h"

int main(void);

static volatile uint32_t rounds = 3u;

static __attribute__((noinline)) uint32_t triangle(uint32_t n)
{
    uint32_t sum = 0u;

    for (uint32_t i = 1u; i <= n; i++) {
        sum += i;
    }
    return sum;
}

int main(void)
{
    fe310_uart_init(115200u);
    for (uint32_t i = 1u; i <= rounds; i++) {
        fe310_print_unsigned(triangle(i));
        fe310_print("\n");
    }
    return 0;
}
"""


def test_a_firmware_with_the_fe310_library(tmp_path, gdb):
    (tmp_path / "library.c").write_text(LIBRARY)
    elf = build_firmware(tmp_path, main=tmp_path / "library.c")
    text, uart = gdb(
        elf,
        """break triangle
        continue
        backtrace
        finish
        print rounds
        set var rounds = 2
        continue
        next
        step
        info locals
        delete
        continue""",
        "--seconds", "0.2",
    )  # fmt: skip
    in_order(
        text, "triangle (n=", "#1 ", " in main ()", "Value returned is $1 = 1", "$2 = 3", "triangle (n=",
        "exited normally",
    )  # fmt: skip
    assert uart.startswith("1\n3\nerror: the program has ended")  # two rounds, as gdb set; CR LF read as text


# -- by hand ---------------------------------------------------------------------------------------------------


def test_halts_change_no_count(build):
    """Breakpoints, steps over every instruction and a free run: the same instructions and output, and the same
    cycles, but for those that depend on where a block ends: a data read from flash and a line of code behind it may
    change places, which costs two starts of a flash read (282 each) once."""
    elf = build("debugged", flags=DEBUG)
    symbol = VirtualBoard(elf).firmware.symbol
    ends = []
    for how in ("free", "breakpoints", "steps"):
        board = VirtualBoard(elf)
        debugger = Debugger(board, Limits(max_seconds=0.2))
        debugger.breakpoints.add(symbol("finished"))
        halts = 1
        if how == "breakpoints":
            debugger.breakpoints |= {symbol("square"), symbol("square") + 4, symbol("main")}
        if how == "steps":
            debugger.breakpoints.discard(symbol("finished"))
            while board.cpu.pc != symbol("accumulate"):
                assert debugger.step().reason == "step"
                halts += 1
            debugger.breakpoints.add(symbol("finished"))
        while (halt := debugger.resume()).reason == "breakpoint" and board.cpu.pc != symbol("finished"):
            halts += 1
        assert halt.reason == "breakpoint"
        result = board.result()
        ends.append((result.cycles, result.instructions + result.skipped_instructions, board.text))
        assert halts == {"free": 1, "breakpoints": 12}.get(how, halts)
    assert ends[0][1:] == ends[1][1:] == ends[2][1:]
    free, breakpoints, steps = (end[0] for end in ends)
    assert abs(breakpoints - free) < 10
    assert abs(steps - free) < 2 * 282 + 10
    assert ends[0][0] > 1000


def test_a_breakpoint_in_a_busy_wait_stops_in_each_round(run, build):
    elf = build("test", source="int main(void) { uart_init(RESET_HZ); for (;;) { (void)MTIME; } }")
    board = VirtualBoard(elf)
    debugger = Debugger(board)
    board.run(max_instructions=200)
    debugger.breakpoints.add(board.cpu.pc)
    counts = []
    for _ in range(4):
        assert debugger.resume().reason == "breakpoint"
        counts.append(board.cpu.instructions)
    rounds = [b - a for a, b in itertools.pairwise(counts)]
    assert max(rounds) < 10
    assert board.result().skipped_instructions == 0


def test_a_step_takes_no_interrupt_and_the_next_run_does(build):
    elf = build("test", source="""
      volatile uint32_t hits;
      __attribute__((interrupt, aligned(4))) void handler(void) { hits++; CLINT(0) = 0; }
      __attribute__((noinline)) void marked(void) { __asm__ volatile("nop\\nnop"); }
      int main(void) { uart_init(RESET_HZ); CSR_WRITE(mtvec, (uint32_t)handler); CSR_SET(mie, 1 << 3);
        CSR_SET(mstatus, 1 << 3); marked(); for (;;) {} }""")  # fmt: skip
    board = VirtualBoard(elf)
    debugger = Debugger(board)
    marked = board.firmware.symbol("marked")
    debugger.breakpoints.add(marked)
    assert debugger.resume().reason == "breakpoint"
    Target(board).write(0x0200_0000, b"\1\0\0\0")  # msip, as the firmware would
    assert debugger.step().reason == "step"
    assert board.cpu.pc == marked + 2
    debugger.breakpoints.add(board.firmware.symbol("handler"))
    assert debugger.resume().reason == "breakpoint"
    assert board.cpu.pc == board.firmware.symbol("handler")
    assert Target(board).register(FIRST_CSR + 0x342) == 0x8000_0003


def state_of(board: VirtualBoard) -> str:
    """All that a register's read might change, as text."""
    parts = [repr(sorted(vars(p).items(), key=str)) for p in board.bus.peripherals]
    clock = board.clock
    return repr((parts, clock.now, clock.epoch, clock.stable_until, len(board.reports.items)))


def test_reading_registers_from_gdb_changes_nothing(build):
    board = VirtualBoard(build("hello"))
    board.run(until="done\n", max_seconds=1)
    board.uart0.receive(b"xy")
    board.run(max_seconds=0.01)
    target = Target(board)
    assert target.read(0x1001_3004, 4) == b"x\0\0\0"
    before = state_of(board)
    for peripheral in board.bus.peripherals:
        for register in peripheral.REGISTERS:
            target.read(peripheral.base + register.offset, 4)
    assert state_of(board) == before
    assert target.read(0x1001_3004, 1) == b"x"  # still the first byte
    assert board.uart0.read(4, 4) == ord("x")
    assert target.read(0x1001_3004, 4) == b"y\0\0\0"


def test_memory_and_registers_refuse_what_the_chip_lacks(build):
    board = VirtualBoard(build("hello"))
    target = Target(board)
    ram = board.board.regions["ram"]
    assert len(target.read(ram.origin + ram.size - 4, 64)) == 4  # short, not wrong
    target.write(ram.origin + 5, b"abc")
    assert target.read(ram.origin + 4, 5)[1:4] == b"abc"
    for refused in (
        lambda: target.read(0x4000_0000, 4),
        lambda: target.write(0x2040_0000, b"\0"),
        lambda: target.write(0x4000_0000, b"\0"),
        lambda: target.write(0x1001_3000, b"\0"),
        lambda: target.write(0x1001_3FF0, b"\0\0\0\0"),
        lambda: target.register(FIRST_CSR + 0x3A0),  # no physical memory protection in this core
        lambda: target.set_register(FIRST_CSR + 0xB00, 1),
    ):
        with pytest.raises(RefusedError):
            refused()
    assert all(target.register(FIRST_CSR + csr) >= 0 for csr in CSRS)
    assert board.output == b""


class Client:
    """As much of a gdb as these tests need; the board runs in a thread."""

    def __init__(self, elf: Path, **limits: float) -> None:
        self.board = VirtualBoard(elf)
        self.server = GdbServer(0)
        self.ended: list[str] = []
        self._thread = threading.Thread(
            target=lambda: self.ended.append(self.server.serve(self.board, Limits(**limits))), daemon=True
        )
        self._thread.start()
        self.connect()

    def connect(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.server.port), timeout=20)
        self.data = b""

    def ask(self, payload: bytes, raw: bool = False) -> bytes:
        self.socket.sendall(payload if raw else frame(payload))
        return self.reply()

    def reply(self) -> bytes:
        while (found := re.search(rb"\$([^#]*)#..", self.data)) is None:
            part = self.socket.recv(4096)
            assert part
            self.data += part
        self.data = self.data[found.end() :]
        self.socket.sendall(b"+")
        return found[1]

    def end(self) -> str:
        self.ask(b"vKill;1")
        self._thread.join(20)
        self.server.close()
        self.socket.close()
        return self.ended[0]


ENDLESS = "volatile uint32_t n; int main(void) { uart_init(RESET_HZ); for (;;) n++; }"


def test_ctrl_c_stops_and_time_stands_still(build):
    client = Client(build("test", source=ENDLESS))
    client.socket.sendall(frame(b"c"))
    assert client.ask(INTERRUPT, raw=True) == b"T02"
    cycles = client.board.cpu.cycles
    pc = int.from_bytes(bytes.fromhex(client.ask(b"p20").decode()), "little")
    assert client.board.firmware.function(pc) in ("main", "_start")
    assert client.ask(b"?") == b"T02"
    assert client.board.cpu.cycles == cycles
    assert client.end() == "killed"


def test_detached_the_firmware_runs_on_and_the_next_gdb_halts_it(build):
    client = Client(build("test", source=ENDLESS))
    main = client.board.firmware.symbol("main")
    assert client.ask(b"Z1,%x,2" % main) == b"OK"
    assert client.ask(b"c") == b"T05"
    assert client.ask(b"D") == b"OK"
    client.socket.close()
    while client.board.cpu.instructions < 100_000:
        pass
    client.connect()
    assert client.ask(b"?").startswith(b"T")
    halted = client.board.cpu.instructions
    assert client.ask(b"s") == b"T05"
    assert client.board.cpu.instructions == halted + 1
    assert client.end() == "killed"


def test_range_steps_stay_in_the_range(build):
    client = Client(build("debugged", flags=DEBUG))
    square = client.board.firmware.symbol("square")
    assert client.ask(b"Z0,%x,2" % square) == b"OK"
    assert client.ask(b"vCont;c") == b"T05"
    assert client.ask(b"z0,%x,2" % square) == b"OK"
    assert client.ask(b"vCont;r%x,%x:1" % (square, square + 8)) == b"T05"
    assert client.board.firmware.function(client.board.cpu.pc) == "accumulate"
    assert client.end() == "killed"


def test_the_flash_takes_only_what_it_holds(build):
    client = Client(build("debugged", flags=DEBUG))
    flash = client.board.cpu.memories[0]
    code = flash.data[0x40_0000:0x40_0010].tobytes()
    assert client.ask(b"vFlashErase:20400000,1000") == b"OK"
    assert client.ask(b"vFlashWrite:20400000:" + code) == b"OK"
    assert client.ask(b"vFlashDone") == b"OK"
    assert client.ask(b"vFlashWrite:20400000:" + code[::-1]).startswith(b"E.the virtual board runs the ELF")
    assert client.ask(b"M20400000,1:00").startswith(b"E.flash is read-only")
    assert client.ask(b"X80000000,3:#$\x05") == b"OK"
    assert client.ask(b"m80000000,3") == b"232405"
    assert client.end() == "killed"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(packet=st.one_of(
    st.binary(max_size=40),
    st.tuples(st.sampled_from([b"m", b"M", b"X", b"p", b"P", b"G", b"Z2,", b"z0,", b"Z1,", b"qXfer:", b"vCont;r",
                               b"vFlashWrite:", b"qRcmd,", b"H", b"vCont"]),
              st.text("0123456789abcdef,:;=-", max_size=20).map(str.encode)).map(b"".join),
))  # fmt: skip
def test_no_packet_breaks_the_server(build, packet):
    server = GdbServer(0)
    try:
        server._debugger = Debugger(VirtualBoard(build("hello")), Limits(max_seconds=0.001))
        server._target = Target(server._debugger.board)
        server._on_slice, server._last, server._reason = lambda board: None, "T05", None
        sent: list[bytes | str] = []

        class Sink:
            closed = False

            def send(self, reply):
                sent.append(reply)

            def say(self, text):
                sent.append(text)

            def receive(self, wait):
                return []

            def close(self):
                self.closed = True

            parser = Parser()

        server._gdb = Sink()
        server._answer(packet)
        assert packet[:1] == b"k" or len(sent) >= 1
    finally:
        server._gdb = None
        server.close()


@given(st.lists(st.binary(max_size=30), max_size=5), st.integers(1, 7))
def test_packets_survive_any_cut(payloads, size):
    parser = Parser()
    stream = b"".join(frame(payload) for payload in payloads)
    got = []
    for start in range(0, len(stream), size):
        got += parser.feed(stream[start : start + size])
    assert got == payloads
    assert parser.replies == b"+" * len(payloads)


def test_a_damaged_packet_is_asked_for_again():
    parser = Parser()
    assert parser.feed(b"noise$g#00\x03$?#3f") == [INTERRUPT, b"?"]
    assert parser.replies == b"-+"


def test_only_the_local_machine_can_connect_and_a_taken_port_is_told(build):
    server = GdbServer(0)
    try:
        assert server._listener.getsockname()[0] == "127.0.0.1"
        done = subprocess.run(
            [sys.executable, "-m", "uc_nn_pio.virtual", "run", str(build("hello")), "--gdb", str(server.port)],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 3
        assert "cannot be used for gdb" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        server.close()
