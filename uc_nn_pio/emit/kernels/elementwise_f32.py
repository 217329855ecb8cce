"""float32 operators that see one element, or one vector of channels, at a time: all work in place. And the permute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from uc_nn_pio.emit.kernels.base import Kernel, each_row, helpers_of
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import Activation, LogSoftmax, Op, Permute, Softmax
from uc_nn_pio.schedule.rows import RowNeed


@dataclass(frozen=True)
class ActivationF32(Kernel):
    op_type: ClassVar[type[Op]] = Activation
    template: ClassVar[str] = "activation_f32.c.j2"

    @property
    def row_need(self) -> RowNeed | None:
        return each_row(self.input)

    @property
    def uses_row(self) -> bool:
        return not self.rows_apart

    @property
    def in_place(self) -> bool:
        return True

    @property
    def helpers(self) -> frozenset[str]:
        return helpers_of(self.op)


@dataclass(frozen=True)
class SoftmaxF32(Kernel):
    """Over a vector, or over the channels of each pixel of a map (contiguous in HWC)."""

    op_type: ClassVar[type[Op]] = Softmax
    template: ClassVar[str] = "softmax_f32.c.j2"

    @property
    def in_place(self) -> bool:
        return True

    @property
    def helpers(self) -> frozenset[str]:
        return frozenset({"exp", "log"}) if isinstance(self.op, LogSoftmax) else frozenset({"exp"})

    def variables(self) -> Mapping[str, Any]:
        if self.op.axis != 0:
            raise UnsupportedError(
                f"{self.op.kind} over axis {self.op.axis} of a map",
                where=str(self.node.source),
                why="it is computed over channels only (dim=1 of a batch)",
                next_step=f"use {self.op.kind} with dim=1, or apply it after the network",
            )
        count = self.input.shape[0]
        return {"count": count, "vectors": self.input.elements // count, "log": isinstance(self.op, LogSoftmax)}


@dataclass(frozen=True)
class LogSoftmaxF32(SoftmaxF32):
    op_type: ClassVar[type[Op]] = LogSoftmax


@dataclass(frozen=True)
class PermuteF32(Kernel):
    """A copy between memory order HWC and torch's CHW; nothing at all where the bytes stay (order ``same``)."""

    op_type: ClassVar[type[Op]] = Permute
    template: ClassVar[str] = "permute_f32.c.j2"

    @property
    def in_place(self) -> bool:
        return self.op.order == "same"

    @property
    def free_in_place(self) -> bool:
        return self.op.order == "same"

    def variables(self) -> Mapping[str, Any]:
        if self.op.order == "same":
            return {"outer": self.output.elements, "inner": 1}
        to_chw = self.op.order == "hwc_to_chw"
        channels, height, width = self.input.shape if to_chw else self.output.shape
        outer, inner = (channels, height * width) if to_chw else (height * width, channels)
        return {"outer": outer, "inner": inner}
