"""int8 convolution with activation and max-pool fused in, two output channels and up to four positions at a time.

For each pair of output channels, a *strip*: its constants are read from flash once, in address order, and kept in
scratch; then the whole map is computed with them. The sums of a block (a pool window or a part of it) are variables, so
that a weight is loaded from RAM once for all of them; the maximum is taken of the accumulators and requantized once.

Three ways to multiply, by what the board's MUL costs (:class:`~uc_nn_pio.emit.kernels.tuning.Tuning`):

- *packed*: both channels share a MUL. A word holds ``w0 + 65536 * w1``; the products of a few taps, added up, hold two
  exact sums as long as each stays within 16 bits. ``s`` adds up these words, ``c`` their rounded upper halves; at the
  end channel 1 is ``c`` and channel 0 is ``s - 65536 * c`` (``docs/numerics.md``). How many taps may be added is proved
  from the weights, for every place where the same C is used.
- *dual*: Arm's SMLAD multiplies two taps with two pixels and adds both products. Four pixels that follow each other in
  memory are a word; its even bytes, widened to 16 bits, are one operand, its odd ones another. So of four taps a word
  holds the first and the third, the next one the second and the fourth.
- *plain*: a product a MUL.

Taps outside the map are left out. What they would have added (the zero point times their weights) is left out of the
bias as well: ``edges`` in scratch holds the sums of the weights up to each kernel row and column, from which the bias
for any part of a kernel follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from uc_nn_pio.emit.kernels.base import Kernel, Table, vars_of
from uc_nn_pio.emit.kernels.conv_geometry import MAX_POSITIONS, Axis, ColumnRun, Span, axes, column_runs, split_window
from uc_nn_pio.emit.kernels.packing import bias_words, requantizers, tap_groups, words_of_taps
from uc_nn_pio.emit.kernels.pipeline import Loop, Statement, pipelined, straight
from uc_nn_pio.graph.ops import Conv2d, Op
from uc_nn_pio.schedule.rows import RowNeed

LOAD_WORD, LOAD_BYTE = 2, 3
"""Cycles until a load's result can be used, as the order of statements assumes."""

STAGE, UNPACK, KEEP, BEGIN = 5.0, 3.0, 16.0, 25.0
"""Instructions, about: to copy a word of flash to scratch; to take a tap out of a compact word; to keep and to fetch a
position's sums; to begin a part."""


MOST_DUAL_TAPS = 32
"""Of a pass of dual products, where its channels are all there are."""


@dataclass(frozen=True)
class Body:
    """The taps that one pass of the innermost loop computes: all kernel columns of ``channels`` input channels.

    Tap t = column * channels + channel. ``count`` passes follow each other for a kernel row; ``word`` is the first
    staged word of the first one, within the row.
    """

    channels: int
    count: int
    word: int
    words: int
    first_channel: int


