"""Kernels and plan for a graph: of the ways to lay it out, the fastest that fits the budget.

A *way* is a schedule, and for ``streamed`` how many layers are streamed, and which of them hold a window of fewer rows.
Each way begins with the kernels' fastest forms; while it is over the budget, the kernel whose scratch reaches highest
is replaced by a smaller form of it. Where that makes the context no smaller in the end, the faster form is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

from uc_nn_pio.emit.kernels import Kernel
from uc_nn_pio.errors import PlanError
from uc_nn_pio.graph.ir import DType, Graph
from uc_nn_pio.schedule import SCHEDULERS, Plan, Problem, Step, align, least_peak, make_plan, over_budget, streamable
from uc_nn_pio.spec import LEAST


@dataclass(frozen=True)
class Choice:
    """A way that was worked out."""

    kernels: tuple[Kernel, ...]
    problem: Problem
    plan: Plan


def choose(
    graph: Graph,
    kernels: tuple[Kernel, ...],
    schedule: str,
    budget: int | None,
    cycles: Callable[[Choice], float] | None = None,
) -> Choice:
    """The fastest way that fits.

    Args:
        schedule: ``auto`` tries all of them.
        budget: most bytes of the context, None for no limit, or ``LEAST`` for the fewest bytes there are.
        cycles: predicted cycles of an inference, for ``auto``. Without it, the first that fits in the order of
            :func:`_ways` is taken to be the fastest.

    Raises:
        PlanError: none fits, with what each change would bring, or the network does not suit the schedule.
    """
    tried: list[Choice] = []
    fitting: list[Choice] = []
    for way in _ways(graph, kernels, schedule):
        tried.append(_fitted(graph, way, budget))
        if budget is None or 0 < tried[-1].plan.total_bytes <= budget:
            fitting.append(tried[-1])
            if cycles is None or schedule != "auto" or len(fitting) == COMPARED or _nothing_lost(way, tried[-1]):
                break
    if fitting:
        return min(fitting, key=cycles) if cycles and len(fitting) > 1 else fitting[0]
    least = min(tried, key=lambda choice: choice.plan.total_bytes)
    if budget == LEAST:
        return least
    raise over_budget(least.plan, least.problem, budget, _changes(graph, kernels, schedule, budget))


COMPARED = 4
"""Of the ways that fit, so many are compared by their predicted cycles, the likely ones."""


def _nothing_lost(way: Way, found: Choice) -> bool:
    """Whether no other way can be faster: whole maps, and kernels in their fastest forms."""
    return not way.cut and found.kernels == way.kernels


def alternatives(graph: Graph, kernels: tuple[Kernel, ...]) -> list[Choice]:
    """The fastest and the smallest way of each schedule that suits the network, none of them twice: what ``pingpong``
    and ``arena`` make alike is ``pingpong``."""
    found: dict[tuple[bool, int], Choice] = {}
    for schedule in SCHEDULERS:
        for budget in (None, LEAST):
            try:
                choice = choose(graph, kernels, schedule, budget)
            except PlanError:
                continue  # the network does not suit this schedule
            found.setdefault((schedule == "streamed", choice.plan.total_bytes), choice)
    return list(found.values())


def _changes(graph: Graph, kernels: tuple[Kernel, ...], schedule: str, budget: int) -> list[str]:
    """What would need less RAM, with its bytes; first what would fit."""
    found: list[tuple[int, str]] = []
    own = choose(graph, kernels, schedule, LEAST).plan.total_bytes
    if schedule != "auto":
        other = choose(graph, kernels, "auto", LEAST).plan
        if other.total_bytes < own:
            found.append((other.total_bytes, f"schedule: {other.schedule}"))
    if graph.tensor(graph.inputs[0]).dtype is DType.FLOAT32:
        found.append((-(-own // 4), "precision: int8, by estimate"))
    return [
        f"{name} needs {total} B (saves {own - total} B{'' if total <= budget else ', still too large'})"
        for total, name in sorted(found)
    ]


def make_problem(graph: Graph, kernels: tuple[Kernel, ...]) -> Problem:
    """What the scheduler needs to know of a graph and its kernels: sizes and lifetimes."""
    steps = tuple(
        Step(
            k.node.name,
            k.node.inputs,
            k.node.outputs,
            scratch=k.scratch_bytes,
            over=k.over,
            rows=k.row_need,
            row_bytes=k.input.bytes // k.input.shape[1] if k.input.is_map else 0,
            held_bytes=k.held_bytes,
        )
        for k in kernels
    )
    streamed = sum(k.rows_apart for k in kernels)
    states = {k.state: k.state_bytes for k in kernels if k.state_bytes}
    sizes = {**{t.name: t.bytes for t in graph.values()}, **states}
    # a state is there when a run begins, and when it ends
    return Problem(steps, sizes, (*graph.inputs, *states), (*graph.outputs, *states), rows_apart=streamed)


@dataclass(frozen=True)
class Way:
    """A schedule, and the kernels in their fastest forms and in the order for it; the first ``cut`` are streamed. Not
    ``shrinks``: a later way has the same speed in no more bytes."""

    schedule: str
    kernels: tuple[Kernel, ...]
    cut: int = 0
    shrinks: bool = True

    @property
    def words_again(self) -> int:
        """Words of tables that are read more than once, each time: what streaming costs most."""
        return sum(
            (kernel.passes - 1) * table.bytes // 4 for kernel in self.kernels[: self.cut] for table in kernel.tables()
        )


def _ways(graph: Graph, kernels: tuple[Kernel, ...], schedule: str) -> Iterator[Way]:
    """The fastest first. Of streamed ones, those with full windows come first; where the schedule was asked for by
    name, those that need the fewest bytes."""
    beside = _beside_the_chain(graph, kernels)
    if beside and schedule not in ("auto", "arena"):
        raise PlanError(
            f"schedule {schedule} has no room for {beside}",
            where=graph.name,
            next_step="schedule: arena, or leave it out",
        )
    if schedule == "pingpong" or (schedule == "auto" and not beside and _is_chain(graph)):
        yield Way("pingpong", kernels, shrinks=schedule == "pingpong")
    if schedule in ("auto", "arena"):
        order = least_peak(make_problem(graph, kernels)).steps
        yield Way("arena", tuple(kernels[index] for index in order))
    if schedule in ("auto", "streamed") and not beside:
        try:
            cuts = range(1, streamable(make_problem(graph, kernels)) + 1)
        except PlanError:
            if schedule == "streamed":
                raise
            return
        ways = [Way("streamed", _cut(kernels, cut), cut) for cut in cuts]
        ways.sort(key=lambda way: way.words_again)
        if schedule == "streamed":
            ways = _small_first(graph, ways)
        yield from ways
        yield from sorted((less for way in ways for less in _shallower(way)), key=lambda way: way.words_again)


def _beside_the_chain(graph: Graph, kernels: tuple[Kernel, ...]) -> str | None:
    """What must be kept besides one input, one output and what lies between: only lifetimes can tell where."""
    if any(kernel.state_bytes for kernel in kernels):
        return "a state that is carried from run to run"
    return "several inputs" if len(graph.inputs) > 1 else "several outputs" if len(graph.outputs) > 1 else None


def _is_chain(graph: Graph) -> bool:
    """Whether each node reads what the one in front wrote, and nothing else."""
    made = (*graph.inputs, *(node.output for node in graph.nodes))
    chained = all(node.inputs == (before,) for node, before in zip(graph.nodes, made, strict=False))
    return chained and len(graph.inputs) == 1 and graph.outputs == made[-1:]


def _small_first(graph: Graph, ways: list[Way]) -> list[Way]:
    """Those that need hardly more than the fewest bytes, in their order; then the others, by their bytes."""
    sizes = {way.cut: _planned(graph, way.kernels, way.schedule).plan.total_bytes for way in ways}
    enough = HARDLY_MORE * min(sizes.values())
    return sorted(ways, key=lambda way: sizes[way.cut] if sizes[way.cut] > enough else 0)


def _cut(kernels: tuple[Kernel, ...], cut: int) -> tuple[Kernel, ...]:
    return tuple(replace(kernel, rows_apart=index < cut) for index, kernel in enumerate(kernels))


HARDLY_MORE = 1.05
"""So much RAM, against the least, is worth weights that are read less often."""

MOST_SUBSETS = 3
"""Of so many layers whose windows can be less high, all subsets are tried; of more, those that save the most."""


def _shallower(way: Way) -> Iterator[Way]:
    """The same with windows of fewer rows for some of its layers."""
    saved = {}
    for at, kernel in enumerate(way.kernels[: way.cut]):
        less = kernel.shallower()
        # sums need more room than a row of the next window has
        if less and (at == way.cut - 1 or not less.held_bytes):
            row = kernel.input.bytes // kernel.input.shape[1]
            more = max(0, less.held_bytes - kernel.output.bytes)
            saved[at] = (kernel.row_need.rows - less.row_need.rows) * row - more
    order = sorted((at for at in saved if saved[at] > 0), key=lambda at: -saved[at])
    some = [order[:count] for count in range(1, len(order) + 1)]
    if len(order) <= MOST_SUBSETS:
        some = [list(taken) for count in range(1, len(order) + 1) for taken in combinations(order, count)]
    for taken in some:
        kernels = tuple(k.shallower() if at in taken else k for at, k in enumerate(way.kernels))
        yield replace(way, kernels=kernels)


def _planned(graph: Graph, kernels: tuple[Kernel, ...], schedule: str) -> Choice:
    problem = make_problem(graph, kernels)
    return Choice(kernels, problem, make_plan(problem, schedule))


def _fitted(graph: Graph, way: Way, budget: int | None) -> Choice:
    """A way in as few bytes as the budget asks for, or as few as it can be had in; of equals, the first and fastest."""
    best = found = _planned(graph, way.kernels, way.schedule)
    while way.shrinks and budget is not None and found.plan.total_bytes > budget:
        smaller = _smaller(found)
        if smaller is None:
            break
        found = _planned(graph, smaller, way.schedule)
        best = min(best, found, key=lambda choice: choice.plan.total_bytes)
    return best


def _smaller(found: Choice) -> tuple[Kernel, ...] | None:
    """The kernels with a smaller form of one whose scratch makes the context as large as it is, or None."""
    for at, kernel in enumerate(found.kernels):
        if not kernel.scratch_bytes:
            continue
        scratch = found.plan.placement(f"{kernel.node.name}.scratch")
        if align(scratch.end) == found.plan.memory_bytes and (smaller := kernel.smaller()):
            return (*found.kernels[:at], smaller, *found.kernels[at + 1 :])
    return None
