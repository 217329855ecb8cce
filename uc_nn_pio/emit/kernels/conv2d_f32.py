"""float32 convolution, with the activation and the max-pool behind it fused in (paper, section 3.1).

One output channel at a time: its bias and weights are copied from flash into scratch once, so that every weight word is
read from flash once an inference, in address order; then the whole map is computed with them. The sums of one pool
window are held in variables at once, so each weight is loaded from RAM once a window. Unlike the paper's author's code
the maximum does not start at 0 (no ReLU needed in front), and maps need not be square. Windows that touch padding, or
that are cut off, go through a second path with tests; the inner path has none.

Sum order: bias, then (ky, kx, c).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from uc_nn_pio.emit.expressions import held_row
from uc_nn_pio.emit.kernels.base import Kernel, Table, bias_in_front, helpers_of
from uc_nn_pio.emit.kernels.conv_geometry import Axis, axes
from uc_nn_pio.graph.ops import Conv2d, MaxPool2d, Op
from uc_nn_pio.schedule.rows import RowNeed

# Sums of a window that are worth holding at once: more only spill, and soft-float calls dominate anyway.
MAX_BLOCK = 9


@dataclass(frozen=True)
class Span:
    """Half-open range of pooled rows or columns."""

    lo: int
    hi: int

    def __bool__(self) -> bool:
        return self.hi > self.lo


@dataclass(frozen=True)
class Conv2dF32(Kernel):
    op_type: ClassVar[type[Op]] = Conv2d
    template: ClassVar[str] = "conv2d_f32.c.j2"

    @property
    def pool(self) -> MaxPool2d:
        return self.op.pool or MaxPool2d(kernel=(1, 1), stride=(1, 1))

    @property
    def group_channels(self) -> int:
        return self.input.shape[0] // self.op.groups

    @property
    def taps(self) -> int:
        return self.op.kernel[0] * self.op.kernel[1] * self.group_channels

    @property
    def scratch_bytes(self) -> int:
        return 4 * self.taps

    @property
    def hides_table(self) -> bool:
        return self.output.shape[0] == 1

    @cached_property
    def _rows(self) -> Axis:
        return axes(self.op, self.input.shape, self.output.shape)[0]

    @property
    def row_need(self) -> RowNeed:
        return self._rows.need

    @property
    def uses_row(self) -> bool:
        return not self.rows_apart or self._held is not None

    @property
    def _held(self) -> str | None:
        """As :attr:`Axis.held`; also wherever there is a path with tests."""
        if not self.rows_apart or not self._paths["has_border"]:
            return None
        return held_row(self._rows.need.step, self._rows.need.top)

    @property
    def helpers(self) -> frozenset[str]:
        return helpers_of(self.op.activation)

    def tables(self) -> tuple[Table, ...]:
        """A strip an output channel: bias, then taps in (ky, kx, c) order."""
        weight = self.graph.constant(self.node, "weight")
        bias = self.graph.constant(self.node, "bias")
        values = bias_in_front(weight.transpose(0, 2, 3, 1), bias).ravel()
        comment = f"{weight.shape[0]} strips of 1 bias and {self.taps} weights in (ky, kx, c) order"
        return (Table(f"{self.name}_weights", "float", values, comment),)

    def variables(self) -> Mapping[str, Any]:
        return {**self._paths, "held": self._held}

    @cached_property
    def _paths(self) -> Mapping[str, Any]:
        inner_rows, inner_columns = self._inner(0), self._inner(1)
        window = self.pool.kernel[0] * self.pool.kernel[1]
        has_inner = bool(inner_rows) and bool(inner_columns) and window <= MAX_BLOCK
        _, out_h, out_w = self.output.shape
        all_inner = has_inner and inner_rows == Span(0, out_h) and inner_columns == Span(0, out_w)
        return {
            "pool": self.pool,
            "window": [(i, j) for i in range(self.pool.kernel[0]) for j in range(self.pool.kernel[1])],
            "has_inner": has_inner,
            "has_border": not all_inner,
            "rows": inner_rows,
            "columns": inner_columns,
            "channels_per_group": self.op.conv_shape[0] // self.op.groups,
        }

    def _inner(self, axis: int) -> Span:
        """Pooled positions whose window is whole and whose every tap lies in the map, along one axis."""
        op, pool = self.op, self.pool
        size = self.input.shape[1 + axis]
        pad = (op.padding.top, op.padding.left)[axis]
        pool_pad = (pool.padding.top, pool.padding.left)[axis]
        reach = (op.kernel[axis] - 1) * op.dilation[axis]
        inner = [
            p
            for p in range(self.output.shape[1 + axis])
            for first in [p * pool.stride[axis] - pool_pad]
            for last in [first + pool.kernel[axis] - 1]
            if first >= 0
            and last < op.conv_shape[1 + axis]
            and first * op.stride[axis] - pad >= 0
            and last * op.stride[axis] - pad + reach < size
        ]
        return Span(inner[0], inner[-1] + 1) if inner else Span(0, 0)
