"""int8 convolution row by row in hardly any scratch: weights go from flash into registers, sums wait in scratch.

The kernel of :mod:`~uc_nn_pio.emit.kernels.conv2d_int8` keeps sums in variables and fetches a strip's weights from
scratch for every block of positions. Here it is the other way round: a *pass* has the weights of a few input channels
in one kernel row, for two output channels, in variables, each taken apart once; it then goes over all positions of the
row, a few at a time, and adds to their sums in scratch. What that costs is two loads and two stores a position and
pass; what it saves is all of the weights' scratch, and taking compact weights apart for each block.

Both have packed products and the same flash words, but for their order: what requantizes a strip is behind its
weights, since it is wanted last.

The bias is that of a kernel which lies within the map. A tap outside sees the zero point, as a padded tap does: its
weights, all that a pass has in a row beside the map and a few columns' at the row's ends, times the zero point are
added to the sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from uc_nn_pio.emit.kernels.base import Table, vars_of
from uc_nn_pio.emit.kernels.conv2d_int8 import UNPACK, Body, Conv2dInt8
from uc_nn_pio.emit.kernels.conv_geometry import ColumnRun, Span, column_runs
from uc_nn_pio.emit.kernels.packing import bias_words, fewest_groups, words_of_taps
from uc_nn_pio.emit.kernels.pipeline import Loop, Statement, straight

FEW_REGISTERS = 18
"""Weights and sums that RV32 has registers for, beside pointers, pixels and products."""

SPILLED = 2.5
"""Instructions a block, about, for each that it has not."""

KEEP, BEGIN_PASS = 4.5, 15.0
"""Instructions, about: to fetch and to keep a position's sums; to begin a pass."""

MOST_PRODUCTS = 50
"""Of a block: what more would save is less than its code is worth."""


