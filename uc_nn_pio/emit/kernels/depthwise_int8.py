"""int8 depthwise convolution with activation and max-pool fused in: a channel at a time, up to eight positions at once.

For each output channel, a *strip*: its constants are read from flash once, in address order, and kept in scratch; then
the channel's map is computed with them. The sums of a block (neighbours of a row, or of a row of pool windows) are
variables, so that a weight is loaded from RAM once for all of them.

Two ways to multiply, by what the board's MUL costs (:class:`~uc_nn_pio.emit.kernels.tuning.Tuning`):

- *packed*: two positions share a MUL. A word holds ``x0 + 65536 * x1``, pixels that lie half a block apart, so that
  neighbouring pairs of positions meet the same words again. Sums are split as in ``conv2d_int8.py``: ``s`` adds up the
  products, ``c`` their rounded upper halves; position 1 is ``c``, position 0 is ``s - 65536 * c``.
- *plain*: a product a MUL.

A tap beside the map's columns is the zero point, as a literal. Kernel rows outside the map are left out, and so is
what they would have added to the bias: ``edges`` in scratch holds the sums of the weights up to each kernel row.

Where the accumulators leave two bits free, requantization takes one upper half of a product
(:meth:`DepthwiseInt8.narrow`) instead of 64 bits and two roundings.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from uc_nn_pio.emit.kernels.base import Kernel, Table
from uc_nn_pio.emit.kernels.conv_geometry import Axis, axes
from uc_nn_pio.emit.kernels.depthwise_blocks import Part, Run, Section, outputs_of_a_block, sections_of
from uc_nn_pio.emit.kernels.packing import folded_biases, requantizers, tap_groups
from uc_nn_pio.emit.kernels.pipeline import Statement, straight
from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.graph.ops import Conv2d, Op
from uc_nn_pio.schedule.rows import RowNeed

LOAD_WORD, LOAD_BYTE = 2, 3
"""Cycles until a load's result can be used, as the order of statements assumes."""

PLAIN_POSITIONS = 4
"""Sums held at once: what the registers of Arm's Thumb take."""

PACKED_POSITIONS = (16, 12, 8)
"""The same of packed kernels where a row is one block, two, or more. Some of sixteen are spilled, which costs less than
the words of pixels at the ends of a block; but each block of another kind is code, and code comes from flash."""

LOAD_REACH = 2047
"""Bytes that the offset of a load reaches on RISC-V."""

COLUMNS = 96
"""Of the widest lines of products, without their indentation."""

PACKED_PRODUCTS = 40
"""Most products of a packed pass over a kernel row; wide kernels get smaller blocks."""


def is_depthwise(graph: Graph, node: Node) -> bool:
    """Whether each output channel reads one of several input channels. With a single input channel, an ordinary
    convolution shares its pixels between two channels at no cost."""
    channels, outputs = graph.tensor(node.inputs[0]).shape[0], node.op.conv_shape[0]
    return node.op.groups == channels and (channels > 1 or outputs == 1)


