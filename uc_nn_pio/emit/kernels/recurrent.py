"""LSTM, GRU and plain recurrent layers: a row of the input after the other, a unit's gates at a time.

The table of a unit is read once a row, in address order. What a row hands to the next, its output and the cell or state
behind that, lies in scratch, or has a place of its own in the context where it is carried from run to run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from uc_nn_pio.emit.kernels.base import Kernel, Table
from uc_nn_pio.emit.kernels.packing import words_of_inputs
from uc_nn_pio.graph.ops import Op, Recurrent


@dataclass(frozen=True)
class _Recurrent(Kernel):
    op_type: ClassVar[type[Op]] = Recurrent

    @property
    def units(self) -> int:
        return self.output.shape[1]

    @property
    def width(self) -> int:
        """Elements of a row of the input."""
        return self.input.shape[1]

    @property
    def kept_bytes(self) -> int:
        """Of what a row hands to the next."""
        raise NotImplementedError

    @property
    def passes(self) -> int:
        return self.output.shape[0]

    @property
    def scratch_bytes(self) -> int:
        return 0 if self.op.carried else self.kept_bytes

    @property
    def state_bytes(self) -> int:
        return self.kept_bytes if self.op.carried else 0

    def _by_unit(self, role: str) -> np.ndarray:
        """A constant as (units, gates, ...)."""
        array = self.graph.constant(self.node, role)
        return np.moveaxis(array.reshape(self.op.gates, self.units, *array.shape[1:]), 0, 1)


@dataclass(frozen=True)
class RecurrentF32(_Recurrent):
    template: ClassVar[str] = "recurrent_f32.c.j2"

    @property
    def helpers(self) -> frozenset[str]:
        each = {"rnn_relu": set(), "rnn_tanh": {"exp", "tanh"}}
        return frozenset(each.get(self.op.cell, {"exp", "sigmoid", "tanh"}))

    @property
    def has_cell(self) -> bool:
        return self.op.cell == "lstm"

    @property
    def kept_bytes(self) -> int:
        return 4 * self.units * (2 if self.has_cell else 1)

    @property
    def sums(self) -> dict[str, list[str]]:
        """The sums that the gates' weights of an input and of a state go to: a GRU's third gate has one for each."""
        if self.op.cell == "gru":
            return {"x": ["a0", "a1", "a2"], "h": ["a0", "a1", "a3"]}
        own = [f"a{gate}" for gate in range(self.op.gates)]
        return {"x": own, "h": own}

    def tables(self) -> tuple[Table, ...]:
        bias_x, bias_h = self._by_unit("bias_x"), self._by_unit("bias_h")
        if self.op.cell == "gru":
            biases = np.concatenate([bias_x[:, :2] + bias_h[:, :2], bias_x[:, 2:], bias_h[:, 2:]], axis=1)
        else:
            biases = bias_x + bias_h
        weights = [np.moveaxis(self._by_unit(role), 1, 2).reshape(self.units, -1) for role in ("weight_x", "weight_h")]
        values = np.concatenate([biases, *weights], axis=1).astype(np.float32)
        comment = f"{self.name}: a unit's biases, then of each input and of each unit the gates' weights"
        return (Table(f"{self.name}_weights", "float", values.ravel(), comment),)


GATE_STEPS = 256
"""Of the table of sigmoid from 0 to 16."""


@dataclass(frozen=True)
class RecurrentInt8(_Recurrent):
    """``docs/numerics.md``. Four inputs' weights of a gate are a word."""

    template: ClassVar[str] = "recurrent_int8.c.j2"

    @property
    def dual(self) -> bool:
        return self.tuning.dual and max(self.units, self.width) >= 4

    @property
    def helpers(self) -> frozenset[str]:
        gates = frozenset() if self.op.cell == "rnn_relu" else frozenset({"gate"})
        return gates | {"requantize_any", "rescale"} | ({"dual"} if self.dual else set())

    @property
    def has_state(self) -> bool:
        """Whether there is more to hand on than the output."""
        return self.op.cell in ("lstm", "gru")

    @property
    def kept_bytes(self) -> int:
        """The output, and a state of two bytes a unit, in whole words."""
        return -(-self.units * (3 if self.has_state else 1) // 4) * 4

    @property
    def look_ups(self) -> int:
        """Of values of sigmoid and tanh, in one inference."""
        return {"lstm": 5, "gru": 3}.get(self.op.cell, 1) * self.output.elements

    def tables(self) -> tuple[Table, ...]:
        zero_points = {"x": self.input.quant.zero_point, "h": self.output.quant.zero_point}
        words: list[int] = []
        parts = {side: self._by_unit(f"weight_{side}").astype(np.int64) for side in zero_points}
        biases = {
            side: self._by_unit(f"bias_{side}").astype(np.int64) - zero * parts[side].sum(axis=2)
            for side, zero in zero_points.items()
        }
        for unit in range(self.units):
            for side in ("x", "h"):
                words += [int(bias) & 0xFFFFFFFF for bias in biases[side][unit]]
            for side in ("x", "h"):
                rows = parts[side][unit]
                words += words_of_inputs(np.pad(rows, [(0, 0), (0, -rows.shape[1] % 4)]))
        comment = f"{self.name}: a unit's biases, then the gates' weights of four inputs or units, a word each"
        made = [Table(f"{self.name}_weights", "uint32_t", np.array(words, np.uint32), comment)]
        if "gate" in self.helpers:
            values = self.graph.constant(self.node, "sigmoid").astype(np.int64)
            steps = values[:-1] | np.diff(values) << 16
            comment = f"{self.name}: sigmoid from 0 to 16, 15 bits behind the point, and how far it is to the next"
            made.append(Table(f"{self.name}_gates", "uint32_t", steps.astype(np.uint32), comment))
        return tuple(made)

    def variables(self) -> Mapping[str, Any]:
        def of(role: str) -> list[int]:
            return [int(v) for v in self.graph.constant(self.node, role)]

        return {
            "from_x": list(zip(of("multiplier_x"), of("exponent_x"), strict=True)),
            "from_h": list(zip(of("multiplier_h"), of("exponent_h"), strict=True)),
            "to_output": (of("multiplier")[0], of("exponent")[0]),
            "zero_out": self.output.quant.zero_point,
        }
