"""The paper's schedule (section 3.2): a chain of layers alternates between two buffers.

1. The steps must be a chain: each reads what the one before it wrote.
2. The network's input lies in buffer A. A step that works in place leaves its output where its input is; any other
   step writes to the buffer that does not hold its input.
3. Buffer A is as large as the largest tensor that it ever holds, B likewise; B follows A.
4. Scratch goes into bytes that are free during its step, or behind B.

Bound: A and B are the sizes of two different tensors, so their sum never exceeds the paper's formula, the largest plus
the second largest. It can be less: where the two largest share a buffer. It does not promise the least memory that
a chain could take; overlapping the two buffers' ends is left to other schedules.
"""

from __future__ import annotations

from uc_nn_pio.errors import PlanError
from uc_nn_pio.schedule.plan import Placement, Plan, Problem, align
from uc_nn_pio.schedule.scratch import place_scratch


class PingPong:
    """Two buffers in turn. See the module's text for the algorithm and its bound."""

    name = "pingpong"

    def plan(self, problem: Problem) -> Plan:
        """Lay out a chain.

        Raises:
            PlanError: the steps are not a chain.
        """
        current = _chain_start(problem)
        side = {current: 0}
        shared: set[tuple[str, str]] = set()
        for step in problem.steps:
            if step.reads != (current,) or len(step.writes) != 1:
                raise PlanError(
                    "schedule 'pingpong' takes a chain of layers only",
                    where=step.name,
                    why=f"it reads {', '.join(step.reads)} and writes {', '.join(step.writes)}",
                    next_step="schedule: auto, or arena",
                )
            output = step.writes[0]
            if step.in_place(problem.sizes):
                side[output] = side[current]
                shared.add((output, current))
            else:
                side[output] = 1 - side[current]
            current = output

        size = [max((align(problem.sizes[n]) for n in side if side[n] == s), default=0) for s in (0, 1)]
        offset = (0, size[0])
        placements = [Placement(n, offset[s], problem.sizes[n], *problem.lifetime(n)) for n, s in side.items()]
        activation_bytes = sum(size)
        scratch, total = place_scratch(problem, placements, activation_bytes)
        return Plan(self.name, (*placements, *scratch), activation_bytes, total, frozenset(shared))


def paper_formula(sizes: list[int]) -> int:
    """Largest plus second largest buffer, in the unit of ``sizes`` (paper, section 3.2)."""
    return sum(sorted(sizes, reverse=True)[:2])


def _chain_start(problem: Problem) -> str:
    if len(problem.inputs) != 1 or len(problem.outputs) != 1:
        raise PlanError(
            "schedule 'pingpong' takes one input and one output",
            where=", ".join(problem.inputs),
            next_step="schedule: auto, or arena",
        )
    return problem.inputs[0]