@dataclass(frozen=True)
class DepthwiseInt8(Kernel):
    op_type: ClassVar[type[Op]] = Conv2d
    template: ClassVar[str] = "depthwise_int8.c.j2"

    @property
    def known_channels(self) -> int:
        return 1 if self.output.shape[0] == 1 else 0

    @property
    def helpers(self) -> frozenset[str]:
        taps = {"taps"} if self._axes[0].padded and self.sums else set()
        return frozenset(taps) if self.narrow else self._requantizers.helpers | taps

    @property
    def row_need(self) -> RowNeed:
        return self._axes[0].need

    @property
    def uses_row(self) -> bool:
        return not self.rows_apart or self._axes[0].held is not None

    @property
    def packed(self) -> bool:
        return self.tuning.packed

    @cached_property
    def _axes(self) -> tuple[Axis, Axis]:
        return axes(self.op, self.input.shape, self.output.shape)

    @property
    def zero_point(self) -> int:
        return self.input.quant.zero_point

    @property
    def has_edges(self) -> bool:
        """Whether the bias depends on the row."""
        return self.zero_point != 0 and self._axes[0].padded

    @cached_property
    def _requantizers(self) -> Any:
        return requantizers(self.graph, self.node)

    @property
    def header_words(self) -> int:
        """Bias and multiplier; then leaky_relu's second one, or what :attr:`narrow` adds in front of its shift."""
        return 3 if self._requantizers.leaky or self.narrow else 2

    @property
    def edge_words(self) -> int:
        return self.op.kernel[0] + 1 if self.has_edges else 0

    @property
    def shifts(self) -> int:
        """Bytes in front of the taps: the shifts that belong to the multipliers."""
        return 2 if self._requantizers.leaky else 1

    @property
    def staged_bytes(self) -> int:
        """Bytes of a strip behind its header; each becomes a word of scratch."""
        return self.shifts + self.op.kernel[0] * self.op.kernel[1]

    @property
    def scratch_bytes(self) -> int:
        return 4 * (self.header_words + self.edge_words + self.staged_bytes)

    @property
    def rectified(self) -> bool:
        """Whether nothing under the output's zero point is left by the clamp."""
        return int(self.graph.constant(self.node, "clamp")[0]) >= self.output.quant.zero_point

    @cached_property
    def narrow(self) -> bool:
        """Whether one upper half of a product gives the requantized value.

        With ``u = (4 * acc * q) >> 32``, the first rounding is ``t = (u + 1) >> 1`` and the second ``(t + 2^(n-1) -
        (t < 0)) >> n``; together ``(u + 1 + 2^n - 2 * (u < 0)) >> (n + 1)``, to which the zero point may be added in
        front of the shift. Where the clamp hides negative values, ``u < 0`` need not be looked at. All of it has to
        stay within int32.
        """
        q, e = self._scales
        upper = (4 * self._bound * q >> 32) + 3
        half = abs(1 + 2 * self.output.quant.zero_point) * (1 << np.maximum(-e, 0)) + 1
        fits = (e < 0) & (self._bound < 2**29) & (upper + half < 2**31)
        return not self._requantizers.leaky and bool(fits.all())

    @cached_property
    def _bound(self) -> np.ndarray:
        """int64 (out,): the largest magnitude of each channel's accumulator."""
        weight = self._weight.astype(np.int64)
        return np.abs(self.graph.constant(self.node, "bias").astype(np.int64)) + 255 * np.abs(weight).sum(axis=(1, 2))

    @cached_property
    def _scales(self) -> tuple[np.ndarray, np.ndarray]:
        """int64 (out,) each: multiplier and exponent. A channel that gives 0 whatever its input has (0, -1), so that
        it does not decide over the others."""
        r = self._requantizers
        q, e = (np.broadcast_to(array, self._bound.shape).astype(np.int64) for array in (r.multiplier, r.exponent))
        largest = (self._bound * np.abs(q) >> 31) + 2
        idle = (self._bound == 0) | (q == 0) | (2 * largest < 1 << np.maximum(-e, 0))
        return np.where(idle, 0, q), np.where(idle, -1, e)

    @cached_property
    def _weight(self) -> np.ndarray:
        """(out, ky, kx) int32."""
        return self.graph.constant(self.node, "weight")[:, 0].astype(np.int32)

    def tables(self) -> tuple[Table, ...]:
        """A strip a channel: bias, multipliers, then bytes: shifts and taps, four a word."""
        r, count = self._requantizers, len(self._weight)
        biases = folded_biases(self.graph, self.node, 0 if self.has_edges else self.zero_point)
        scales = [self._scales if self.narrow else (r.multiplier, r.exponent)]
        if r.leaky:
            scales.append((r.negative_multiplier, r.negative_exponent))
        words = []
        for oc, taps in enumerate(self._weight.reshape(count, -1)):
            words += [int(biases[oc]), *(int(q[oc % len(q)]) for q, _ in scales)]
            shifts = [int(-e[oc % len(e)]) + (1 if self.narrow else 0) for _, e in scales]
            words += _words_of_bytes([*shifts, *map(int, taps)])
        comment = f"{count} strips of one channel: bias, multiplier, then bytes: shift and taps in (ky, kx) order"
        values = np.array([word & 0xFFFFFFFF for word in words], np.uint32)
        return (Table(f"{self.name}_weights", "uint32_t", values, comment),)

    @property
    def _most(self) -> tuple[int, ...]:
        """Most positions of a block, where a row is one block, two, or more."""
        if not self.packed:
            return (PLAIN_POSITIONS,)
        return tuple(min(most, max(2, PACKED_PRODUCTS // self.op.kernel[1] * 2)) for most in PACKED_POSITIONS)

    @cached_property
    def outputs(self) -> int:
        """Of a block."""
        return outputs_of_a_block(self._axes[1], self._most, self.packed)

    @cached_property
    def sections(self) -> list[Section]:
        return sections_of(self._axes[1], self.outputs, self._most[0], self.packed)

    @property
    def reads(self) -> bool:
        """Whether any tap lies inside the map."""
        return any(section.reads for section in self.sections)

    @property
    def sums(self) -> bool:
        """Whether there is anything to add to the bias."""
        return self.reads or self.zero_point != 0

    def column(self, position: int, tap: int) -> int:
        """The map column that a tap reads, from where the block's first position begins."""
        return position * self.op.stride[1] + tap * self.op.dilation[1]

    def _columns(self, run: Run, part: Part) -> list[int]:
        """Those inside the map that a part reads."""
        return sorted({self.column(j, tap) for j in part.positions for tap in run.inside(j)})

    def origin(self, run: Run, part: Part) -> int | None:
        """The column at which the row pointer stands, so that a load can reach all others; None where none is read."""
        read = self._columns(run, part)
        if not read:
            return None
        far = (read[-1] - read[0]) * self.input.shape[0] > LOAD_REACH
        return (read[0] + read[-1]) // 2 if far else read[0]

    def row_text(self, run: Run, part: Part) -> tuple[list[str], Mapping[str, Sequence[str]]]:
        """C: a kernel row's products at all positions of a part, and its variables that are not declared there."""
        if not self.packed:
            return self._plain_row(run, part), {}
        loop = straight(list(self._products(run, part)), self.tuning.mul_cycles)
        return loop.text(COLUMNS), loop.locals

    def _pixel(self, run: Run, part: Part, column: int) -> str:
        return f"r[{(column - self.origin(run, part)) * self.input.shape[0]}]"

    def _plain_row(self, run: Run, part: Part) -> list[str]:
        """Each pixel is loaded once; beside the map it is the zero point."""
        names = {column: f"x{n}" for n, column in enumerate(self._columns(run, part))}
        lines: dict[str, list[str]] = {name: [] for name in names.values()}
        beside: list[str] = []
        used: set[int] = set()
        for j, tap in itertools.product(part.positions, range(self.op.kernel[1])):
            if tap in run.inside(j):
                name = names[self.column(j, tap)]
                lines[name].append(f"a{j} += w{tap} * {name};")
            elif self.zero_point:
                sign = "+" if self.zero_point > 0 else "-"
                beside.append(f"a{j} {sign}= w{tap} * {abs(self.zero_point)};")
            else:
                continue
            used.add(tap)
        pixels = {name: f"const int32_t {name} = {self._pixel(run, part, column)};" for column, name in names.items()}
        weights = [f"const int32_t w{tap} = (int32_t)w[{tap}];" for tap in sorted(used)]
        return [*weights, *(text for name in lines for text in (pixels[name], *lines[name])), *beside]

    def _products(self, run: Run, part: Part) -> Iterator[Statement]:
        """A pair after the other, so that the words of pixels are used soon after they are made."""
        made: set[str] = set()
        for pair in [*part.pairs, *((j,) for j in part.singles)]:
            operands = {tap: self._operand(run, part, pair, tap) for tap in range(self.op.kernel[1])}
            taps = [tap for tap, (name, _) in operands.items() if name]
            for group in self._groups(taps, len(pair) == 2):
                for statement in self._sum(pair, group, operands):
                    if statement.adds or statement.target not in made:
                        made.add(statement.target)
                        yield statement

    def _operand(self, run: Run, part: Part, pair: Sequence[int], tap: int) -> tuple[str, list[Statement]]:
        """What a tap is multiplied by at a pair of positions, or at one: its name, and the statements that make it. A
        literal where all is beside the map; "" for 0."""
        columns = [self.column(j, tap) if tap in run.inside(j) else None for j in pair]
        first = min(self._columns(run, part), default=0)
        names = [f"x{column - first}" if column is not None else "" for column in columns]
        loads = [
            Statement(name, f"(uint32_t){self._pixel(run, part, column)}", (), "feed", LOAD_BYTE)
            for name, column in zip(names, columns, strict=True)
            if column is not None
        ]
        beside = sum(self.zero_point << 16 * n for n, name in enumerate(names) if not name) & 0xFFFFFFFF
        literal = f"0x{beside:08X}u" if beside else ""
        if not loads:
            return literal, []
        low, high = names[0], names[1] if len(names) > 1 else ""
        if not high and not literal:
            return low, loads
        shifted = f"({high} << 16)" if high and (low or literal) else f"{high} << 16" if high else ""
        value = " + ".join(term for term in (low, shifted, literal) if term)
        made = f"d{low[1:]}_{high[1:]}"
        issue = value.count("+") + value.count("<<")
        return made, [*loads, Statement(made, value, tuple(name for name in names if name), "feed", 1, issue)]

    def _groups(self, taps: list[int], split: bool) -> list[list[int]]:
        """Taps whose products may be added in one word; where it is not split, all."""
        if not split or not taps:
            return [taps] if taps else []
        return tap_groups(self._weight[:, :, taps].reshape(-1, len(taps)), taps)

    def _sum(self, pair: Sequence[int], taps: list[int], operands: Mapping[int, Any]) -> Iterator[Statement]:
        """The products of a few taps at a pair of positions, added up in one word, and its two halves."""
        j, total = pair[0], ""
        for tap in taps:
            name, statements = operands[tap]
            yield Statement(f"w{tap}", f"w[{tap}]", (), "feed", LOAD_WORD)
            yield from statements
            reads = (f"w{tap}", *((name,) if statements else ()))
            product = f"m{j}_{tap}"
            yield Statement(product, f"w{tap} * {name}", reads, "mul", self.tuning.mul_cycles)
            if len(pair) == 1:
                yield Statement(f"s{j}", product, (product,), adds=True)
            elif total:
                yield Statement(f"p{j}_{tap}", f"{total} + {product}", (total, product))
                total = f"p{j}_{tap}"
            else:
                total = product
        if len(pair) == 1:
            return
        half, upper = f"h{j}_{taps[0]}", f"u{j}_{taps[0]}"
        yield Statement(f"s{j}", total, (total,), adds=True)
        yield Statement(half, f"{total} + 0x8000u", (total,))
        yield Statement(upper, f"(int32_t){half} >> 16", (half,), ctype="int32_t")
        yield Statement(f"c{j}", upper, (upper,), adds=True)

    def variables(self) -> Mapping[str, Any]:
        op, (rows, columns) = self.op, self._axes
        return {
            "rows": rows,
            "columns": columns,
            "held": rows.held if self.rows_apart else None,
            "pooled": op.pool is not None,
            "outputs": self.outputs,
            "always": all(rows.taps(position) for position in range(rows.conv)),
            "monotone": op.activation is None or op.activation.monotone,
            "requantizer": self._requantizers,
            "clamp": [int(v) for v in self.graph.constant(self.node, "clamp")],
            "zero_out": self.output.quant.zero_point,
            "edge_at": self.header_words,
            "staged_at": self.header_words + self.edge_words,
            "weights_at": self.header_words + self.edge_words + self.shifts,
        }


def _words_of_bytes(values: list[int]) -> list[int]:
    """Four signed bytes a word, from the lowest on; the last word is filled with 0."""
    filled = [value & 0xFF for value in values] + [0] * (-len(values) % 4)
    return [a | b << 8 | c << 16 | d << 24 for a, b, c, d in zip(*(filled[n::4] for n in range(4)), strict=True)]
