"""Which taps and positions of a convolution exist where, decided before any C: blocks, columns of one kind, row ranges.

A *block* is the set of convolution positions whose sums are held at once: a pool window or a part of it, or a few
neighbours of a row where there is no pool. Along a row the blocks fall into *column runs*: neighbours at which the same
taps lie inside the map. Each run has C of its own with literal taps, so that no tap is tested while it is summed up.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from uc_nn_pio.emit.expressions import held_row
from uc_nn_pio.graph.ops import AvgPool2d, Conv2d, MaxPool2d
from uc_nn_pio.schedule.rows import RowNeed

MAX_POSITIONS = 4
"""Sums held at once for each output channel: two channels at four positions fill the registers of RV32."""


@dataclass(frozen=True)
class Span:
    """A half-open range."""

    lo: int
    hi: int

    def __bool__(self) -> bool:
        return self.hi > self.lo

    def __len__(self) -> int:
        return max(0, self.hi - self.lo)


@dataclass(frozen=True)
class ColumnRun:
    """Blocks ``first`` .. ``last`` of a row, all alike. ``taps[j]`` is the span of kernel columns inside the map at the
    block's column j, or None where that position does not exist (a window cut off, or the row's end)."""

    first: int
    last: int
    taps: tuple[Span | None, ...]

    @property
    def columns(self) -> list[int]:
        return [j for j, span in enumerate(self.taps) if span is not None]


@dataclass(frozen=True)
class Axis:
    """One axis of a convolution with its pool: sizes in pixels and positions."""

    size: int
    conv: int
    out: int
    kernel: int
    stride: int
    dilation: int
    pad: int
    pool: int
    pool_stride: int
    pool_pad: int

    def taps(self, position: int) -> Span:
        """Kernel taps inside the map at a position of the convolution; may be empty."""
        first = position * self.stride - self.pad
        lo = max(0, -(first // self.dilation))
        hi = min(self.kernel, -((first - self.size) // self.dilation))
        return Span(lo, max(lo, hi))

    @property
    def padded(self) -> bool:
        """Whether any position has a tap outside the map."""
        return any(self.taps(p) != Span(0, self.kernel) for p in range(self.conv))

    @property
    def need(self) -> RowNeed:
        """The input rows of each output row, for a kernel that works row by row."""
        last = (self.conv - 1) * self.stride - self.pad + (self.kernel - 1) * self.dilation
        return RowNeed(
            size=self.size,
            out=self.out,
            step=self.pool_stride * self.stride,
            top=-self.pool_pad * self.stride - self.pad,
            span=(self.pool - 1) * self.stride + (self.kernel - 1) * self.dilation + 1,
            last=min(self.size - 1, last),
        )

    @property
    def held(self) -> str | None:
        """C for the input row at the front of the window when output row ``py`` is made, where taps or positions are
        tested by their absolute rows; None where every row is made alike, from the window's first one on."""
        if self.padded or self.clipped:
            return held_row(self.need.step, self.need.top)
        return None

    @property
    def clipped(self) -> bool:
        """Whether a pool window reaches beyond the convolution's positions."""
        return self.pool_pad > 0 or (self.out - 1) * self.pool_stride + self.pool > self.conv


def axes(op: Conv2d, size: tuple[int, ...], out: tuple[int, ...]) -> tuple[Axis, Axis]:
    """Rows and columns of ``op`` on an input and an output of shape (C, H, W)."""
    pool = op.pool or MaxPool2d(kernel=(1, 1), stride=(1, 1))
    pads = (op.padding.top, op.padding.left)
    pool_pads = (pool.padding.top, pool.padding.left)
    rows, columns = (
        Axis(
            size=size[1 + a],
            conv=op.conv_shape[1 + a],
            out=out[1 + a],
            kernel=op.kernel[a],
            stride=op.stride[a],
            dilation=op.dilation[a],
            pad=pads[a],
            pool=pool.kernel[a],
            pool_stride=pool.stride[a],
            pool_pad=pool_pads[a],
        )
        for a in (0, 1)
    )
    return rows, columns


def window_axes(op: MaxPool2d | AvgPool2d, size: tuple[int, ...], out: tuple[int, ...]) -> tuple[Axis, Axis]:
    """Rows and columns of a pool of its own, as those of a convolution with the pool's window."""
    rows, columns = (
        Axis(
            size=size[1 + a],
            conv=out[1 + a],
            out=out[1 + a],
            kernel=op.kernel[a],
            stride=op.stride[a],
            dilation=getattr(op, "dilation", (1, 1))[a],
            pad=(op.padding.top, op.padding.left)[a],
            pool=1,
            pool_stride=1,
            pool_pad=0,
        )
        for a in (0, 1)
    )
    return rows, columns


def split_window(width: int, most: int = MAX_POSITIONS) -> list[Span]:
    """A window's columns in even parts of at most ``most``."""
    parts = -(-width // most)
    edges = [round(i * width / parts) for i in range(parts + 1)]
    return [Span(lo, hi) for lo, hi in itertools.pairwise(edges)]


def column_runs(columns: Axis, width: int, step: int, count: int) -> list[ColumnRun]:
    """The runs of a row of ``count`` blocks, each ``width`` positions wide and ``step`` behind the last."""
    runs: list[ColumnRun] = []
    for block in range(count):
        start = block * step - columns.pool_pad
        taps = tuple(columns.taps(p) if 0 <= p < columns.conv else None for p in range(start, start + width))
        if runs and runs[-1].taps == taps:
            runs[-1] = ColumnRun(runs[-1].first, block, taps)
        else:
            runs.append(ColumnRun(block, block, taps))
    return runs
