"""int8 pooling without a convolution in front: maximum, mean, and mean over adaptive windows.

A small window that never leaves the map is written out, tap for tap. Where windows leave the map, a row of outputs
falls into runs of windows that have the same columns on it, which are written out, in a loop over the rows on the map.
Any other window is a loop over its taps, whose bounds are worked out once a pixel, not once a channel. Means divide by
a literal where all windows count alike, else they multiply by a reciprocal that is exact for every sum that can occur.

Outputs are written in order. Output (py, px) is at place ``py * OW + px``; it and all later ones read from row ``py *
stride - padding`` and column ``px * stride - padding`` on. Where these are at least py and px, nothing is overwritten
before it has been read, and the kernel works in place (paper, section 3.1), whether windows overlap or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from uc_nn_pio.emit.kernels.base import Kernel, added_row_by_row, vars_of
from uc_nn_pio.emit.kernels.conv_geometry import Axis, Span, window_axes
from uc_nn_pio.graph.ops import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d, Op
from uc_nn_pio.schedule.rows import RowNeed

MOST_UNROLLED = 9
"""Taps of a window that is written out."""

RECIPROCAL_BITS = 24
MOST_BY_RECIPROCAL = 361
"""``(a * (2^24 / n + 1)) >> 24`` is ``a / n`` in uint32 while ``a * n < 2^24``; a is at most 128.5 * n."""


def _writes_behind_its_reads(kernel: Kernel, starts: tuple[Callable[[int], int], Callable[[int], int]]) -> bool:
    """Whether outputs in order may lie on the input's bytes; ``starts``: the first row, and column, of a window."""
    _, rows, columns = kernel.output.shape
    forward = all(start(p) >= p for start, count in zip(starts, (rows, columns), strict=True) for p in range(count))
    return forward and columns <= kernel.input.shape[2]


@dataclass(frozen=True)
class Run:
    """Windows ``first`` .. ``last`` of a row, all alike: the kernel's columns on the map, and how many count."""

    first: int
    last: int
    taps: Span
    counted: int


@dataclass(frozen=True)
class _WindowInt8(Kernel):
    """What windows of one size have in common."""

    @cached_property
    def axes(self) -> tuple[Axis, Axis]:
        return window_axes(self.op, self.input.shape, self.output.shape)

    @property
    def cost_class(self) -> str:
        return super().cost_class + (" at edges" if self.clipped else "")

    @property
    def row_need(self) -> RowNeed:
        return self.axes[0].need

    @property
    def uses_row(self) -> bool:
        return not self.rows_apart or self.axes[0].held is not None

    @property
    def clipped(self) -> bool:
        """Whether any window has a tap outside the map."""
        return any(axis.padded for axis in self.axes)

    @property
    def taps(self) -> int:
        return self.op.kernel[0] * self.op.kernel[1]

    @property
    def in_place(self) -> bool:
        rows, columns = self.axes
        return _writes_behind_its_reads(
            self, (lambda p: max(0, p * rows.stride - rows.pad), lambda p: max(0, p * columns.stride - columns.pad))
        )

    @property
    def helpers(self) -> frozenset[str]:
        rows, columns = self.axes
        return frozenset({"taps"}) if rows.padded or (columns.padded and not self.runs) else frozenset()

    def variables(self) -> Mapping[str, Any]:
        rows, columns = self.axes
        held = rows.held if self.rows_apart else None
        unrolled = not self.clipped and self.taps <= MOST_UNROLLED
        return {"rows": rows, "columns": columns, "held": held, "unrolled": unrolled, "runs": self.runs}

    @property
    def runs(self) -> list[Run]:
        """Where windows leave the map: those of a row, by what they have on it. None of windows that are too wide."""
        columns, found = self.axes[1], []
        if not self.clipped or columns.kernel > MOST_UNROLLED:
            return []
        for px in range(columns.out):
            kind = (columns.taps(px), self._counts_at(px))
            if found and (found[-1].taps, found[-1].counted) == kind:
                found[-1] = replace(found[-1], last=px)
            else:
                found.append(Run(px, px, *kind))
        return found

    def _counts_at(self, px: int) -> int:
        """What counts of a window along its row, where that matters."""
        return 0


