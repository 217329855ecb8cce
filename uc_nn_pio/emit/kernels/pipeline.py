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

import re
from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

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

    def __str__(self) -> str:
        return f"{self.target} {'+=' if self.adds else '='} {self.value};"


@dataclass(frozen=True)
class Loop:
    """A loop's body in order: each line but the first begins with a multiplication.

    Attributes:
        carried: what the next pass does of this one, in its first lines; to be done once more behind the loop.
        variables: the names that carried statements read. They begin as 0 in front of the loop.
        locals: the body's other names, by C type.
    """

    lines: tuple[tuple[Statement, ...], ...]
    carried: tuple[Statement, ...]
    variables: Mapping[str, tuple[str, ...]]
    locals: Mapping[str, tuple[str, ...]]

    def text(self, columns: int) -> list[str]:
        """C, a line a multiplication; one that is too long goes on in an indented line."""
        return [text for line in self.lines for text in _filled(line, columns)]

    @property
    def carried_names(self) -> Mapping[str, tuple[str, ...]]:
        """What carried statements write, but for sums, by C type."""
        return _by_type({s.target: s.ctype for s in self.carried if not s.adds})

    def carried_text(self, columns: int) -> list[str]:
        return _filled(self.carried, columns)


def _filled(statements: Sequence[Statement], columns: int) -> list[str]:
    """Statements in as few lines as fit; from the second on indented."""
    texts = [""]
    for statement in map(str, statements):
        if texts[-1].strip() and len(texts[-1]) + 1 + len(statement) > columns:
            texts.append("   ")
        texts[-1] += (" " if texts[-1] else "") + statement
    return texts


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
    order, _, _ = _run(statements, left, held, mul_cycles, before)
    return _loop(order, left)


def straight(statements: Sequence[Statement], mul_cycles: int) -> Loop:
    """The same for statements that run once: nothing is carried."""
    order, left, _ = _run(statements, [], frozenset(), mul_cycles)
    return _loop([*order, *left], [])


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


def _loop(order: Sequence[Statement], left: Sequence[Statement]) -> Loop:
    """Short names instead of the statements' own: results that are not needed at the same time share one."""
    types = {s.target: s.ctype for s in (*order, *left) if not s.adds}
    made = {s.target for s in left}
    kept = tuple(dict.fromkeys(name for s in left for name in s.reads if name not in made))
    names = _short_names(order, frozenset(kept))

    def renamed(statement: Statement) -> Statement:
        value = re.sub(r"[a-z]\w*", lambda word: names.get(word[0], word[0]), statement.value)
        return replace(statement, target=names.get(statement.target, statement.target), value=value)

    variables = {names[name]: types[name] for name in kept}
    inner = {names.get(s.target, s.target): s.ctype for s in order if not s.adds}
    return Loop(
        _lines([renamed(s) for s in order]),
        tuple(renamed(s) for s in left),
        _by_type(variables),
        _by_type({name: ctype for name, ctype in inner.items() if name not in variables}),
    )


def _short_names(order: Sequence[Statement], kept: frozenset[str]) -> dict[str, str]:
    """A letter and the smallest free number for every result of a multiplication or addition. ``kept`` names are alive
    all the time."""
    last = {name: at for at, s in enumerate(order) for name in s.reads}
    free: dict[str, list[int]] = {}
    names: dict[str, str] = {}

    def take(target: str) -> None:
        letter = target[0]
        numbers = free.setdefault(letter, list(range(len(order) + 1)))
        names[target] = f"{letter}{numbers.pop(0)}"

    for name in sorted(kept):
        take(name)
    for at, statement in enumerate(order):
        for name in statement.reads:
            if name in names and name not in kept and last[name] == at:
                insort(free[name[0]], int(names[name][1:]))
        if statement.kind != "feed" and not statement.adds and statement.target not in kept:
            take(statement.target)
    return names


def _by_type(names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {
        ctype: tuple(n for n in sorted(names, key=_number) if names[n] == ctype)
        for ctype in sorted(set(names.values()))
    }


def _number(name: str) -> tuple[str, list[int]]:
    return name[0], [int(part) for part in re.findall(r"\d+", name)]


def _lines(order: Sequence[Statement]) -> tuple[tuple[Statement, ...], ...]:
    lines: list[list[Statement]] = [[]]
    for statement in order:
        if statement.kind == "mul":
            lines.append([])
        lines[-1].append(statement)
    return tuple(tuple(line) for line in lines if line)
