"""Notices a program that does nothing any more: an endless loop without a sign of life.

Signs of life are register accesses (so each character on the UART), ``wfi``, and interrupts that may come. Two kinds of
silence end a run:

- proven: registers and pc are the same at the end of a slice as at its begin, nothing was stored or accessed, and no
  interrupt is enabled. Such a state lasts for ever; time jumps through it, and after ``PROVEN_SECONDS`` the run stops.
- long: so many instructions without a sign of life as the limit says. A network that takes longer needs a higher limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.virtual import native
from uc_nn_pio.virtual.clock import PS_PER_SECOND

if TYPE_CHECKING:
    from uc_nn_pio.virtual.cpu import Cpu

PROVEN_SECONDS = 10.0
STEP_PS = PS_PER_SECOND  # a proven state is jumped through in steps of a second, so that the outside is looked at
MSTATUS_MIE = 1 << 3


@dataclass(frozen=True)
class StallLimit:
    """How long a program may be silent: instructions, or emulated seconds; None: for ever."""

    instructions: int | None = 2_000_000_000  # ten times what the slowest network of this project takes for a picture
    seconds: float | None = None

    @classmethod
    def of(cls, text: str) -> StallLimit:
        """Read ``10s`` (seconds), ``500M`` or ``500000000`` (instructions), ``off``.

        Raises:
            VirtualBoardError: it is none of these.
        """
        if text == "off":
            return cls(None, None)
        unit = text[-1:] if text[-1:] in ("s", "M") else ""
        try:
            number = float(text.removesuffix(unit))
        except ValueError:
            number = -1.0
        if not 0 < number < 1e18:
            raise VirtualBoardError(
                f"--stall-limit {text!r} is not known", why="it is seconds (10s), instructions (500M), or off"
            )
        if unit == "s":
            return cls(None, number)
        return cls(round(number * (1_000_000 if unit == "M" else 1)))


class StallWatch:
    """Looks at the core between the slices of a run."""

    def __init__(self, cpu: Cpu, limit: StallLimit) -> None:
        self._cpu = cpu
        self._limit = limit
        self._seen: tuple[object, ...] = ()
        self._life = -1
        self._since_instructions = 0
        self._since_ps = 0
        self._proven_since_ps: int | None = None
        self._slice = (0, 0)  # cycles and instructions at its begin

    def _now_ps(self) -> int:
        return self._cpu.clock.ps(self._cpu.cycles)

    def _instructions(self) -> int:
        polls = self._cpu.polls
        return self._cpu.instructions + (polls.skipped_instructions if polls else 0)

    def look(self, end_ps: int) -> None:
        """Between two slices: stop a run that is stuck; jump through a state that lasts, up to ``end_ps``.

        Raises:
            VirtualBoardError: the limit is reached.
        """
        cpu = self._cpu
        if self._limit.instructions is None and self._limit.seconds is None:
            return
        if cpu.life != self._life or self._may_be_interrupted():
            self._life = cpu.life
            self._since_instructions = self._instructions()
            self._since_ps = self._now_ps()
            self._seen = ()
            self._proven_since_ps = None
            self._slice = cpu.cycles, cpu.instructions
            return
        if self._is_proven():
            self._pass_proven(end_ps)
        self._slice = cpu.cycles, cpu.instructions
        silent_s = (self._now_ps() - self._since_ps) / PS_PER_SECOND
        silent = self._instructions() - self._since_instructions
        limit = self._limit
        if limit.instructions is not None and silent >= limit.instructions:
            raise self._stuck(f"{silent:,} instructions")
        if limit.seconds is not None and silent_s >= limit.seconds:
            raise self._stuck(f"{silent_s:g} s")

    def _may_be_interrupted(self) -> bool:
        cpu = self._cpu
        if cpu.privileged.asleep:
            return True
        return bool(cpu.register("mie")) and bool(cpu.register("mstatus") & MSTATUS_MIE)

    def _is_proven(self) -> bool:
        """Nothing stored and nothing accessed in the last slice, and the registers are what they were."""
        state = self._cpu.state
        seen = (self._cpu.snapshot(), self._cpu.pc, int(state[native.STORE_HASH]))
        proven = seen == self._seen
        self._seen = seen
        if not proven:
            self._proven_since_ps = None
        elif self._proven_since_ps is None:
            self._proven_since_ps = self._now_ps()
        return proven

    def _pass_proven(self, end_ps: int) -> None:
        cpu = self._cpu
        assert self._proven_since_ps is not None
        seconds = PROVEN_SECONDS if self._limit.seconds is None else self._limit.seconds
        if self._now_ps() - self._proven_since_ps >= seconds * PS_PER_SECOND:
            raise self._stuck(f"{seconds:g} s, with nothing that could ever end it")
        cycles, instructions = cpu.cycles - self._slice[0], cpu.instructions - self._slice[1]
        if cpu.polls is None or cycles <= 0:
            return
        # The slice began and ended in the same state: whole slices are whole rounds.
        to = min(cpu.clock.cycle_at(min(self._now_ps() + STEP_PS, end_ps)), cpu.clock.next_event())
        rounds = (to - 1 - cpu.cycles) // cycles
        if rounds > 0:
            cpu.pass_time(cpu.cycles + rounds * cycles)
            cpu.polls.skipped_instructions += rounds * instructions

    def _stuck(self, how_long: str) -> VirtualBoardError:
        return self._cpu.stop_error(
            "an endless silent loop",
            why=f"no device was accessed and nothing was printed for {how_long}",
            next_step="what does the loop wait for? If it computes, give a higher --stall-limit, or off",
        )
