"""Command line of the virtual board: ``python -m uc_nn_pio.virtual run firmware.elf``; ``uc-nn board`` reuses it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from uc_nn_pio.errors import UcNnError, VirtualBoardError
from uc_nn_pio.virtual.scene_options import add_scene_arguments, scene_of

IDLE_EXIT_SECONDS = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb ``run`` to a parser."""
    verbs = parser.add_subparsers(dest="board_verb", required=True, metavar="VERB")
    example = "example: uc-nn board run firmware.elf --scene digits.npz --frames 10 --profile profile.html"
    plain = argparse.RawDescriptionHelpFormatter  # which breaks no line of the example
    _add_run_arguments(
        verbs.add_parser(
            "run", help="run a firmware", description="Run a firmware.", epilog=example, formatter_class=plain
        )
    )


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("elf", type=Path, help="the firmware")
    parser.add_argument("--board", default="hifive1_virtual", help="board name (default: hifive1_virtual)")
    parser.add_argument(
        "--uart",
        default="stdout",
        metavar="stdout|tcp:PORT",
        help="UART0; tcp on 127.0.0.1 only, tcp:0 takes a free port",
    )
    parser.add_argument("--port-file", type=Path, metavar="FILE", help="write the TCP port there")
    add_scene_arguments(parser)
    parser.add_argument("--no-camera", action="store_true", help="nothing is plugged in")
    parser.add_argument(
        "--camera-module", choices=("mini", "plus"), default="mini", help="ArduCAM Mini 2MP or 2MP Plus"
    )
    parser.add_argument("--frames", type=int, metavar="N", help="end when frame N has been read and dealt with")
    parser.add_argument("--seconds", type=float, metavar="S", help="end after S seconds of emulated time")
    parser.add_argument("--speed", choices=("real", "max"), help="default: real for tcp, max for stdout")
    parser.add_argument(
        "--idle-exit",
        type=float,
        metavar="S",
        help=f"tcp: end when nobody was connected for S s (default {IDLE_EXIT_SECONDS:g})",
    )
    parser.add_argument("--warm", action="store_true", help="enter as after an upload: PLL on, watchdog armed...")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[=VALUE][@WHEN]",
        help="a fault, from the start or at WHEN: 1.5 (seconds), frame3, capture12.5; repeatable",
    )
    parser.add_argument(
        "--stall-limit",
        default="2000M",
        metavar="LIMIT",
        help="stop a firmware that is silent for 10s, or for 500M instructions; off (default 2000M)",
    )
    parser.add_argument("--fault-until", metavar="WHEN", help="when the faults go")
    parser.add_argument("--seed", type=int, default=0, help="random content of RAM at power-up (default 0)")
    parser.add_argument("--log", type=Path, metavar="FILE", help="JSON lines: frames with labels, remarks, counts")
    parser.add_argument(
        "--gdb", type=int, metavar="PORT", help="halt at reset and serve gdb on 127.0.0.1; 0 takes a free port"
    )
    parser.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="FILE",
        help="where the cycles went: .txt, .json, .svg or .html; - is text on standard output; repeatable",
    )
    parser.add_argument("--stats", action="store_true", help="say at the end how fast the emulation was")


def main(argv: list[str] | None = None) -> int:
    """``python -m uc_nn_pio.virtual``; returns the exit code (0 fine, 2 wrong arguments, 3 the board stopped)."""
    parser = argparse.ArgumentParser(prog="python -m uc_nn_pio.virtual", description="The virtual HiFive1.")
    add_arguments(parser)
    return run(parser.parse_args(argv))


def run(arguments: argparse.Namespace) -> int:
    """Run what the arguments say; errors are printed, never raised."""
    try:
        return _Session(arguments).run()
    except UcNnError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("unicorn", "numba", "llvmlite", "PIL", "elftools"):
            raise
        print(
            f"error: the virtual board needs {error.name}\n  next: pip install 'uc_nn_pio[virtual]'",
            file=sys.stderr,
        )
        return 2


