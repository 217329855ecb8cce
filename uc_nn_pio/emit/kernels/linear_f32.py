"""float32 fully connected layer: weights are read once, in address order, each output's bias in front of its row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from uc_nn_pio.emit.kernels.base import ACTIVATION_HELPERS, Kernel, Table
from uc_nn_pio.graph.ops import Linear, Op


@dataclass(frozen=True)
class LinearF32(Kernel):
    op_type: ClassVar[type[Op]] = Linear
    template: ClassVar[str] = "linear_f32.c.j2"

    @property
    def helpers(self) -> frozenset[str]:
        return ACTIVATION_HELPERS.get(self.op.activation.function, frozenset()) if self.op.activation else frozenset()

    def tables(self) -> tuple[Table, ...]:
        """A row an output: bias, then weights in the input's memory order."""
        weight = self.graph.constant(self.node, "weight")
        bias = self.graph.constant(self.node, "bias")
        first = np.zeros((weight.shape[0], 1), np.float32) if bias is None else bias.reshape(-1, 1)
        values = np.concatenate([first, weight], axis=1).astype(np.float32).reshape(-1)
        comment = f"{weight.shape[0]} rows of 1 bias and {weight.shape[1]} weights in the input's memory order"
        return (Table(f"{self.name}_weights", "float", values, comment),)