@dataclass(frozen=True)
class Conv2dInt8(Kernel):
    op_type: ClassVar[type[Op]] = Conv2d
    template: ClassVar[str] = "conv2d_int8.c.j2"

    staged_rows: int | None = None
    """Kernel rows staged at once, where a strip is staged in parts; None for all of them. Not with packed products:
    :class:`~uc_nn_pio.emit.kernels.conv2d_rows_int8.Conv2dRowsInt8` takes less scratch, and less time."""
    kept_compact: bool = False
    """To save scratch; see :attr:`compact`."""
    pool_apart: bool = False
    """A call makes one row of the convolution, pooled along the row, and keeps its maximum with those before it in the
    output row. The window is as high as the kernel; the weights are read once a call."""

    @property
    def helpers(self) -> frozenset[str]:
        taps = ({"taps", "within"} if self.staged_rows else {"taps"}) if self._axes[0].padded and self.meets else set()
        return self._requantizers.helpers | taps | ({"dual"} if self._has_quads else set())

    @property
    def meets(self) -> bool:
        """Whether the kernel's columns meet the map anywhere."""
        columns = self._axes[1]
        starts = range(-columns.pool_pad, columns.out * columns.pool_stride - columns.pool_pad, columns.pool_stride)
        return any(columns.taps(p) for at in starts for p in range(at, at + columns.pool) if 0 <= p < columns.conv)

    @property
    def row_need(self) -> RowNeed:
        return replace(self._axes[0].need, calls=self.op.pool.kernel[0] if self.pool_apart else 1)

    @property
    def uses_row(self) -> bool:
        return not self.rows_apart or self._axes[0].held is not None

    @property
    def row_parameter(self) -> str:
        return ", int32_t py" if self.pool_apart else super().row_parameter

    def shallower(self) -> Conv2dInt8 | None:
        pool = self.op.pool
        if self.pool_apart or not self.rows_apart or pool is None or pool.kernel[0] == 1 or self._axes[0].clipped:
            return None
        # rows of overlapping windows would belong to two output rows at a time
        return replace(self, pool_apart=True) if pool.stride[0] == pool.kernel[0] else None

    @property
    def packed(self) -> bool:
        return self.tuning.packed

    @property
    def compact(self) -> bool:
        """Whether scratch holds weights as flash does, two taps a word; else a word a tap."""
        return self.tuning.compact or self.kept_compact or not self.packed

    @cached_property
    def _axes(self) -> tuple[Axis, Axis]:
        rows, columns = axes(self.op, self.input.shape, self.output.shape)
        if self.pool_apart:
            made = rows.out * rows.pool
            rows = replace(rows, conv=made, out=made, pool=1, pool_stride=1)
            if self.pools > 1:
                columns = replace(columns, conv=columns.out * columns.pool)
        return rows, columns

    @cached_property
    def pools(self) -> int:
        """Pool windows of a block: with one row a call, a few neighbours keep as many sums as a whole window does."""
        _, columns = axes(self.op, self.input.shape, self.output.shape)
        beside = columns.pool_stride == columns.pool and not columns.clipped
        return min(max(1, MAX_POSITIONS // columns.pool), columns.out) if self.pool_apart and beside else 1

    @property
    def group_channels(self) -> int:
        return self.input.shape[0] // self.op.groups

    @property
    def group_outputs(self) -> int:
        return self.output.shape[0] // self.op.groups

    @property
    def strips(self) -> list[tuple[int, int | None]]:
        """Pairs of output channels that are computed together; the last of an odd group is alone."""
        pairs = []
        for first in range(0, self.output.shape[0], self.group_outputs):
            for oc in range(first, first + self.group_outputs, 2):
                pairs.append((oc, oc + 1 if oc + 1 < first + self.group_outputs else None))
        return pairs

    @property
    def known_channels(self) -> int:
        return 2 if len(self.strips) == 1 else 0

    @cached_property
    def bodies(self) -> list[Body]:
        """The loop's body, and the one for channels that the unrolling leaves over."""
        kx, step = self.op.kernel[1], self._channels_of_a_pass()
        count, rest = divmod(self.group_channels, step)
        words = self._words(kx * step)
        found = [Body(step, count, 0, words, 0)]
        if rest:
            found.append(Body(rest, 1, count * words, self._words(kx * rest), count * step))
        return found

    def _channels_of_a_pass(self) -> int:
        """So many that their taps are as many as the tuning says, or somewhat fewer where that leaves no rest; an even
        number of taps where two share a staged word. Dual: all of them if they are few, for whole rows lie in one
        piece; else a multiple of four."""
        kx, channels = self.op.kernel[1], self.group_channels
        if self.dual and channels > 4 and kx * channels > MOST_DUAL_TAPS:
            most = max(4, self.tuning.conv_taps // kx // 4 * 4)
            return max((n for n in range(4, most + 1, 4) if channels % n == 0), default=4)
        if self.dual:
            return channels
        most = min(max(1, self.tuning.conv_taps // kx), channels)
        enough = min(4, kx * most)
        whole = [n for n in range(1, most + 1) if channels % n == 0 and kx * n >= enough]
        even = [n for n in whole if kx * n % 2 == 0] if self.compact else []
        return max(even or whole or [most])

    @property
    def dual(self) -> bool:
        return self.tuning.dual

    @property
    def _has_quads(self) -> bool:
        return any(self.quads(body) for body in self.bodies)

    def quads(self, body: Body) -> list[tuple[int, ...]]:
        """Dual: the taps of a body that are taken four at a time, whose pixels follow each other in memory."""
        kx, channels = self.op.kernel[1], body.channels
        whole = channels == self.input.shape[0] and self.op.dilation[1] == 1
        chunks = [range(kx * channels)] if whole else [range(x * channels, (x + 1) * channels) for x in range(kx)]
        starts = [t for chunk in chunks for t in chunk[: len(chunk) // 4 * 4 : 4]] if self.dual else []
        return [tuple(range(t, t + 4)) for t in starts]

    def staged_order(self, body: Body) -> list[int]:
        """The taps of a body as its words have them, two a word."""
        quads = self.quads(body)
        taken = [t for quad in quads for t in (quad[0], quad[2], quad[1], quad[3])]
        return taken + sorted(set(range(self.op.kernel[1] * body.channels)) - set(taken))

    def place(self, body: Body, tap: int, channel: int) -> tuple[int, int]:
        """Where in a pass a compact weight is: (word, byte)."""
        at = self.staged_order(body).index(tap)
        return at // 2, 2 * (at % 2) + channel if self.dual else at % 2 + 2 * channel

    def dual_steps(self, body: Body, run: ColumnRun, part: Span) -> tuple[list[Any], list[tuple[int, list[int]]]]:
        """How the products of a pass are taken: quads, each with the columns of the block that use all of it, and
        single taps with theirs."""
        used = {
            j: set(range(s.lo * body.channels, s.hi * body.channels))
            for j in range(part.lo, part.hi)
            if (s := run.taps[j])
        }
        fours, singles = [], {t: list(used) for t in range(self.op.kernel[1] * body.channels)}
        for quad in self.quads(body):
            whole = [j for j, taps in used.items() if taps.issuperset(quad)]
            if whole:
                fours.append((quad, whole))
            for t in quad:
                singles[t] = [j for j in used if j not in whole]
        taken = [(t, [j for j in columns if t in used[j]]) for t, columns in singles.items()]
        return fours, [(t, columns) for t, columns in taken if columns]

    def _words(self, taps: int) -> int:
        return -(-taps // 2) if self.compact else taps

    @property
    def row_words(self) -> int:
        """Staged words of a kernel row."""
        return sum(body.count * body.words for body in self.bodies)

    @property
    def weight_words(self) -> int:
        """Staged at once."""
        return (self.staged_rows or self.op.kernel[0]) * self.row_words

    @property
    def edge_rows(self) -> int:
        return (self.staged_rows or self.op.kernel[0]) if self._axes[0].padded else 1

    @property
    def sum_words(self) -> int:
        """Where a strip comes in parts, the sums of a row's blocks wait in scratch: two words a position."""
        if self.staged_rows is None:
            return 0
        rows, columns, count = self._block_shape
        return 2 * rows * columns * count

    @property
    def _block_shape(self) -> tuple[int, int, int]:
        """Rows and columns of a block, and blocks a row of outputs."""
        columns = self._axes[1].out
        if self.op.pool is not None:
            rows = 1 if self.pool_apart else self.op.pool.kernel[0]
            return rows, self.pools * self.op.pool.kernel[1], -(-columns // self.pools)
        width = -(-columns // -(-columns // 4))
        return 1, width, -(-columns // width)

    @property
    def edge_columns(self) -> int:
        return self.op.kernel[1] if self._axes[1].padded else 1

    @property
    def zero_point(self) -> int:
        return self.input.quant.zero_point

    @property
    def has_edges(self) -> bool:
        """Whether the bias depends on the position."""
        return self.zero_point != 0 and any(axis.padded for axis in self._axes)

    @property
    def edge_words(self) -> int:
        rows = self.edge_rows + 1 if self._axes[0].padded else 1
        return 2 * rows * self.edge_columns if self.has_edges else 0

    @cached_property
    def _requantizers(self) -> Any:
        return requantizers(self.graph, self.node)

    @property
    def header_words(self) -> int:
        return 2 + self._requantizers.words

    @property
    def scratch_bytes(self) -> int:
        return 4 * (self.header_words + self.edge_words + self.weight_words + self.sum_words)

    def smaller(self) -> Conv2dInt8 | None:
        return next((kernel for kernel in self._forms if kernel.scratch_bytes < self.scratch_bytes), None)

    @cached_property
    def _forms(self) -> list[Conv2dInt8]:
        """Ways to hold weights in scratch, none of which is slower and no smaller than another; the fastest first."""
        from uc_nn_pio.emit.kernels.conv2d_rows_int8 import Conv2dRowsInt8  # which is one of these kernels

        forms = [replace(self, kept_compact=compact, staged_rows=None) for compact in (False, True)]
        if self.rows_apart and self.meets:
            rows = range(self.op.kernel[0] - 1, 0, -1)
            parted = [replace(self, staged_rows=count) for count in rows]
            forms += [Conv2dRowsInt8(**vars_of(self))] if self.packed else parted
        found: list[Conv2dInt8] = []
        for kernel in sorted(forms, key=lambda kernel: (kernel.handling, kernel.scratch_bytes)):
            if not found or kernel.scratch_bytes < found[-1].scratch_bytes:
                found.append(kernel)
        return found

    @property
    def handling(self) -> float:
        """Instructions of a call and strip, about, to bring weights to where they are used, and to keep sums."""
        rows, columns, count = self._block_shape
        taps = self.op.kernel[0] * self.op.kernel[1] * self.group_channels
        parts = -(-self.op.kernel[0] // self.staged_rows) if self.staged_rows else 0
        fetched = taps * (1 if not self.packed else UNPACK if self.compact else 1)
        staged = STAGE * taps * (0.5 if self.compact else 1)
        return staged + count * (fetched + parts * (KEEP * rows * columns + BEGIN))

    @cached_property
    def _weight(self) -> np.ndarray:
        """(out, ky, kx, c) int32."""
        return self.graph.constant(self.node, "weight").transpose(0, 2, 3, 1).astype(np.int32)

    def _taps(self, oc: int | None) -> list[np.ndarray]:
        """A channel's weights in the order of the staged words: one array a body and pass; zeros for no channel."""
        weight = self._weight[oc] if oc is not None else np.zeros_like(self._weight[0])
        orders = {body: self.staged_order(body) for body in self.bodies}
        return [
            weight[ky, :, body.first_channel + i * body.channels :][:, : body.channels].ravel()[orders[body]]
            for ky in range(self.op.kernel[0])
            for body in self.bodies
            for i in range(body.count)
        ]

    def tables(self) -> tuple[Table, ...]:
        """A strip a pair of channels: biases, requantization, then words of two taps of both channels each."""
        words = []
        for first, second in self.strips:
            taps = [(self._taps(first)), (self._taps(second))]
            folded = 0 if self.has_edges else self.zero_point
            words += bias_words(self.graph, self.node, (first, second), folded, self.packed)
            words += self._requantizers.of(first, second)
            pairs = list(zip(*taps, strict=True))
            # taps that go to words of their own follow each other without a gap
            count = 1 if self.compact else len(pairs)
            for at in range(0, len(pairs), count):
                words += words_of_taps(
                    *map(np.concatenate, zip(*pairs[at : at + count], strict=True)), self.packed, self.dual
                )
        values = np.array(words, np.uint32)
        comment = (
            f"{len(self.strips)} strips of two output channels: biases, requantization, then words of two taps of both,"
            " in (ky, c, kx) order"
        )
        return (Table(f"{self.name}_weights", "uint32_t", values, comment),)

    def groups(self, body: Body, span: Span) -> list[list[int]]:
        """The taps of a body that lie in the kernel columns ``span``, in groups that may be added in one word."""
        columns = range(span.lo * body.channels, span.hi * body.channels)
        if not self.packed:
            return [[t] for t in columns]
        return tap_groups(self.weights_of(body)[:, columns.start : columns.stop], columns)

    def weights_of(self, body: Body) -> np.ndarray:
        """(places, taps): what the C of a pass meets, in all strips, kernel rows and channels."""
        rows = []
        for ky in range(self.op.kernel[0]):
            for i in range(body.count):
                first = body.first_channel + i * body.channels
                taken = self._weight[:, ky, :, first : first + body.channels]
                rows.append(taken.reshape(len(taken), -1))
        return np.concatenate(rows)

    def taps_used(self, body: Body, run: ColumnRun, part: Span) -> list[int]:
        """The taps of a body that some position of the part uses; wide strides can leave one out between two."""
        spans = [span for span in run.taps[part.lo : part.hi] if span]
        return sorted({t for span in spans for (t,) in self.groups(body, span)})

    def words_used(self, body: Body, taps: Sequence[int]) -> list[int]:
        """Where in a pass the words are that hold these taps; a word holds two taps of both channels."""
        return sorted({self.place(body, t, 0)[0] for t in taps})

    def order(self, body: Body, run: ColumnRun, part: Span, block: Sequence[int], shift: int, loops: bool) -> Loop:
        """A pass of packed products, in the order for the board's multiplier.

        Args:
            block: the block's rows that take part.
            shift: the map column, from the block's first one, at which the row pointers stand.
            loops: whether passes follow each other, so that the end of one can overlap the next.
        """
        statements = list(self._products(body, run, part, block, shift))
        return (pipelined if loops else straight)(statements, self.tuning.mul_cycles)

    def _products(
        self, body: Body, run: ColumnRun, part: Span, block: Sequence[int], shift: int
    ) -> Iterator[Statement]:
        made: set[str] = set()
        grouped = {j: self.groups(body, span) for j in range(part.lo, part.hi) if (span := run.taps[j])}
        for step in range(max(map(len, grouped.values()))):
            for i in block:
                for j, groups in grouped.items():
                    if step < len(groups):
                        yield from self._group(body, groups[step], i, j, shift, made)

    def _group(self, body: Body, taps: list[int], i: int, j: int, shift: int, made: set[str]) -> Iterator[Statement]:
        """The products of a few taps at position (i, j), added up in one word, and its two halves."""
        channels = self.input.shape[0]
        products = []
        for tap in taps:
            column = j * self.op.stride[1] + tap // body.channels * self.op.dilation[1] - shift
            offset = column * channels + tap % body.channels
            for statement in (*self._weight_word(tap), _pixel(i, offset)):
                if statement.target not in made:
                    made.add(statement.target)
                    yield statement
            reads = (f"w{tap}", f"x{i}_{offset}")
            name = f"m{i}{j}_{tap}"
            yield Statement(name, " * ".join(reads), reads, "mul", self.tuning.mul_cycles)
            products.append(name)
        total = products[0]
        for tap, product in zip(taps[1:], products[1:], strict=True):
            name = f"p{i}{j}_{tap}"
            yield Statement(name, f"{total} + {product}", (total, product))
            total = name
        half, upper = f"h{i}{j}_{taps[0]}", f"u{i}{j}_{taps[0]}"
        yield Statement(f"s{i}{j}", total, (total,), adds=True)
        yield Statement(half, f"{total} + 0x8000u", (total,))
        yield Statement(upper, f"(int32_t){half} >> 16", (half,), ctype="int32_t")
        yield Statement(f"c{i}{j}", upper, (upper,), adds=True)

    def _weight_word(self, tap: int) -> Iterator[Statement]:
        if not self.compact:
            yield Statement(f"w{tap}", f"w[{tap}]", (), "feed", LOAD_WORD)
            return
        word = f"v{tap // 2}"
        yield Statement(word, f"w[{tap // 2}]", (), "feed", LOAD_WORD)
        taken = f"(({word} >> 8) & 0x00FF00FFu) - 0x00800080u" if tap % 2 else f"({word} & 0x00FF00FFu) - 0x00800080u"
        yield Statement(f"w{tap}", taken, (word,), "feed", 1, 2 + tap % 2)

    def variables(self) -> Mapping[str, Any]:
        op, (rows, columns) = self.op, self._axes
        pooled = op.pool is not None
        *window, count = self._block_shape
        parts = split_window(window[1])
        block_rows = 2 if window[0] % 2 == 0 and window[1] <= 2 and not rows.clipped else 1
        step = self.pools * columns.pool_stride if pooled else window[1]
        odd = self.group_outputs % 2 == 1
        runs = column_runs(columns, window[1], step, count)
        return {
            "rows": rows,
            "columns": columns,
            "held": rows.held if self.rows_apart else None,
            "pooled": pooled,
            "pools": self.pools,
            "pool_columns": op.pool.kernel[1] if pooled else 1,
            "window": window,
            "parts": parts,
            "block_rows": block_rows,
            "runs": runs,
            "run_names": _run_names(runs),
            "ends": _alike(runs) if self.pools == 1 else [_pools_of_a_row(columns)],
            "step": step,
            "monotone": op.activation is None or op.activation.monotone,
            "odd_outputs": odd,
            "grouped_odd": odd and op.groups > 1,
            "wide_edges": self.group_channels > 256,
            "requantizer": self._requantizers,
            "clamp": [int(v) for v in self.graph.constant(self.node, "clamp")],
            "zero_out": self.output.quant.zero_point,
            "edge_at": self.header_words,
            "weights_at": self.header_words + self.edge_words,
            "sums_at": self.header_words + self.edge_words + self.weight_words,
        }


def _pixel(i: int, offset: int) -> Statement:
    return Statement(f"x{i}_{offset}", f"(uint32_t)r{i}[{offset}]", (), "feed", LOAD_BYTE)


def _pools_of_a_row(columns: Axis) -> ColumnRun:
    """The pool windows of a row, one by one, whatever the blocks that their sums came from."""
    return ColumnRun(0, columns.out - 1, (Span(0, 1),) * columns.pool)


def _alike(runs: list[ColumnRun]) -> list[ColumnRun]:
    """Runs of blocks in which the same positions exist, whatever their taps."""
    found: list[ColumnRun] = []
    for run in runs:
        exists = tuple(None if span is None else Span(0, 1) for span in run.taps)
        if found and found[-1].taps == exists:
            found[-1] = ColumnRun(found[-1].first, run.last, exists)
        else:
            found.append(ColumnRun(run.first, run.last, exists))
    return found


def _run_names(runs: list[ColumnRun]) -> list[str]:
    """``row`` where all columns are alike; else left, middle and right, numbered where there are more."""
    if len(runs) == 1:
        return ["row"]
    widest = max(range(len(runs)), key=lambda i: runs[i].last - runs[i].first)
    left, right = widest, len(runs) - widest - 1
    names = [f"left{i if left > 1 else ''}" for i in range(left)]
    return [*names, "middle", *(f"right{i if right > 1 else ''}" for i in range(right))]