class _Log:
    """JSON lines to a file, remarks to stderr too."""

    def __init__(self, path: Path | None) -> None:
        self._file: TextIO | None = None
        if path is not None:
            try:
                self._file = path.open("w", encoding="utf-8", buffering=1)
            except OSError as error:
                raise VirtualBoardError(
                    "the log file cannot be written", where=str(path), why=error.strerror
                ) from error

    def write(self, record: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(record) + "\n")

    def say(self, text: str) -> None:
        print(f"virtual board: {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class _Session:
    """One run from the command line: link, board, pace, signals, end."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._tcp_port = _tcp_port(arguments.uart)
        self._signalled = False
        self._gdb: Any = None
        self._log = _Log(arguments.log)

    def run(self) -> int:
        from uc_nn_pio.virtual.board import VirtualBoard
        from uc_nn_pio.virtual.faults import Fault
        from uc_nn_pio.virtual.profile_report import check_target
        from uc_nn_pio.virtual.timing import NOTICE
        from uc_nn_pio.virtual.uart_link import StreamLink, TcpLink

        a = self._arguments
        for target in a.profile:
            check_target(target)
        scene = scene_of(a)
        faults = [Fault.of(text, a.fault_until) for text in a.fault]
        board = VirtualBoard(
            a.elf,
            a.board,
            scene,
            camera=not a.no_camera,
            module=a.camera_module,
            seed=a.seed,
            warm=a.warm,
            faults=faults,
            stall_limit=a.stall_limit,
        )
        self._board = board
        self._link = StreamLink(sys.stdout.buffer) if self._tcp_port is None else TcpLink(self._tcp_port)
        try:
            board.uart = self._link
            self._announce()
            self._log.say(NOTICE)
            self._log.write({"notice": NOTICE})
            board.on_frame = self._log.write
            for report in board.reports.items:  # of power-up
                self._report(report)
            board.reports.on_report = self._report
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_signal)
            return self._run_board()
        finally:
            self._link.close()
            self._log.close()

    def _announce(self) -> None:
        if self._tcp_port is None:
            return
        port = self._link.port  # type: ignore[union-attr]
        if self._arguments.port_file is not None:
            target: Path = self._arguments.port_file
            temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
            temporary.write_text(f"{port}\n")
            temporary.replace(target)
        print(f"uart: socket://127.0.0.1:{port}", flush=True)

    def _run_board(self) -> int:
        a, code, begun = self._arguments, 0, time.monotonic()
        self._origin = time.monotonic() - self._board.seconds
        self._real_time = (a.speed or ("max" if self._tcp_port is None else "real")) == "real"
        try:
            if a.gdb is not None:
                reason = self._serve_gdb()
            else:
                reason = self._board.run(max_frames=a.frames, max_seconds=a.seconds, on_slice=self._on_slice).reason
            self._board.uart0.flush()
        except VirtualBoardError as error:
            self._board.uart0.flush()
            self._log.say(str(error))
            self._log.write({"error": error.what, "where": str(error.where), "why": error.why})
            self._link.write(f"\r\nvirtual board: {error}\r\n".replace("\r\n", "\n").replace("\n", "\r\n").encode())
            reason, code = "error", error.exit_code
        result = self._board.result(reason)
        self._log.write({"end": reason, **_counts(result)})
        if a.profile:
            self._write_profile(reason)
        if a.stats:
            self._log.say(_speed(result, time.monotonic() - begun))
        if self._tcp_port is not None:
            self._wait_for_client()
        return code

    def _write_profile(self, reason: str) -> None:
        from uc_nn_pio.virtual.profile_report import Profile, write

        sys.stdout.flush()
        profile = Profile.of(self._board, reason)
        for target in self._arguments.profile:
            write(profile, target)

    def _serve_gdb(self) -> str:
        from uc_nn_pio.virtual.debug import Limits
        from uc_nn_pio.virtual.gdb import GdbServer

        self._gdb = GdbServer(self._arguments.gdb)
        self._log.say(f"gdb: target remote 127.0.0.1:{self._gdb.port}")
        limits = Limits(self._arguments.frames, self._arguments.seconds)
        try:
            return self._gdb.serve(
                self._board, limits, on_slice=self._on_slice, over=lambda: self._signalled or self._idle()
            )
        finally:
            self._gdb.close()

    def _on_slice(self, board: Any) -> None:
        while not (self._signalled or self._idle()):
            if not self._real_time:
                return
            ahead = board.seconds - (time.monotonic() - self._origin)
            if ahead < -0.1:  # too slow: do not race afterwards
                self._origin -= ahead
            if ahead < 0.001:
                return
            time.sleep(min(ahead, 0.05))
        board.stop()

    def _wait_for_client(self) -> None:
        """The board has ended; a monitor may still come for what it printed, or have it on its screen."""
        link = self._link
        seen = link.clients  # type: ignore[union-attr]
        while not self._signalled and not self._idle():
            if seen and link.idle_seconds() > 0:  # type: ignore[union-attr]
                return
            seen = link.clients  # type: ignore[union-attr]
            time.sleep(0.05)

    def _idle(self) -> bool:
        if self._tcp_port is None or (self._gdb is not None and self._gdb.connected):
            return False
        limit = self._arguments.idle_exit if self._arguments.idle_exit is not None else IDLE_EXIT_SECONDS
        return self._link.idle_seconds() >= limit  # type: ignore[union-attr]

    def _on_signal(self, number: int, frame: object) -> None:
        self._signalled = True
        self._board.stop()

    def _report(self, report: Any) -> None:
        self._log.say(str(report))
        self._log.write(
            {"report": report.kind, "message": report.message, "seconds": report.seconds, "where": report.where}
        )


def _speed(result: Any, seconds: float) -> str:
    millions = result.instructions / 1e6
    return (
        f"{millions:.1f} M instructions in {seconds:.2f} s: {millions / max(seconds, 1e-9):.1f} M/s "
        f"({result.seconds:.3f} s of the board's time)"
    )


def _counts(result: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(result).items() if key != "reason"}


def _tcp_port(text: str) -> int | None:
    if text == "stdout":
        return None
    kind, _, number = text.partition(":")
    if kind != "tcp" or not number.isdigit() or int(number) > 65535:
        raise VirtualBoardError(f"--uart {text!r} is not known", why="it is stdout or tcp:PORT", next_step="try tcp:0")
    return int(number)
