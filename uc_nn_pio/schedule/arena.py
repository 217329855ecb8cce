"""Buffers by their lifetimes, for graphs with branches: each where nothing else is alive.

1. The steps run in the order in which they stand; :func:`~uc_nn_pio.schedule.order.least_peak` finds the one that needs
   the fewest bytes at once, and whoever makes the problem puts them into it.
2. A step that may write over an input does, where nothing reads that input any more; of several, over the one that it
   has the most bytes in common with. The two then have a fixed distance.
3. Buffers and scratch are packed (:mod:`uc_nn_pio.schedule.packing`). No plan needs fewer bytes than are alive at once
   in the best order: that is the plan's ``bound_bytes``. Where it is not met, the packing is tried again with each
   step that works in place writing elsewhere instead, since a buffer of its own may fit into a gap.
"""

from __future__ import annotations

from collections.abc import Mapping

from uc_nn_pio.schedule.order import Needs, least_peak, peak_of, saved
from uc_nn_pio.schedule.packing import Group, Item, pack
from uc_nn_pio.schedule.plan import Placement, Plan, Problem, align

Ties = Mapping[str, tuple[str, int]]
"""Output -> the input that it is written over, and how many bytes into the output that one begins."""


class Arena:
    """Offsets from lifetimes. See the module's text for the algorithm and its bound."""

    name = "arena"

    def plan(self, problem: Problem) -> Plan:
        """Lay out any graph, its steps in their order."""
        order = least_peak(problem)
        least = peak_of(problem, tuple(range(len(problem.steps))))
        ties = _ties(problem)
        found = _packed(problem, ties, least)
        for output in ties:
            if found.total_bytes <= least:
                break
            other = _packed(problem, {name: tie for name, tie in ties.items() if name != output}, least)
            found = min(found, other, key=lambda plan: plan.total_bytes)
        bound = order.peak if order.proven else None
        return Plan(
            self.name, found.placements, found.activation_bytes, found.total_bytes, found.shared, bound_bytes=bound
        )


def _ties(problem: Problem) -> Ties:
    needs, done, ties = Needs(problem), 0, {}
    for index, step in enumerate(problem.steps):
        choices = needs.dying(index, done)
        if choices:
            ties[step.writes[0]] = max(choices, key=lambda over: saved(problem, step, *over))
        done |= 1 << index
    return ties


def _packed(problem: Problem, ties: Ties, least: int) -> Plan:
    groups = [*_groups(problem, ties), *_scratch(problem)]
    offsets, end = pack(groups, least)
    names = [f"{step.name}.scratch" for step in problem.steps if step.scratch]
    placements = [Placement(n, offsets[n], problem.sizes[n], *problem.lifetime(n)) for n in problem.sizes]
    activations = max(align(p.end) for p in placements)
    for index, step in enumerate(problem.steps):
        if step.scratch:
            name = f"{step.name}.scratch"
            placements.append(Placement(name, offsets[name], step.scratch, index, index, scratch=True))
    assert len(placements) == len(problem.sizes) + len(names)
    shared = frozenset((output, source) for output, (source, _) in ties.items())
    return Plan(Arena.name, tuple(placements), activations, end, shared)


def _groups(problem: Problem, ties: Ties) -> list[Group]:
    """Buffers that are tied to each other, with their distances from the lowest of them."""
    over = {source: (output, at) for output, (source, at) in ties.items()}
    roots: dict[str, list[tuple[str, int]]] = {}
    for name in problem.sizes:
        root, distance = name, 0
        while root in over:
            root, at = over[root]
            distance += at
        roots.setdefault(root, []).append((name, distance))
    return [
        tuple(Item(name, at, align(problem.sizes[name]), *problem.lifetime(name)) for name, at in members)
        for members in roots.values()
    ]


def _scratch(problem: Problem) -> list[Group]:
    return [
        (Item(f"{step.name}.scratch", 0, align(step.scratch), index, index),)
        for index, step in enumerate(problem.steps)
        if step.scratch
    ]
