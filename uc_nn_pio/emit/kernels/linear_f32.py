"""float32 fully connected layer: weights are read once, in address order, each output's bias in front of its row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from uc_nn_pio.emit.kernels.base import Kernel, Table, bias_in_front, helpers_of
from uc_nn_pio.graph.ops import Linear, Op


@dataclass(frozen=True)
class LinearF32(Kernel):
    op_type: ClassVar[type[Op]] = Linear
    template: ClassVar[str] = "linear_f32.c.j2"

    @property
    def helpers(self) -> frozenset[str]:
        return helpers_of(self.op.activation)

    def tables(self) -> tuple[Table, ...]:
        """A row an output: bias, then weights in the input's memory order."""
        weight = self.graph.constant(self.node, "weight")
        bias = self.graph.constant(self.node, "bias")
        values = bias_in_front(weight, bias).ravel()
        comment = f"{weight.shape[0]} rows of 1 bias and {weight.shape[1]} weights in the input's memory order"
        return (Table(f"{self.name}_weights", "float", values, comment),)
