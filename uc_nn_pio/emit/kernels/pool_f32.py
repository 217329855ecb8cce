"""float32 pooling without a convolution in front: maximum, mean, and mean over adaptive windows.

Where the stride is at least the window, and the output has no more pixels a row than the input, output element i lies
at or before every input element that outputs from i on still need. So the kernel works in place (paper, section 3.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from uc_nn_pio.emit.expressions import held_row
from uc_nn_pio.emit.kernels.base import Kernel, added_row_by_row, vars_of
from uc_nn_pio.emit.kernels.conv_geometry import window_axes
from uc_nn_pio.graph.ops import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d, Op, Padding
from uc_nn_pio.schedule.rows import RowNeed


def _windows_do_not_overlap(kernel: Kernel, dilation: tuple[int, int] = (1, 1)) -> bool:
    op = kernel.op
    reach = [(k - 1) * d + 1 for k, d in zip(op.kernel, dilation, strict=True)]
    padding: Padding = op.padding
    return (
        all(s >= r for s, r in zip(op.stride, reach, strict=True))
        and 2 * padding.top <= op.stride[0]
        and 2 * padding.left <= op.stride[1]
        and kernel.output.shape[1] <= kernel.input.shape[1]
        and kernel.output.shape[2] <= kernel.input.shape[2]
    )


@dataclass(frozen=True)
class _WindowF32(Kernel):
    """What windows of one size have in common."""

    @property
    def dilation(self) -> tuple[int, int]:
        return getattr(self.op, "dilation", (1, 1))

    @property
    def clipped(self) -> bool:
        return _leaves_the_map(self, self.dilation)

    @property
    def cost_class(self) -> str:
        return super().cost_class + (" at edges" if self.clipped else "")

    @property
    def row_need(self) -> RowNeed:
        return window_axes(self.op, self.input.shape, self.output.shape)[0].need

    @property
    def uses_row(self) -> bool:
        return not self.rows_apart or self.clipped

    @property
    def held(self) -> str | None:
        """C for the first row of the window, where rows are tested by their number on the map."""
        need = self.row_need
        return held_row(need.step, need.top) if self.rows_apart and self.clipped else None

    @property
    def in_place(self) -> bool:
        return _windows_do_not_overlap(self, self.dilation)

    def variables(self) -> Mapping[str, Any]:
        return {"clipped": self.clipped, "held": self.held}


@dataclass(frozen=True)
class MaxPool2dF32(_WindowF32):
    op_type: ClassVar[type[Op]] = MaxPool2d
    template: ClassVar[str] = "max_pool2d_f32.c.j2"


@dataclass(frozen=True)
class AvgPool2dF32(_WindowF32):
    op_type: ClassVar[type[Op]] = AvgPool2d
    template: ClassVar[str] = "avg_pool2d_f32.c.j2"

    def variables(self) -> Mapping[str, Any]:
        divisor = self.op.divisor_override or self.op.kernel[0] * self.op.kernel[1]
        return {**super().variables(), "divisor": divisor}

    def shallower(self) -> GlobalAvgPool2dF32 | None:
        whole = self.op.kernel == self.input.shape[1:] and self.output.shape[1:] == (1, 1) and not self.clipped
        return GlobalAvgPool2dF32(**vars_of(self)) if whole and self.rows_apart else None


@dataclass(frozen=True)
class GlobalAvgPool2dF32(AvgPool2dF32):
    """The mean of a whole map whose rows come one by one; the sums wait in the output, in the order of all at once."""

    template: ClassVar[str] = "global_avg_pool2d_f32.c.j2"

    @property
    def row_need(self) -> RowNeed | None:
        return added_row_by_row(self.input)

    @property
    def uses_row(self) -> bool:
        return True

    def shallower(self) -> None:
        return None


@dataclass(frozen=True)
class AdaptiveAvgPool2dF32(Kernel):
    """Windows of unlike size may overlap by a row, so this one never works in place."""

    op_type: ClassVar[type[Op]] = AdaptiveAvgPool2d
    template: ClassVar[str] = "adaptive_avg_pool2d_f32.c.j2"


def _leaves_the_map(kernel: Kernel, dilation: tuple[int, int] = (1, 1)) -> bool:
    """Whether any window reaches into padding or past the last row or column."""
    op = kernel.op
    _, height, width = kernel.input.shape
    _, out_h, out_w = kernel.output.shape
    last_y = (out_h - 1) * op.stride[0] - op.padding.top + (op.kernel[0] - 1) * dilation[0]
    last_x = (out_w - 1) * op.stride[1] - op.padding.left + (op.kernel[1] - 1) * dilation[1]
    return op.padding.top > 0 or op.padding.left > 0 or last_y >= height or last_x >= width
