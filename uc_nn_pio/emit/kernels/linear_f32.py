"""float32 fully connected layer: weights are read once, in address order, each output's bias in front of its row.

Behind a map, rows may come one by one: the sums so far wait in the output itself, and take their terms in the same
order as all at once. The table is in the order of the rows then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from uc_nn_pio.emit.kernels.base import Kernel, Table, added_row_by_row, bias_in_front, helpers_of
from uc_nn_pio.graph.ops import Linear, Op
from uc_nn_pio.schedule.rows import RowNeed


@dataclass(frozen=True)
class LinearF32(Kernel):
    op_type: ClassVar[type[Op]] = Linear
    template: ClassVar[str] = "linear_f32.c.j2"

    @property
    def row_need(self) -> RowNeed | None:
        return added_row_by_row(self.input)

    @property
    def passes(self) -> int:
        return 1

    @property
    def rows(self) -> int:
        """Rows in which the inputs come."""
        return self.input.shape[1] if self.rows_apart else 1

    @property
    def helpers(self) -> frozenset[str]:
        return helpers_of(self.op.activation)

    def tables(self) -> tuple[Table, ...]:
        """A row an output: bias, then weights in the input's memory order."""
        weight = self.graph.constant(self.node, "weight")
        bias = self.graph.constant(self.node, "bias")
        first, *others = np.split(weight, self.rows, axis=1)
        values = np.concatenate([bias_in_front(first, bias).ravel(), *(row.ravel() for row in others)])
        comment = f"{weight.shape[0]} rows of 1 bias and {weight.shape[1]} weights in the input's memory order"
        if self.rows_apart:
            comment = f"for each of {self.rows} rows of inputs, {first.shape[1]} weights an output; first with biases"
        return (Table(f"{self.name}_weights", "float", values, comment),)
