"""Lays scratch into a context whose activations are placed already.

Scratch lives for one step. For each step the free gaps between the buffers alive then are tried in address order, and
the first that is large enough is taken; otherwise the scratch starts behind the last live buffer and the context grows.
Steps do not see each other's scratch, since no two run at once. The growth is minimal for the given activations: it is
the largest amount by which any one step lacks room.
"""

from __future__ import annotations

from uc_nn_pio.schedule.plan import Placement, Problem, align


def place_scratch(problem: Problem, placements: list[Placement], capacity: int) -> tuple[list[Placement], int]:
    """Return the scratch placements of all steps and the context's size, at least ``capacity`` bytes."""
    scratch: list[Placement] = []
    total = capacity
    for index, step in enumerate(problem.steps):
        if not step.scratch:
            continue
        live = sorted((p.offset, p.end) for p in placements if p.first <= index <= p.last)
        offset = _first_gap(live, align(step.scratch), capacity)
        scratch.append(Placement(f"{step.name}.scratch", offset, step.scratch, index, index, scratch=True))
        total = max(total, align(offset + step.scratch))
    return scratch, total


def _first_gap(live: list[tuple[int, int]], size: int, capacity: int) -> int:
    start = 0
    for begin, end in live:
        if begin - start >= size:
            return start
        start = max(start, align(end))
    return start
