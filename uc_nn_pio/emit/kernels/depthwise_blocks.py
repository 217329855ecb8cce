"""How a row of a depthwise convolution falls into blocks, and a block into pairs of positions; decided before any C.

A *block* is the positions of the convolution whose sums are held at once: neighbours of a row, or a row of neighbouring
pool windows. Blocks at which the same taps lie inside the map are a *run*, and have C of their own for the products.
Runs whose blocks have the same positions are a *section*, and share all other C.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from uc_nn_pio.emit.kernels.conv_geometry import Axis, Span, split_window


@dataclass(frozen=True)
class Run:
    """Blocks ``first`` .. ``last`` of a row, all alike, of ``outputs`` outputs each. ``taps[j]`` is the span of kernel
    columns inside the map at the block's position j, or None where that position does not exist or no output needs
    it."""

    first: int
    last: int
    outputs: int
    taps: tuple[Span | None, ...]

    @property
    def positions(self) -> list[int]:
        return [j for j, span in enumerate(self.taps) if span is not None]

    def inside(self, position: int) -> range:
        """Kernel columns inside the map."""
        span = self.taps[position]
        return range(span.lo, span.hi) if span else range(0)


@dataclass(frozen=True)
class Part:
    """Positions of a block whose sums are held at once. ``pairs`` share their multiplications, ``singles`` do not."""

    pairs: tuple[tuple[int, int], ...]
    singles: tuple[int, ...]

    @property
    def positions(self) -> list[int]:
        return sorted([*(j for pair in self.pairs for j in pair), *self.singles])


@dataclass(frozen=True)
class Section:
    """Neighbouring runs whose blocks have the same positions, and so the same parts. ``windows[b]`` is the span of
    positions of output b's pool window."""

    runs: tuple[Run, ...]
    parts: tuple[Part, ...]
    windows: tuple[Span, ...]

    @property
    def first(self) -> int:
        return self.runs[0].first

    @property
    def last(self) -> int:
        return self.runs[-1].last

    @property
    def outputs(self) -> int:
        return len(self.windows)

    @property
    def reads(self) -> bool:
        """Whether any tap lies inside the map."""
        return any(run.inside(j) for run in self.runs for j in run.positions)

    @property
    def has_pairs(self) -> bool:
        return any(part.pairs for part in self.parts)

    @property
    def tests(self) -> list[tuple[Run, str]]:
        """The runs, the longest first, and in C whether block ``px`` is one of theirs; the last needs no test."""
        longest = sorted(self.runs, key=lambda run: run.first - run.last)
        return [(run, self._test(run)) for run in longest[:-1]] + [(longest[-1], "")]

    def _test(self, run: Run) -> str:
        if run.first == run.last:
            return f"px == {run.first}"
        tests = [f"px >= {run.first}"] if run.first > self.first else []
        tests += [f"px <= {run.last}"] if run.last < self.last else []
        return " && ".join(tests)

    def wanting(self, position: int) -> list[int]:
        """The outputs whose window holds a position."""
        return [b for b, window in enumerate(self.windows) if window.lo <= position < window.hi]


def outputs_of_a_block(columns: Axis, most: Sequence[int], even: bool) -> int:
    """As even a split of a row as its width allows.

    Args:
        columns: the convolution's columns.
        most: positions that a block may have where a row is one block, two, ...; the last for any more.
        even: whether blocks of the row's last positions may be smaller, so that the others make pairs.
    """
    for blocks, positions in enumerate(most, 1):
        fitting = max(1, (positions - columns.pool) // columns.pool_stride + 1)
        if columns.out <= blocks * fitting:
            break
    outputs = -(-columns.out // -(-columns.out // fitting))
    return outputs + (outputs % 2 if even and columns.pool == 1 and outputs < fitting else 0)


def sections_of(columns: Axis, outputs: int, most: int, pairs: bool) -> list[Section]:
    """The sections of a row, in order.

    Args:
        columns: the convolution's columns.
        outputs: of a block.
        most: positions of a part, where a block is one wide pool window.
        pairs: whether two positions share their multiplications.
    """
    found = []
    for (there, positions), runs in itertools.groupby(
        _runs(columns, outputs), lambda run: (run.outputs, run.positions)
    ):
        starts = [b * columns.pool_stride for b in range(there)]
        windows = tuple(Span(start, start + columns.pool) for start in starts)
        parts = _parts(positions, most if outputs == 1 else len(positions), pairs)
        found.append(Section(tuple(runs), tuple(parts), windows))
    return found


def _runs(columns: Axis, outputs: int) -> list[Run]:
    width = (outputs - 1) * columns.pool_stride + columns.pool
    runs: list[Run] = []
    for first in range(0, columns.out, outputs):
        there = min(outputs, columns.out - first)
        taps = tuple(_taps(columns, first * columns.pool_stride, j, there) for j in range(width))
        if runs and (runs[-1].outputs, runs[-1].taps) == (there, taps):
            runs[-1] = Run(runs[-1].first, runs[-1].last + 1, there, taps)
        else:
            runs.append(Run(first // outputs, first // outputs, there, taps))
    return runs


def _taps(columns: Axis, start: int, j: int, outputs: int) -> Span | None:
    position = start - columns.pool_pad + j
    needed = any(0 <= j - b * columns.pool_stride < columns.pool for b in range(outputs))
    return columns.taps(position) if needed and 0 <= position < columns.conv else None


def _parts(positions: list[int], most: int, pairs: bool) -> Iterator[Part]:
    """Pairs are half a part apart: neighbouring pairs then meet the same words of two pixels."""
    for span in split_window(len(positions), most):
        taken = positions[span.lo : span.hi]
        half = -(-len(taken) // 2)
        paired = tuple(zip(taken, taken[half:], strict=False)) if pairs else ()
        alone = set(taken).difference(*paired)
        yield Part(paired, tuple(sorted(alone)))
