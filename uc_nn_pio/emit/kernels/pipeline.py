"""Orders the statements of an innermost loop for a core that issues one instruction a cycle, in order.

Such a core waits where it meets a result that is not there yet, so the order decides the time. On a core with a slow
multiplier the least time is that of the multiplications alone; everything else has to fit beside them:

1. multiplications keep their order, and one starts whenever the unit is free and its operands are there;
2. between two of them goes what feeds the next ones (loads, unpacking), no more than ``LOOKAHEAD`` ahead, since every
   value loaded early occupies a register;
3. else what their results still need (additions, the oldest first);
4. what is left when the last multiplication has begun is *carried*: it is done at the head of the next pass, beside its
   first multiplications, and once behind the loop. Carried values begin as 0, which adds nothing.

The order is only as good as the compiler's respect for it: ``emit.COMPILE_FLAGS`` turn GCC's own scheduling off for
these files. It never changes a result: statements move only where their values allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

LOOKAHEAD = 3
LOOP_OVERHEAD = 4
"""Instructions at the end of a pass: three pointers moved, one branch."""


@dataclass(frozen=True)
class Statement:
    """One instruction or two in C: ``target = value``, or ``target += value`` with ``adds``.

    ``reads`` are the names of other statements' results in ``value``; ``latency`` is how many cycles behind its start
    the result can be used, ``issue`` how many instructions it is.
    """

    target: str
    value: str
    reads: tuple[str, ...] = ()
    kind: str = "drain"
    latency: int = 1
    issue: int = 1
    adds: bool = False
    ctype: str = "uint32_t"


@dataclass(frozen=True)
class Loop:
    """A loop's body in order. ``head`` begins the lines; each further line begins with a multiplication."""

    lines: tuple[tuple[Statement, ...], ...]
    carried: tuple[Statement, ...]
    variables: tuple[tuple[str, str], ...]
    cycles: int


@dataclass
class _State:
    ready: dict[str, int] = field(default_factory=dict)
    time: int = 0
    unit_free: int = 0


def pipelined(statements: Sequence[Statement], mul_cycles: int) -> Loop:
    """A loop's body; what a pass leaves is carried into the next.

    Args:
        statements: in any order in which each reads what stands before it. Multiplications have kind ``mul``, what they
            need ``feed``, all else ``drain``.
        mul_cycles: for which a multiplication occupies its unit.
    """
    _, left, state = _run(statements, [], frozenset(), mul_cycles)
    held = frozenset(id(s) for s in left)
    end = state.time + LOOP_OVERHEAD
    before = {name: time - end for name, time in state.ready.items()}
    order, _, state = _run(statements, left, held, mul_cycles, before)
    made = {s.target for s in left}
    read = dict.fromkeys(name for s in left for name in s.reads if name not in made)
    types = {s.target: s.ctype for s in statements}
    variables = tuple((name, types[name]) for name in read)
    return Loop(_lines(order), tuple(left), variables, state.time + LOOP_OVERHEAD)


def straight(statements: Sequence[Statement], mul_cycles: int) -> Loop:
    """The same for statements that run once: nothing is carried."""
    order, left, state = _run(statements, [], frozenset(), mul_cycles)
    return Loop(_lines([*order, *left]), (), (), state.time + len(left))


def _run(
    statements: Sequence[Statement],
    head: Sequence[Statement],
    held: frozenset[int],
    mul_cycles: int,
    before: dict[str, int] | None = None,
) -> tuple[list[Statement], list[Statement], _State]:
    """Order one pass. ``head``: statements of the pass before; ``held``: ids of those left to the next one."""
    muls = [s for s in statements if s.kind == "mul"]
    feeds = [s for s in statements if s.kind == "feed"]
    drains = [s for s in statements if s.kind == "drain" and id(s) not in held]
    need = _first_use(statements, muls)
    heads, old = list(head), before or {}
    state = _State()
    issued: list[Statement] = []
    waiting = {s.target for s in statements if not s.adds}
    guarded = {name for s in head for name in s.reads}  # may be written again only when the head has read them
    at = 0
    while at < len(muls) or feeds:
        options: list[tuple[int, int, Statement, list[Statement]]] = []
        if at < len(muls) and _free(muls[at], waiting, guarded):
            start = max(_start(muls[at], state), state.unit_free)
            options.append((start, 0, muls[at], muls))
        feed = next((s for s in feeds if not waiting & set(s.reads)), None)
        if feed is not None and need[feed.target] <= at + LOOKAHEAD:
            options.append((_start(feed, state), 1 if need[feed.target] <= at + 1 else 3, feed, feeds))
        for drain in heads[:1]:
            ready = max([state.time, *(old.get(name, 0) for name in drain.reads), _start(drain, state)])
            options.append((ready, 2, drain, heads))
        for drain in drains:
            if not waiting & set(drain.reads) and _free(drain, set(), guarded):
                options.append((_start(drain, state), 2, drain, drains))
                break
        start, _, chosen, source = min(options, key=lambda option: option[:2])
        state.time = start + chosen.issue
        if chosen.kind == "mul":
            state.unit_free = start + mul_cycles
        state.ready[chosen.target] = start + chosen.latency + chosen.issue - 1
        issued.append(chosen)
        if source is muls:
            at += 1
            waiting.discard(chosen.target)
        else:
            source.remove(chosen)
            if source is heads:
                guarded = {name for s in heads for name in s.reads}
            else:
                waiting.discard(chosen.target)
    if head:  # everything but what is carried belongs to this pass
        issued += [*heads, *drains]
        state.time += sum(s.issue for s in (*heads, *drains))
        drains = []
    return issued, drains, state


def _first_use(statements: Sequence[Statement], muls: Sequence[Statement]) -> dict[str, int]:
    """For each feeding statement the first multiplication that needs it, directly or not."""
    by_name = {s.target: s for s in statements if not s.adds}
    need: dict[str, int] = {}

    def mark(name: str, index: int) -> None:
        if name in by_name and by_name[name].kind == "feed" and name not in need:
            need[name] = index
            for read in by_name[name].reads:
                mark(read, index)

    for index, mul in enumerate(muls):
        for name in mul.reads:
            mark(name, index)
    return need


def _free(statement: Statement, waiting: set[str], guarded: set[str]) -> bool:
    return not waiting & set(statement.reads) and statement.target not in guarded


def _start(statement: Statement, state: _State) -> int:
    return max([state.time, *(state.ready.get(name, 0) for name in statement.reads)])


def _lines(order: Sequence[Statement]) -> tuple[tuple[Statement, ...], ...]:
    lines: list[list[Statement]] = [[]]
    for statement in order:
        if statement.kind == "mul":
            lines.append([])
        lines[-1].append(statement)
    return tuple(tuple(line) for line in lines if line)
