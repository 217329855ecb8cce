"""Offsets for groups of buffers, so that none lies on another that is alive at the same time.

A *group* is one or more buffers with fixed distances from each other (a step in place ties its output to its input),
so it has one offset. Groups are placed one after the other, each at the lowest offset that is free for all its buffers.
Some sequence of them gives the least total, or next to it. A few likely ones are tried first. Where they miss the lower
bound, up to :data:`FEW` groups are tried in all sequences, depth first, leaving out those that are no better than the
best so far; of more groups, one after the other gets another place in the sequence, up to :data:`MOST_MOVES` times.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

FEW = 8
MOST_MOVES = 1500


@dataclass(frozen=True)
class Item:
    """A buffer of a group: ``at`` bytes behind the group's offset, ``size`` bytes, alive from ``first`` to ``last``.
    ``at`` and ``size`` are multiples of the alignment."""

    name: str
    at: int
    size: int
    first: int
    last: int


Group = tuple[Item, ...]


def pack(groups: Sequence[Group], bound: int) -> tuple[dict[str, int], int]:
    """Offsets of all items by name, and where the last one ends.

    Args:
        groups: to be placed.
        bound: a total that cannot be beaten; the search ends where it is met.
    """
    found = [_Placed(groups, sorted(range(len(groups)), key=partial(_by, groups, key))) for key in _LIKELY]
    best = min(found, key=lambda placed: placed.end)
    if best.end > bound:
        best = _All(groups, bound, best).run() if len(groups) <= FEW else _moved(best, bound)
    offsets = dict(zip(best.order, best.offsets, strict=True))
    return {item.name: offsets[i] + item.at for i, group in enumerate(groups) for item in group}, best.end


def _by(groups: Sequence[Group], key: Callable[[Group], tuple[float, ...]], index: int) -> tuple[float, ...]:
    return key(groups[index])


def _bytes_of(group: Group) -> int:
    return max(item.at + item.size for item in group)


def _life_of(group: Group) -> int:
    return max(item.last for item in group) - min(item.first for item in group) + 1


_LIKELY: tuple[Callable[[Group], tuple[float, ...]], ...] = (
    lambda group: (-_bytes_of(group), min(item.first for item in group)),
    lambda group: (-_life_of(group), -_bytes_of(group)),
    lambda group: (-_bytes_of(group) * _life_of(group),),
    lambda group: (min(item.first for item in group), -_bytes_of(group)),
)


class _Placed:
    """Groups at their offsets, in the sequence in which they were placed; the last can be taken back."""

    def __init__(self, groups: Sequence[Group], order: Iterable[int] = ()) -> None:
        self.groups = groups
        self.order: list[int] = []
        self.offsets: list[int] = []
        self.ends = [0]
        self._rows: list[tuple[int, int, int, int]] = []
        for index in order:
            self.push(index)

    @property
    def end(self) -> int:
        return self.ends[-1]

    def push(self, index: int) -> None:
        group = self.groups[index]
        offset = self._lowest(group)
        self._rows += [(offset + i.at, offset + i.at + i.size, i.first, i.last) for i in group]
        self.order.append(index)
        self.offsets.append(offset)
        self.ends.append(max(self.end, offset + _bytes_of(group)))

    def pop(self) -> None:
        del self._rows[len(self._rows) - len(self.groups[self.order.pop()]) :]
        self.offsets.pop()
        self.ends.pop()

    def _lowest(self, group: Group) -> int:
        """The lowest offset that lies in no interval which a placed buffer forbids."""
        forbidden = sorted(
            (begin - item.at - item.size, end - item.at)
            for item in group
            for begin, end, first, last in self._rows
            if first <= item.last and item.first <= last
        )
        offset = 0
        for below, above in forbidden:
            if offset <= below:  # the group ends in front of it, and so in front of all behind it
                break
            offset = max(offset, above)
        return offset


class _All:
    """Depth first through all sequences."""

    def __init__(self, groups: Sequence[Group], bound: int, best: _Placed) -> None:
        self.groups, self.bound, self.best = groups, bound, best
        self.placed = _Placed(groups)

    def run(self) -> _Placed:
        self._deeper(list(self.best.order))
        return self.best

    def _deeper(self, left: Sequence[int]) -> None:
        if not left:
            self.best = _Placed(self.groups, self.placed.order)
        for index in left:
            if self.best.end <= self.bound:
                return
            self.placed.push(index)
            if self.placed.end < self.best.end:
                self._deeper([other for other in left if other != index])
            self.placed.pop()


def _moved(placed: _Placed, bound: int) -> _Placed:
    """A group, every other time one of those that reach highest, is placed at another point of the sequence, at random,
    and stays there where that is no worse."""
    rng = random.Random(0)
    best = placed
    for _ in range(MOST_MOVES):
        if best.end <= bound:
            break
        ends = [offset + _bytes_of(placed.groups[i]) for i, offset in zip(placed.order, placed.offsets, strict=True)]
        highest = rng.choice([at for at, end in enumerate(ends) if end == placed.end])
        order = list(placed.order)
        chosen = highest if rng.random() < 0.5 else rng.randrange(len(order))
        order.insert(rng.randint(0, len(order) - 1), order.pop(chosen))
        other = _Placed(placed.groups, order)
        if other.end <= placed.end:
            placed = other
        if placed.end < best.end:
            best = placed
    return best
