"""Execution orders of a graph with branches: the one whose largest need of bytes at a time is the least.

What has been done so far decides which buffers are alive, whatever the order in which it was done. So the search goes
through *sets* of steps, from none to all, by Dijkstra's algorithm with the largest need so far for a distance; the
first way to reach all of them is the best there is. A chain of n steps has n + 1 sets, two branches of n and m steps
(n + 1)(m + 1). Of graphs with more than :data:`MOST_SETS` the order is found step by step, and nothing is proven.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from uc_nn_pio.schedule.plan import Problem, Step, align

MOST_SETS = 20_000


@dataclass(frozen=True)
class Order:
    """Indices of the steps as they shall run; ``peak`` bytes are needed at once, ``proven`` if no order needs less."""

    steps: tuple[int, ...]
    peak: int
    proven: bool


class Needs:
    """How many bytes must be there while a step runs, by the set of steps that ran before it (a bit a step)."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.readers = {name: 0 for name in problem.sizes}
        self.writer: dict[str, int] = {}
        for index, step in enumerate(problem.steps):
            for name in step.reads:
                self.readers[name] |= 1 << index
            for name in step.writes:
                self.writer[name] = index
        self.before = [self._mask(step) for step in problem.steps]

    def _mask(self, step: Step) -> int:
        return sum(1 << self.writer[name] for name in set(step.reads) if name in self.writer)

    def ready(self, done: int) -> Iterator[int]:
        """Steps that can run next."""
        for index, before in enumerate(self.before):
            if not done >> index & 1 and before & done == before:
                yield index

    def alive(self, done: int) -> list[str]:
        """Buffers that hold something when ``done`` has run, and are still wanted."""
        found = []
        for name in self.problem.sizes:
            made = name in self.problem.inputs or done >> self.writer[name] & 1
            wanted = name in self.problem.outputs or self.readers[name] & ~done
            # an input stays until the first step at least: it is put in before anything runs
            if made and (wanted or (not done and name in self.problem.inputs)):
                found.append(name)
        return found

    def during(self, index: int, done: int) -> int:
        """Bytes while step ``index`` runs behind ``done``: what is alive, what it writes, its scratch; less what it may
        write over."""
        step, sizes = self.problem.steps[index], self.problem.sizes
        held = sum(align(sizes[name]) for name in self.alive(done)) + align(step.scratch)
        written = sum(align(sizes[name]) for name in step.writes)
        return held + written - max((saved(self.problem, step, *over) for over in self.dying(index, done)), default=0)

    def dying(self, index: int, done: int) -> list[tuple[str, int]]:
        """The step's choices to write over an input: those whose input nothing else wants any more."""
        step, then = self.problem.steps[index], done | 1 << index
        return [
            (name, at)
            for name, at in step.over
            if not self.readers[name] & ~then
            and name not in self.problem.outputs
            and fits(self.problem, step, name, at)
        ]


def fits(problem: Problem, step: Step, name: str, at: int) -> bool:
    """Whether the output ends no later than an input that begins ``at`` bytes into it."""
    return align(problem.sizes[step.writes[0]]) <= at + align(problem.sizes[name])


def saved(problem: Problem, step: Step, name: str, at: int) -> int:
    """Bytes that the output and the input, which begins ``at`` bytes into it, have in common."""
    return max(0, align(problem.sizes[step.writes[0]]) - at)


def peak_of(problem: Problem, steps: tuple[int, ...]) -> int:
    """Bytes that an order needs at once: no plan of it has less."""
    needs, done, peak = Needs(problem), 0, 0
    for index in steps:
        peak = max(peak, needs.during(index, done))
        done |= 1 << index
    return peak


def least_peak(problem: Problem) -> Order:
    """The best order; that of the problem where it is as good."""
    given = tuple(range(len(problem.steps)))
    own = peak_of(problem, given)
    found = _search(problem)
    if found is None:
        steps = _step_by_step(problem)
        peak = peak_of(problem, steps)
        return Order(steps, peak, False) if peak < own else Order(given, own, False)
    return found if found.peak < own else Order(given, own, True)


def _search(problem: Problem) -> Order | None:
    needs, everything = Needs(problem), (1 << len(problem.steps)) - 1
    queue: list[tuple[int, tuple[int, ...], int]] = [(0, (), 0)]
    seen: set[int] = set()
    while queue:
        peak, steps, done = heapq.heappop(queue)
        if done == everything:
            return Order(steps, peak, True)
        if done in seen:
            continue
        seen.add(done)
        if len(seen) > MOST_SETS:
            return None
        for index in needs.ready(done):
            if done | 1 << index not in seen:
                heapq.heappush(queue, (max(peak, needs.during(index, done)), (*steps, index), done | 1 << index))
    raise AssertionError("a graph's steps can always be run in the order in which they stand")


def _step_by_step(problem: Problem) -> tuple[int, ...]:
    """Always the step that leaves the fewest bytes alive, of equals the one that needs the fewest while it runs."""
    needs, done, steps = Needs(problem), 0, []
    for _ in problem.steps:

        def cost(index: int, done: int = done) -> tuple[int, int]:
            left = sum(align(problem.sizes[name]) for name in needs.alive(done | 1 << index))
            return left, needs.during(index, done)

        steps.append(min(needs.ready(done), key=cost))
        done |= 1 << steps[-1]
    return tuple(steps)
