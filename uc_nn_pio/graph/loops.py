"""Choices of elements as nested loops: what a slice, a transposed or a repeated tensor reads, and in which steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Loop:
    """``count`` rounds; in each one array after the other goes on by its step."""

    count: int
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Nest:
    """``starts`` (arrays, n): where the loops begin, n times in turn. ``loops`` are the outermost first."""

    starts: np.ndarray
    loops: tuple[Loop, ...]


def nest_of(*indices: np.ndarray) -> Nest:
    """As many nested loops as give the places of all ``indices``, which are flat and of one length.

    What follows no steps is left to ``starts``; with one start the loops say it all. Whatever slices, transposes,
    expansions and reshapes in a row make of an ``arange`` has one start, but for reshapes that cut a row apart.
    """
    rest = np.array(indices, np.int64)
    loops: list[Loop] = []
    while count := _count(rest):
        steps = rest[:, 1] - rest[:, 0]
        loops.append(Loop(count, tuple(int(step) for step in steps)))
        rest = rest[:, ::count]
    return Nest(rest, tuple(reversed(loops)))


def _count(rest: np.ndarray) -> int:
    """Of the innermost loop: the longest that all of ``rest`` is made of; 0 if there is none."""
    length = rest.shape[1]
    if length < 2:
        return 0
    steps = rest[:, 1] - rest[:, 0]
    breaks = np.flatnonzero((np.diff(rest, axis=1) != steps[:, None]).any(axis=0))
    longest = int(breaks[0]) + 1 if len(breaks) else length
    for count in range(longest, 1, -1):
        if length % count == 0:
            blocks = rest.reshape(len(rest), -1, count)
            if (blocks == blocks[:, :, :1] + steps[:, None, None] * np.arange(count)).all():
                return count
    return 0


def places(nest: Nest) -> np.ndarray:
    """The indices (arrays, n) that a nest goes over."""
    found = nest.starts
    for loop in nest.loops:
        found = (found[:, :, None] + np.array(loop.steps)[:, None, None] * np.arange(loop.count)).reshape(
            len(found), -1
        )
    return found
