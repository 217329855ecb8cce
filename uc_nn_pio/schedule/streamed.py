"""Rows flow through the first layers as they come; only the last of their maps is ever held whole.

1. The steps must be a chain. Its first steps, up to a *cut*, are streamed: each holds a window of its input's rows
   (:mod:`uc_nn_pio.schedule.rows`) and makes an output row as soon as it can, which is the next one's input row. No
   value is computed twice, and no input map exists.
2. The map at the cut is collected. The steps behind it run once it is whole, in turn, as in any other schedule.
3. Windows and the collected map live through all streamed steps, scratch during its own step alone: only one kernel
   runs at a time. Behind the cut the windows' bytes are free again.
4. Buffers are laid from address 0 in order of first use, each at the lowest place that is free for all its life.
5. Where the problem does not say how many layers are streamed, every cut is tried, and the one with the least bytes is
   taken; of equals the one with fewer streamed layers.
"""

from __future__ import annotations

from uc_nn_pio.errors import PlanError
from uc_nn_pio.schedule.plan import Placement, Plan, Problem, align
from uc_nn_pio.schedule.scratch import place_scratch

COUNTER_BYTES = 2
"""Of the rows that each streamed layer has been given, kept in the context."""


class Streamed:
    """Rows through windows. See the module's text for the algorithm."""

    name = "streamed"

    def plan(self, problem: Problem) -> Plan:
        """Lay out a chain, with the problem's cut or the best one.

        Raises:
            PlanError: no chain, or its first layer cannot work row by row.
        """
        most = streamable(problem)
        if problem.rows_apart:
            return self.plan_cut(problem, problem.rows_apart)
        return min((self.plan_cut(problem, cut) for cut in range(1, most + 1)), key=lambda plan: plan.total_bytes)

    def plan_cut(self, problem: Problem, cut: int) -> Plan:
        """Lay out a chain whose first ``cut`` steps are streamed."""
        windows = {step.reads[0]: step.rows.rows * step.row_bytes for step in problem.steps[:cut]}
        seen = problem.streamed(cut, windows)
        placements: list[Placement] = []
        shared: set[tuple[str, str]] = set()
        for name in (problem.inputs[0], *(step.writes[0] for step in problem.steps)):
            writer = next((step for step in seen.steps[cut:] if name in step.writes), None)
            size, lifetime = seen.sizes[name], seen.lifetime(name)
            if writer and writer.in_place(seen.sizes):
                source = next(p for p in placements if p.name == writer.reads[0])
                offset = source.offset
                shared.add((name, source.name))
            else:
                offset = _lowest(placements, size, lifetime)
            placements.append(Placement(name, offset, size, *lifetime))
        activations = max(align(p.end) for p in placements)
        scratch, total = place_scratch(seen, placements, activations)
        counters = align(COUNTER_BYTES * (cut + 1))
        return Plan(
            self.name,
            (*placements, *scratch),
            activations,
            total + counters,
            frozenset(shared),
            windows=windows,
            counter_bytes=counters,
        )


def streamable(problem: Problem) -> int:
    """How many of the first steps can be streamed.

    Raises:
        PlanError: none of them, or the steps are not a chain.
    """
    current = problem.inputs[0]
    if len(problem.inputs) != 1 or len(problem.outputs) != 1:
        raise PlanError(
            "schedule 'streamed' takes one input and one output",
            where=", ".join(problem.inputs),
            next_step="schedule: auto, or arena",
        )
    count = 0
    for index, step in enumerate(problem.steps):
        if step.reads != (current,) or len(step.writes) != 1:
            raise PlanError(
                "schedule 'streamed' takes a chain of layers only",
                where=step.name,
                why=f"it reads {', '.join(step.reads)} and writes {', '.join(step.writes)}",
                next_step="schedule: auto, or arena",
            )
        current = step.writes[0]
        if step.rows is not None and count == index:
            count += 1
    if not count:
        raise PlanError(
            "schedule 'streamed' has no layer to stream",
            where=problem.steps[0].name,
            why="the first layer does not work on rows of a map",
            next_step="schedule: auto, or arena",
        )
    return count


def _lowest(placements: list[Placement], size: int, lifetime: tuple[int, int]) -> int:
    """The lowest offset at which ``size`` bytes are free from the first to the last step of ``lifetime``."""
    first, last = lifetime
    live = sorted((p.offset, p.end) for p in placements if p.first <= last and first <= p.last)
    start = 0
    for begin, end in live:
        if begin - start >= align(size):
            break
        start = max(start, align(end))
    return start
