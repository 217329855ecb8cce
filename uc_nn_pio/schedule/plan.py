"""What every schedule takes and returns. A schedule knows sizes and lifetimes, never operators.

A *problem* is a list of steps in execution order. A step reads buffers, writes buffers and may need scratch bytes
while it runs. A *plan* gives every buffer and scratch an offset in one block of memory, the context. Time is the step's
index: a buffer lives from the step that writes it to the last that reads it, the network's input from step 0, its
output to the last step. All sizes and offsets are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from uc_nn_pio.errors import PlanError
from uc_nn_pio.schedule.rows import RowNeed

ALIGNMENT = 4


def align(size: int, to: int = ALIGNMENT) -> int:
    return -(-size // to) * to


@dataclass(frozen=True)
class Step:
    """One kernel. ``over`` names the inputs, one at a time, that its output may be written over, and how many bytes
    behind the output's first one such an input must begin (0: on the same bytes). ``rows`` says what it needs to work
    row by row, ``row_bytes`` the size of an input row; None where it cannot. ``held_bytes`` is what the output's place
    must hold while its rows come one by one, where that is more than the output."""

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    scratch: int = 0
    over: tuple[tuple[str, int], ...] = ()
    rows: RowNeed | None = None
    row_bytes: int = 0
    held_bytes: int = 0

    def in_place(self, sizes: Mapping[str, int]) -> bool:
        """Whether it may leave its output on the bytes of its first input, which are enough for it."""
        return (self.reads[0], 0) in self.over and sizes[self.writes[0]] <= sizes[self.reads[0]]


@dataclass(frozen=True)
class Problem:
    """Steps in order, the size of every buffer, and which buffers come in and go out. The first ``rows_apart`` steps
    take turns row by row, so that their buffers live together; 0 leaves it to the schedule how many do."""

    steps: tuple[Step, ...]
    sizes: Mapping[str, int]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rows_apart: int = 0

    def streamed(self, steps: int, windows: Mapping[str, int]) -> Problem:
        """The same with the first ``steps`` streamed through ``windows``, bytes by buffer."""
        last = self.steps[steps - 1] if steps else Step("", (), ("",))
        made = {last.writes[0]: last.held_bytes} if last.held_bytes else {}
        return replace(self, rows_apart=steps, sizes={**self.sizes, **windows, **made})

    def lifetime(self, name: str) -> tuple[int, int]:
        """First and last step at which ``name`` must keep its bytes."""
        writers = [i for i, step in enumerate(self.steps) if name in step.writes]
        readers = [i for i, step in enumerate(self.steps) if name in step.reads]
        first = 0 if name in self.inputs else writers[0]
        last = len(self.steps) - 1 if name in self.outputs else max(readers, default=first)
        if first < self.rows_apart:
            return 0, max(self.rows_apart - 1, last)
        return first, max(first, last)


@dataclass(frozen=True)
class Placement:
    """Where a buffer or a step's scratch lies, and from which step to which."""

    name: str
    offset: int
    size: int
    first: int
    last: int
    scratch: bool = False

    @property
    def end(self) -> int:
        return self.offset + self.size


@dataclass(frozen=True)
class Plan:
    """The context's layout. ``activation_bytes`` is what the schedule's formula gives, ``total_bytes`` adds scratch.

    ``shared`` lists pairs (output, input) that lie on common bytes on purpose: the step works in place. ``windows``
    are the buffers, in order, of which only a window of rows is held, with their bytes; the steps that read them work
    row by row, and ``counter_bytes`` at the context's end say how far they are. ``bound_bytes`` is what no plan of
    these steps can do without, whatever their order, where the schedule has proven it.
    """

    schedule: str
    placements: tuple[Placement, ...]
    activation_bytes: int
    total_bytes: int
    shared: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    windows: Mapping[str, int] = field(default_factory=dict)
    counter_bytes: int = 0
    bound_bytes: int | None = None

    @property
    def memory_bytes(self) -> int:
        """Bytes of buffers and scratch: the context without its counters."""
        return self.total_bytes - self.counter_bytes

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the context that exist for scratch alone (scratch laid into free activation bytes costs nothing)."""
        return self.memory_bytes - self.activation_bytes

    def placement(self, name: str) -> Placement:
        return next(item for item in self.placements if item.name == name)


class Scheduler(Protocol):
    """A way to lay out a network. ``name`` is the word in ``memory: {schedule: ...}``."""

    name: str

    def plan(self, problem: Problem) -> Plan: ...


def check(plan: Plan, problem: Problem) -> None:
    """Compare every pair of placements, O(n^2), and raise where two live at once on the same bytes unasked.

    Raises:
        PlanError: an overlap, a missing buffer, a wrong size, a placement outside the context, or a step in place that
            may not be. A defect of the
            scheduler, never of the user's model.
    """
    problem = problem.streamed(len(plan.windows), plan.windows)
    names = {item.name for item in plan.placements if not item.scratch}
    if names != set(problem.sizes):
        raise PlanError(f"schedule {plan.schedule} left out {sorted(set(problem.sizes) ^ names)}")
    for item in plan.placements:
        if item.end > plan.memory_bytes or item.offset % ALIGNMENT:
            raise PlanError(f"schedule {plan.schedule} placed {item.name} at {item.offset}..{item.end}")
        if not item.scratch and (
            item.size != problem.sizes[item.name] or (item.first, item.last) != problem.lifetime(item.name)
        ):
            raise PlanError(f"schedule {plan.schedule} gave {item.name} a wrong size or lifetime")
    for output, source in plan.shared:
        _check_in_place(plan, problem, output, source)
    for i, a in enumerate(plan.placements):
        for b in plan.placements[:i]:
            alive = a.first <= b.last and b.first <= a.last
            touch = a.offset < b.end and b.offset < a.end
            if alive and touch and not {(a.name, b.name), (b.name, a.name)} & plan.shared:
                raise PlanError(f"schedule {plan.schedule} laid {a.name} over {b.name}")


def _check_in_place(plan: Plan, problem: Problem, output: str, source: str) -> None:
    """Nothing reads ``source`` behind the step that writes ``output`` over it, and it begins where that step wants."""
    at, step = next((i, step) for i, step in enumerate(problem.steps) if output in step.writes)
    begins = plan.placement(source).offset - plan.placement(output).offset
    wanted = dict(step.over).get(source)
    if begins != wanted or problem.lifetime(source)[1] != at or problem.lifetime(output)[0] not in (0, at):
        raise PlanError(f"schedule {plan.schedule}: {step.name} cannot write {output} over {source}")
