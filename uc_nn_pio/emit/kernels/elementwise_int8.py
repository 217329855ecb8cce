"""int8 operators that see one element, or one vector of channels, at a time: all work in place. And the permute.

A table that is looked up more often than copying it costs is copied to scratch first. On the boards that this is made
for, a word of flash takes 268 core cycles behind the one before it, else 550: n words cost as much as n / 2 lookups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from uc_nn_pio.emit.kernels.base import Kernel, Table, each_row
from uc_nn_pio.emit.kernels.elementwise_f32 import PermuteF32, SoftmaxF32
from uc_nn_pio.graph.ops import Activation, LogSoftmax, Op, Permute, Softmax
from uc_nn_pio.schedule.rows import RowNeed

MOST_SHIFT = 22
"""Of a line: ``factor`` has about as many bits behind the point; more do not fit beside an int8 in int32."""


@dataclass(frozen=True)
class IntegerLine:
    """``(x * factor + offset) >> shift`` for an int8 x, in int32."""

    factor: int
    offset: int
    shift: int

    def values(self, x: np.ndarray) -> np.ndarray:
        return (x * self.factor + self.offset) >> self.shift


def line_of(x: np.ndarray, y: np.ndarray, low: int, high: int, slope: float) -> IntegerLine | None:
    """A line that gives ``y`` at ``x``, int64 (n,) each, once it is clamped to ``low`` .. ``high``; None if there is
    none that int32 can compute. ``slope`` is what it is made from; the values are rounded."""
    free_below, free_above = y <= low, y >= high
    for shift in range(MOST_SHIFT + 1):
        one = 1 << shift
        for factor in sorted(range(round(slope * one) - 2, round(slope * one) + 3), key=lambda f: abs(f - slope * one)):
            least = (y * one - x * factor)[~free_below].max(initial=-(2**30))
            most = ((y + 1) * one - 1 - x * factor)[~free_above].min(initial=2**30)
            if least <= most and abs(factor) * 128 + max(abs(least), abs(most)) < 2**31:
                return IntegerLine(factor, int(least + most) // 2, shift)
    return None


@dataclass(frozen=True)
class ActivationInt8(Kernel):
    """The values of the node's table: by one or two lines where these give the same, else looked up."""

    op_type: ClassVar[type[Op]] = Activation
    template: ClassVar[str] = "activation_int8.c.j2"

    in_flash: bool = False
    """Not to copy the table, whatever it costs."""

    @property
    def row_need(self) -> RowNeed | None:
        return each_row(self.input)

    @property
    def uses_row(self) -> bool:
        return not self.rows_apart

    @property
    def in_place(self) -> bool:
        return True

    @cached_property
    def _by_value(self) -> np.ndarray:
        """int64 (256,): the values of -128 .. 127."""
        table = self.graph.constant(self.node, "table").astype(np.int64)
        return np.concatenate([table[128:], table[:128]])

    @cached_property
    def lines(self) -> tuple[IntegerLine, ...]:
        """One line for all values; or one from the zero point on and one below it; or none."""
        if self.op.function not in ("relu", "relu6", "leaky_relu"):
            return ()
        x, y, zero = np.arange(-128, 128), self._by_value, self.input.quant.zero_point
        low, high = self.range
        slope = float(self.input.quant.scale) / float(self.output.quant.scale)
        if line := line_of(x, y, low, high, slope):
            return (line,)
        ends = (x >= zero, slope), (x < zero, slope * self.op.slope)
        found = [line_of(x[part], y[part], low, high, its_slope) for part, its_slope in ends]
        return tuple(line for line in found if line) if all(found) else ()

    @property
    def range(self) -> tuple[int, int]:
        return int(self._by_value.min()), int(self._by_value.max())

    @property
    def staged(self) -> bool:
        """Whether the table is copied to scratch."""
        return not self.lines and not self.in_flash and self.output.elements > 64 // 2

    @property
    def scratch_bytes(self) -> int:
        return 256 if self.staged else 0

    def smaller(self) -> ActivationInt8 | None:
        return replace(self, in_flash=True) if self.staged else None

    def tables(self) -> tuple[Table, ...]:
        if self.lines:
            return ()
        own = self.graph.constant(self.node, "table").view(np.uint8).astype(np.uint32).reshape(64, 4)
        words = own[:, 0] | own[:, 1] << 8 | own[:, 2] << 16 | own[:, 3] << 24
        comment = f"{self.op.title} of each int8, by its unsigned byte; four to a word"
        return (Table(f"{self.name}_table", "uint32_t", words, comment),)

    def variables(self) -> Mapping[str, Any]:
        x, (low, high) = np.arange(-128, 128), self.range
        zero = self.input.quant.zero_point
        if not self.lines:
            return {}
        raw = self.lines[0].values(x)
        if len(self.lines) > 1:
            raw = np.where(x < zero, self.lines[1].values(x), raw)
        return {
            "zero": zero,
            "low": low if (raw < low).any() else None,
            "high": high if (raw > high).any() else None,
        }


@dataclass(frozen=True)
class SoftmaxInt8(SoftmaxF32):
    """Terms from a table of exponentials, whose zeros at the end are left out.

    Each element looks up its term once: either the table is copied to scratch, or softmax keeps its terms there.
    """

    op_type: ClassVar[type[Op]] = Softmax
    template: ClassVar[str] = "softmax_int8.c.j2"

    in_flash: bool = False
    """Not to copy the table, whatever it costs."""

    @property
    def helpers(self) -> frozenset[str]:
        return frozenset()

    @cached_property
    def _exponentials(self) -> np.ndarray:
        own = self.graph.constant(self.node, "exponentials")
        return own[: max(1, np.count_nonzero(own))]

    @property
    def staged(self) -> bool:
        return not self.in_flash and self.output.elements > len(self._exponentials) // 2

    @property
    def scratch_bytes(self) -> int:
        if self.staged:
            return 4 * len(self._exponentials)
        return 0 if isinstance(self.op, LogSoftmax) else 4 * self.input.shape[0]

    def smaller(self) -> SoftmaxInt8 | None:
        kernel = replace(self, in_flash=True)
        return kernel if kernel.scratch_bytes < self.scratch_bytes else None

    def tables(self) -> tuple[Table, ...]:
        bits = int(self._exponentials[0]).bit_length() - 1
        comment = f"2^{bits} * exp(-{float(self.input.quant.scale):.6g} * i)"
        return (Table(f"{self.name}_exponentials", "uint32_t", self._exponentials, comment),)

    def variables(self) -> Mapping[str, Any]:
        return {**super().variables(), "terms": len(self._exponentials)}


@dataclass(frozen=True)
class LogSoftmaxInt8(SoftmaxInt8):
    op_type: ClassVar[type[Op]] = LogSoftmax

    def tables(self) -> tuple[Table, ...]:
        segments = self.graph.constant(self.node, "logarithms")[:-1]
        comment = "16 * ln(1 + i / 64) in units of 2^-16"
        return (*super().tables(), Table(f"{self.name}_logarithms", "uint32_t", segments, comment))

    def variables(self) -> Mapping[str, Any]:
        return {
            **super().variables(),
            "bits": int(self._exponentials[0]).bit_length() - 1,
            "step": int(self.graph.constant(self.node, "step")[0]),
            "doubling": int(self.graph.constant(self.node, "logarithms")[-1]),
        }


@dataclass(frozen=True)
class PermuteInt8(PermuteF32):
    op_type: ClassVar[type[Op]] = Permute
    template: ClassVar[str] = "permute_int8.c.j2"
