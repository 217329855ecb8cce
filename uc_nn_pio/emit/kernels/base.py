"""What a kernel is: one way to compute a node in C, with its own packing of the weights.

A kernel states its needs (scratch, whether it may work in place) before anything is scheduled, and renders its function
once the buffers have their places. Templates see the kernel as ``k`` and its buffers as :class:`View` objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from uc_nn_pio.emit.kernels.tuning import PLAIN, Tuning
from uc_nn_pio.graph.ir import Graph, Node, Tensor
from uc_nn_pio.graph.ops import Activation, Op
from uc_nn_pio.schedule.rows import RowNeed


@dataclass(frozen=True)
class Table:
    """A ``const`` array, in the order in which its kernel reads it. ``name`` is its C name without the model's."""

    name: str
    ctype: str
    values: np.ndarray
    comment: str

    @property
    def bytes(self) -> int:
        return int(self.values.size) * 4


@dataclass(frozen=True)
class View:
    """How a template addresses a buffer: ``pointer`` is a C expression; rows follow each other while a map is whole."""

    pointer: str
    tensor: Tensor

    @property
    def row_elements(self) -> int:
        channels, _, width = self.tensor.shape
        return channels * width

    def row(self, y: str) -> str:
        """C expression for the first element of row ``y``: the only way in which kernels address rows. Of a window it
        is the row behind its first one."""
        if y.isdigit():
            return f"{self.pointer} + {int(y) * self.row_elements}" if int(y) else self.pointer
        row = y if y.isidentifier() else f"({y})"
        return f"{self.pointer} + {row} * {self.row_elements}"


@dataclass(frozen=True)
class Kernel:
    """One node in C. Subclasses name their operator, template and needs.

    ``prefix`` (the model's name) starts every C name; ``name`` is the node's part of it, unique within the model.
    """

    graph: Graph
    node: Node
    prefix: str
    name: str
    tuning: Tuning = PLAIN
    rows_apart: bool = False
    """One output row a call, from a window of the input's rows (schedule ``streamed``); else the whole map."""

    op_type: ClassVar[type[Op]]
    template: ClassVar[str]

    @property
    def op(self) -> Any:
        return self.node.op

    @property
    def function(self) -> str:
        return f"{self.prefix}_{self.name}"

    @property
    def input(self) -> Tensor:
        """The only one, or the first."""
        return self.graph.tensor(self.node.inputs[0])

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return tuple(self.graph.tensor(name) for name in self.node.inputs)

    @property
    def output(self) -> Tensor:
        return self.graph.tensor(self.node.output)

    @property
    def scratch_bytes(self) -> int:
        """Bytes of RAM needed while the kernel runs, besides its input and output."""
        return 0

    @property
    def state_bytes(self) -> int:
        """Bytes of the context that keep what they hold from run to run."""
        return 0

    @property
    def state(self) -> str:
        """The buffer that holds them; no tensor can have its name."""
        return f"{self.node.name}.state"

    def smaller(self) -> Kernel | None:
        """The same result with less scratch, slower; None where there is no such kernel."""
        return None

    def shallower(self) -> Kernel | None:
        """The same result from a window of fewer rows, slower; None where there is no such kernel."""
        return None

    @property
    def row_need(self) -> RowNeed | None:
        """What the kernel needs to work row by row; None where it cannot."""
        return None

    @property
    def cost_class(self) -> str:
        """Kernels whose operations cost alike; see :mod:`uc_nn_pio.cost.parameters`."""
        return type(self).__name__

    @property
    def known_channels(self) -> int:
        """Output channels whose constants are at places that the compiler knows, so that it may put them into the
        code: those that no loop goes over."""
        return 0

    @property
    def passes(self) -> int:
        """How often the kernel begins in one inference, and reads its tables."""
        return self.row_need.out if self.rows_apart and self.row_need else 1

    @property
    def held_bytes(self) -> int:
        """Bytes of the output's place while it is being made, where they are more than the output's own."""
        return 0

    @property
    def hides_table(self) -> bool:
        """Whether the compiler must not see which table is read: it would make constants of its words, and read those
        from flash wherever they are used."""
        return False

    @property
    def uses_row(self) -> bool:
        """Whether the C has to know which row ``py`` of the output it makes. Not where every row is made alike."""
        return True

    @property
    def row_parameter(self) -> str:
        return ", int32_t py" if self.rows_apart and self.uses_row else ""

    @property
    def elements(self) -> int:
        """Elements that a call puts out: all, or a row's."""
        channels, _, width = self.output.shape if self.rows_apart else (0, 0, 0)
        return channels * width if self.rows_apart else self.output.elements

    @property
    def in_place(self) -> bool:
        """Whether the output may lie on the input's bytes."""
        return False

    @property
    def over(self) -> tuple[tuple[str, int], ...]:
        """Inputs that the output may be written over, and where they must begin; see :class:`schedule.Step`."""
        return ((self.node.inputs[0], 0),) if self.in_place else ()

    @property
    def free_in_place(self) -> bool:
        """Whether nothing is left to do, and no C is needed, where the output lies on the input's bytes."""
        return False

    @property
    def helpers(self) -> frozenset[str]:
        """Functions of ``math_f32.c.j2`` that the kernel calls."""
        return frozenset()

    def tables(self) -> tuple[Table, ...]:
        return ()

    def variables(self) -> Mapping[str, Any]:
        """What the template sees besides ``k``, ``x``, ``y`` and ``scratch``."""
        return {}


def each_row(entry: Tensor) -> RowNeed | None:
    """Of a kernel that makes each row of a map from the same one of its input; None where there are no rows."""
    return RowNeed(entry.shape[1], entry.shape[1], 1, 0, 1, entry.shape[1] - 1) if entry.is_map else None


def added_row_by_row(entry: Tensor) -> RowNeed | None:
    """Of a kernel that adds up each row of a map on its own; None where there are no rows."""
    if not entry.is_map:
        return None
    rows = entry.shape[1]
    return RowNeed(rows, rows, 1, 0, 1, rows - 1, calls=rows)


def vars_of(kernel: Kernel) -> dict[str, Any]:
    """The fields of a kernel, to make one of another class of them."""
    return {field.name: getattr(kernel, field.name) for field in fields(kernel)}


def shape_text(shape: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in shape)


_ACTIVATION_HELPERS = {
    name: frozenset(helpers.split())
    for name, helpers in {
        "sigmoid": "exp sigmoid",
        "tanh": "exp tanh",
        "hardsigmoid": "hardsigmoid",
        "hardswish": "hardsigmoid hardswish",
        "silu": "exp sigmoid silu",
        "gelu": "exp gelu",
        "gelu_tanh": "exp tanh gelu_tanh",
        "elu": "exp elu",
    }.items()
}


def helpers_of(activation: Activation | None) -> frozenset[str]:
    """Functions of ``math_f32.c.j2`` that an activation needs."""
    return _ACTIVATION_HELPERS.get(activation.function, frozenset()) if activation else frozenset()


def bias_in_front(weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Rows of float32 (out, 1 + n): each output's bias, or 0, then its weights (out, n); in reading order."""
    first = np.zeros(len(weight), np.float32) if bias is None else bias
    return np.column_stack([first, weight.reshape(len(weight), -1)]).astype(np.float32)