@dataclass(frozen=True)
class Conv2dRowsInt8(Conv2dInt8):
    template: ClassVar[str] = "conv2d_rows_int8.c.j2"

    @property
    def helpers(self) -> frozenset[str]:
        return self._requantizers.helpers

    @property
    def compact(self) -> bool:
        return True

    @cached_property
    def pools(self) -> int:
        return 1

    @cached_property
    def _forms(self) -> list[Conv2dInt8]:
        return Conv2dInt8(**vars_of(self))._forms

    @cached_property
    def bodies(self) -> list[Body]:
        """Passes of as many channels as take the fewest words of flash; of equals, the fewest instructions."""
        kx = self.op.kernel[1]
        most = min(max(1, self.tuning.conv_taps // kx), self.group_channels)
        return min(
            (self._split(channels) for channels in range(most, 0, -1)),
            key=lambda split: (sum(b.count * b.words for b in split), sum(b.count * self._work(b) for b in split)),
        )

    def _split(self, channels: int) -> list[Body]:
        kx = self.op.kernel[1]
        count, rest = divmod(self.group_channels, channels)
        words = self._words(kx * channels)
        bodies = [Body(channels, count, 0, words, 0)]
        if rest:
            bodies.append(Body(rest, 1, count * words, self._words(kx * rest), count * channels))
        return bodies

    def _work(self, body: Body) -> float:
        """Instructions of a pass, about, without its multiplications."""
        taps = self.op.kernel[1] * body.channels
        each = taps + 3 * -(-taps // 2) + 4
        return 3 * taps + self.positions * each + self._around(body, self._width(body))

    def _around(self, body: Body, width: int) -> float:
        """Instructions of a pass, about, that depend on how many positions a block has."""
        taps = self.op.kernel[1] * body.channels
        spilled = max(0, taps + 2 * width - FEW_REGISTERS)
        return -(-self.positions // width) * (body.channels * (self.op.kernel[1] - 1) + 3 + SPILLED * spilled)

    def _width(self, body: Body) -> int:
        """Positions of a block; of equals, the one with the fewest kinds of blocks, which are code."""
        most = max(1, min(MOST_PRODUCTS // (self.op.kernel[1] * body.channels), self.positions))
        return min(range(1, most + 1), key=lambda n: (self._around(body, n), len(self._runs(n)), n))

    @cached_property
    def positions(self) -> int:
        """Columns of the convolution that a row of outputs is made of."""
        columns = self._axes[1]
        last = (columns.out - 1) * columns.pool_stride - columns.pool_pad + columns.pool
        return min(columns.conv, last)

    def _runs(self, width: int) -> list[ColumnRun]:
        """Blocks of a row; pools do not matter to them, since sums are pooled when all are there."""
        columns = replace(self._axes[1], conv=self.positions, pool_pad=0)
        return column_runs(columns, width, width, -(-self.positions // width))

    @property
    def window_rows(self) -> int:
        """Rows of the convolution that a call makes."""
        return self._axes[0].pool

    @property
    def sum_words(self) -> int:
        return 2 * self.window_rows * self.positions

    @property
    def scratch_bytes(self) -> int:
        return 4 * self.sum_words

    @property
    def handling(self) -> float:
        passes = self.op.kernel[0] * sum(body.count for body in self.bodies)
        each = BEGIN_PASS + KEEP * self.window_rows * self.positions
        return UNPACK * 2 * self.op.kernel[0] * self.row_words + passes * each

    def tables(self) -> tuple[Table, ...]:
        """A strip a pair of channels: biases, then words of two taps of both channels each, then requantization."""
        words = []
        for first, second in self.strips:
            words += bias_words(self.graph, self.node, (first, second), self.zero_point, packed=True)
            for taps in zip(self._taps(first), self._taps(second), strict=True):
                words += words_of_taps(*taps, biased=True)
            words += self._requantizers.of(first, second)
        comment = (
            f"{len(self.strips)} strips of two output channels: biases, words of two taps of both in (ky, c, kx) order,"
            " requantization"
        )
        return (Table(f"{self.name}_weights", "uint32_t", np.array(words, np.uint32), comment),)

    def blocks(self, body: Body) -> list[tuple[ColumnRun, Loop, int]]:
        """The runs of a row's blocks: the products of one, in the order for the board's multiplier, and the map column,
        from the block's first one, at which its row pointer stands."""
        stride, dilation = self.op.stride[1], self.op.dilation[1]
        found = []
        for run in self._runs(self._width(body)):
            firsts = [j * stride + span.lo * dilation for j, span in enumerate(run.taps) if span]
            shift = min(firsts, default=0)
            found.append((run, straight(list(self._row_products(body, run, shift)), self.tuning.mul_cycles), shift))
        return found

    def _row_products(self, body: Body, run: ColumnRun, shift: int) -> Iterator[Statement]:
        """By map columns, so that a pixel is wanted for a short time only: weights are all at hand."""
        made: set[str] = set()
        taken = [
            (j * self.op.stride[1] + taps[-1] // body.channels * self.op.dilation[1], n, j, taps)
            for j, span in enumerate(run.taps)
            if span
            for n, taps in enumerate(self.groups(body, span))
        ]
        for _, _, j, taps in sorted(taken):
            yield from self._group(body, taps, 0, j, shift, made)

    def groups(self, body: Body, span: Span) -> list[list[int]]:
        return self._groups[body, span]

    @cached_property
    def _groups(self) -> Mapping[tuple[Body, Span], list[list[int]]]:
        """By pass and columns within the map."""
        spans = {span for run in self._runs(1) for span in run.taps if span}
        return {(body, span): self._fewest_groups(body, span) for body in self.bodies for span in spans}

    def _fewest_groups(self, body: Body, span: Span) -> list[list[int]]:
        first = span.lo * body.channels
        taps = range(first, span.hi * body.channels)
        columns = [t // body.channels for t in taps]
        groups = fewest_groups(self.weights_of(body)[:, taps.start : taps.stop], columns)
        return sorted(([first + t for t in group] for group in groups), key=lambda group: group[::-1])

    def _weight_word(self, tap: int) -> Iterator[Statement]:
        """None: it is a variable before the row begins."""
        yield from ()

    def cut(self, body: Body, span: Span | None) -> list[int]:
        """The taps of a pass that lie beside the map at a position with ``span``."""
        if span is None or self.zero_point == 0:
            return []
        return [t for t in range(self.op.kernel[1] * body.channels) if not span.lo <= t // body.channels < span.hi]

    def used(self, body: Body) -> list[int]:
        """The taps of a pass that some position multiplies with, or counts as beside the map."""
        everything = range(self.op.kernel[1] * body.channels)
        if self.zero_point and self._axes[0].padded:
            return list(everything)
        spans = {span for run in self._runs(1) for span in run.taps if span is not None}
        taken = {t for span in spans if span for group in self.groups(body, span) for t in group}
        return sorted(taken.union(*(self.cut(body, span) for span in spans)))

    def variables(self) -> Mapping[str, Any]:
        op, (rows, columns) = self.op, self._axes
        return {
            "rows": rows,
            "columns": columns,
            "held": rows.held,
            "pooled": op.pool is not None,
            "pool_columns": columns.pool,
            "clipped": rows.clipped or columns.clipped,
            "blocks": {body: self.blocks(body) for body in self.bodies},
            "widths": {body: self._width(body) for body in self.bodies},
            "monotone": op.activation is None or op.activation.monotone,
            "odd_outputs": self.group_outputs % 2 == 1,
            "grouped_odd": self.group_outputs % 2 == 1 and op.groups > 1,
            "requantizer": self._requantizers,
            "clamp": [int(v) for v in self.graph.constant(self.node, "clamp")],
            "zero_out": self.output.quant.zero_point,
        }
