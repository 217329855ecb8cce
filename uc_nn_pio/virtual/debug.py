"""Halts a virtual board in front of any instruction: breakpoints, single steps, watchpoints.

Breakpoints change no memory: the emulator ends a block in front of them. Emulated time stands still while the board is
halted. Three things differ from a free run: a single step takes no interrupt (as ``dcsr.stepie`` = 0 does on a real
core); where a halt splits a block with an access outstanding, the cycles of that access; and where a watchpoint stops
in the middle of a block, the part of the block behind it, which is undone and runs again, counts twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unicorn import Uc
from unicorn import unicorn_const as uc_const

from uc_nn_pio.errors import VirtualBoardError

if TYPE_CHECKING:
    from uc_nn_pio.virtual.board import VirtualBoard

_HOOKS = {
    "write": uc_const.UC_HOOK_MEM_WRITE,
    "read": uc_const.UC_HOOK_MEM_READ,
    "access": uc_const.UC_HOOK_MEM_READ | uc_const.UC_HOOK_MEM_WRITE,
}


@dataclass(frozen=True)
class Halt:
    """Why the board stands still.

    ``reason``: ``breakpoint``, ``step``, ``watch``, ``interrupt`` (asked from outside), ``fault``, or the reason of a
    ``RunResult`` when the run is over. ``watch`` and ``address`` say which watchpoint; ``error`` is the fault.
    """

    reason: str
    watch: str = ""
    address: int = 0
    error: VirtualBoardError | None = None

    @property
    def over(self) -> bool:
        """The run has reached its end."""
        return self.reason not in ("breakpoint", "step", "watch", "interrupt", "fault")


@dataclass(frozen=True)
class Limits:
    """What ends the run, debugged or not; times and counts since power-up."""

    max_frames: int | None = None
    max_seconds: float | None = None


class Debugger:
    """Controls one board. Between its calls the board is halted."""

    def __init__(self, board: VirtualBoard, limits: Limits | None = None) -> None:
        self.board = board
        self.breakpoints: set[int] = set()
        self.interrupted = False
        self._limits = limits or Limits()
        self._watches: dict[tuple[str, int, int], int] = {}
        self._hit: tuple[str, int] | None = None
        self._reported_at: int | None = None  # pc of the access that the last halt reported
        self._reported = False

    # -- breakpoints and watchpoints -------------------------------------------------------------------------------

    def watch(self, kind: str, address: int, size: int) -> None:
        """Halt in front of the instruction that accesses these bytes; ``kind`` is read, write or access."""
        key = (kind, address, size)
        if key not in self._watches:
            last = address + max(size, 1) - 1

            def access(uc: Uc, access: int, at: int, length: int, value: int, user: object) -> None:
                if at <= last and at + length > address:
                    self._on_access(kind, address, access, at, length)

            # The hook sees where an access begins, which may be before the bytes.
            hook = self.board.cpu.uc.hook_add(_HOOKS[kind], access, begin=address & ~3, end=last)
            self._watches[key] = hook

    def unwatch(self, kind: str, address: int, size: int) -> None:
        """Remove a watchpoint; one that is not there is fine."""
        hook = self._watches.pop((kind, address, size), None)
        if hook is not None:
            self.board.cpu.uc.hook_del(hook)

    def clear(self) -> None:
        """Remove all breakpoints and watchpoints."""
        self.breakpoints.clear()
        for key in list(self._watches):
            self.unwatch(*key)

    def _on_access(self, kind: str, address: int, access: int, at: int, length: int) -> None:
        cpu = self.board.cpu
        if self._hit is not None or self._reported or cpu.squashing:
            return
        self._hit = (kind, address)
        cpu.halt()
        if access == uc_const.UC_MEM_WRITE:
            cpu.log_old_word(at)  # this store is still to come

    # -- running ---------------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Halt soon; for the function that ``resume`` calls every 1,000,000 cycles."""
        self.interrupted = True
        self.board.stop()

    def resume(self, on_slice: Callable[[Any], None] | None = None) -> Halt:
        """Run until a breakpoint, a watchpoint, a fault, ``interrupt``, or the end of the run.

        A breakpoint at the present pc does not count.
        """
        if self.board.cpu.pc in (*self.breakpoints, self._reported_at):
            halt = self._step(on_slice)
            if halt.reason != "step":
                return halt
            if self.board.cpu.pc in self.breakpoints:
                return Halt("breakpoint")
        return self._run(frozenset(self.breakpoints), None, on_slice)

    def step(self, on_slice: Callable[[Any], None] | None = None, span: tuple[int, int] | None = None) -> Halt:
        """Execute one instruction, or go on stepping while pc is within ``span`` (first, last + 1).

        Where the last halt has reported a watchpoint, its access is now done.
        """
        halt = self._step(on_slice)
        while halt.reason == "step" and span is not None and span[0] <= self.board.cpu.pc < span[1]:
            if self.board.cpu.pc in self.breakpoints:
                return Halt("breakpoint")
            halt = self._step(on_slice)
        return halt

    def _step(self, on_slice: Callable[[Any], None] | None) -> Halt:
        cpu = self.board.cpu
        cpu.hold_interrupts = True
        self._reported = cpu.pc == self._reported_at
        try:
            halt = self._run(frozenset({cpu.pc + cpu.instruction_length(cpu.pc)}), 1, on_slice)
        finally:
            cpu.hold_interrupts = self._reported = False
        return Halt("step") if halt.reason in ("breakpoint", "instructions") else halt

    def _run(self, exits: frozenset[int], instructions: int | None, on_slice: Callable[[Any], None] | None) -> Halt:
        board, limits = self.board, self._limits
        board.cpu.set_exits(exits)
        if board.cpu.polls is not None:
            board.cpu.polls.forget()  # a loop with a breakpoint in it stops in each round
        left = None if limits.max_seconds is None else max(limits.max_seconds - board.seconds, 0.0)
        self._hit, self._reported_at, self.interrupted = None, None, False
        try:
            result = board.run(
                max_instructions=instructions, max_frames=limits.max_frames, max_seconds=left, on_slice=on_slice
            )
        except VirtualBoardError as error:
            return Halt("fault", error=error)
        if self._hit is not None:
            self._reported_at = board.cpu.pc
            return Halt("watch", *self._hit)
        if self.interrupted and result.reason == "stopped":
            return Halt("interrupt")
        return Halt("breakpoint" if result.reason == "halted" else result.reason)

    # -- reset -----------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Reset the chip, as its reset button does: RAM keeps its content."""
        self.board.bus.reset()
        self.board.cpu.reset(self.board.firmware.entry)
        self.board.cpu.apply_reset()
        self._reported_at = None