@dataclass(frozen=True)
class MaxPool2dInt8(_WindowInt8):
    op_type: ClassVar[type[Op]] = MaxPool2d
    template: ClassVar[str] = "max_pool2d_int8.c.j2"


@dataclass(frozen=True)
class AvgPool2dInt8(_WindowInt8):
    """A padded pixel that counts is the zero point. A ``divisor_override`` requantizes the sum of real values."""

    op_type: ClassVar[type[Op]] = AvgPool2d
    template: ClassVar[str] = "avg_pool2d_int8.c.j2"

    @property
    def helpers(self) -> frozenset[str]:
        return super().helpers | ({self._requantizer} if self.op.divisor_override is not None else frozenset())

    def shallower(self) -> GlobalAvgPool2dInt8 | None:
        whole = self.op.kernel == self.input.shape[1:] and self.output.shape[1:] == (1, 1) and not self.clipped
        return GlobalAvgPool2dInt8(**vars_of(self)) if whole and self.rows_apart else None

    @property
    def _requantizer(self) -> str:
        """The function of ``math_int8.c.j2`` for a divisor of its own: the shorter one where it gives the same bits."""
        exponent = int(self.graph.constant(self.node, "exponent")[0])
        fits = exponent < 0 and 255 * self.taps + (1 << -exponent - 1) < 2**31
        return "requantize" if fits else "requantize_any"

    def _counts_at(self, px: int) -> int:
        return self._counted[1][px]

    @cached_property
    def _counted(self) -> tuple[list[int], list[int]]:
        """What counts of each window, by row and by column: taps on the map, or on the padding as well."""
        after = (self.op.padding.bottom, self.op.padding.right)
        counts = []
        for axis, behind in zip(self.axes, after, strict=True):
            if self.op.count_include_pad:
                starts = [p * axis.stride - axis.pad for p in range(axis.out)]
                counts.append([min(axis.kernel, axis.size + behind - start) for start in starts])
            else:
                counts.append([len(axis.taps(p)) for p in range(axis.out)])
        return counts[0], counts[1]

    def variables(self) -> Mapping[str, Any]:
        op = self.op
        counts = [counts[0] if len(set(counts)) == 1 else None for counts in self._counted]
        most = max(self._counted[0]) * max(self._counted[1])
        more: dict[str, Any] = {
            "zero": self.input.quant.zero_point,
            "counts": counts,
            "count": counts[0] * counts[1] if None not in counts else None,
            "reciprocal": most <= MOST_BY_RECIPROCAL,
            "requantizer": None,
        }
        if op.divisor_override is not None:
            q, e, clamp = (self.graph.constant(self.node, role) for role in ("multiplier", "exponent", "clamp"))
            zero = self.output.quant.zero_point
            more["requantizer"] = f"{self.prefix}_{self._requantizer}"
            more["requantize_with"] = ", ".join(str(int(v)) for v in (q[0], -e[0], zero, *clamp))
        return {**super().variables(), **more}


@dataclass(frozen=True)
class GlobalAvgPool2dInt8(AvgPool2dInt8):
    """The mean of a whole map whose rows come one by one; its sums, a word a channel, wait in the output's place."""

    template: ClassVar[str] = "global_avg_pool2d_int8.c.j2"

    @property
    def row_need(self) -> RowNeed | None:
        return added_row_by_row(self.input)

    @property
    def uses_row(self) -> bool:
        return True

    @property
    def held_bytes(self) -> int:
        return 4 * self.output.elements

    def shallower(self) -> None:
        return None


@dataclass(frozen=True)
class AdaptiveAvgPool2dInt8(Kernel):
    """Windows of unlike size, none of which leaves the map."""

    op_type: ClassVar[type[Op]] = AdaptiveAvgPool2d
    template: ClassVar[str] = "adaptive_avg_pool2d_int8.c.j2"

    @property
    def in_place(self) -> bool:
        (_, height, width), (_, rows, columns) = self.input.shape, self.output.shape
        return _writes_behind_its_reads(self, (lambda p: p * height // rows, lambda p: p * width // columns))

    def variables(self) -> Mapping[str, Any]:
        (_, height, width), (_, rows, columns) = self.input.shape, self.output.shape
        most = (-(-height // rows) + 1) * (-(-width // columns) + 1)
        return {"reciprocal": most <= MOST_BY_RECIPROCAL}
