"""The graph between PyTorch and C: a DAG of tensors and nodes, all frozen.

A tensor's ``shape`` is torch's without the batch axis: (C, H, W) for a map, (N,) for a vector. That order is a property
of the graph only; a map lies in memory as H, W, C, so that a row of pixels is contiguous.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from operator import itemgetter
from types import MappingProxyType

import numpy as np

from uc_nn_pio.errors import ModelError
from uc_nn_pio.graph.ops import Op
from uc_nn_pio.graph.quant import QuantParams
from uc_nn_pio.graph.shapes import check


class DType(Enum):
    """Element types of tensors. The value is the name in specs and reports."""

    FLOAT32 = "float32"
    INT8 = "int8"
    INT32 = "int32"
    UINT8 = "uint8"

    @property
    def bytes(self) -> int:
        return {"float32": 4, "int32": 4, "int8": 1, "uint8": 1}[self.value]


@dataclass(frozen=True)
class Tensor:
    """A value that flows between nodes. ``shape`` has no batch axis. ``quant`` says what the integers of int8 mean."""

    name: str
    shape: tuple[int, ...]
    dtype: DType = DType.FLOAT32
    quant: QuantParams | None = None

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * self.dtype.bytes

    @property
    def is_map(self) -> bool:
        return len(self.shape) == 3


@dataclass(frozen=True)
class Source:
    """Where a node comes from, for messages: the layer as the user's Python names it, and the line if known."""

    layer: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.layer} ({self.file}:{self.line})" if self.file and self.line else self.layer


@dataclass(frozen=True)
class Node:
    """One operator applied to tensors. ``constants`` maps a role (``weight``) to a name in ``Graph.constants``.

    A node between int8 tensors has integer constants; :mod:`uc_nn_pio.quantize` lists their roles.
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    source: Source
    constants: Mapping[str, str] = field(default_factory=dict)

    @property
    def output(self) -> str:
        return self.outputs[0]


@dataclass(frozen=True)
class Graph:
    """A network: nodes in execution order. Checked on construction.

    Raises:
        ModelError: a name is used before it is made, made twice, or missing; two nodes have one name; shapes do not fit
            the operator.
    """

    name: str
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    constants: Mapping[str, np.ndarray]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        for array in self.constants.values():
            array.setflags(write=False)
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))
        object.__setattr__(self, "constants", MappingProxyType(dict(self.constants)))
        made = set(self.inputs)
        for node in self.nodes:
            for name in node.inputs:
                if name not in made:
                    raise ModelError(f"tensor {name!r} is read before it is made", where=str(node.source))
            for name in node.outputs:
                if name in made:
                    raise ModelError(f"tensor {name!r} is made twice", where=str(node.source))
                made.add(name)
            for constant in node.constants.values():
                if constant not in self.constants:
                    raise ModelError(f"constant {constant!r} is missing", where=str(node.source))
        for name in (*self.outputs, *made):
            if name not in made or name not in self.tensors:
                raise ModelError(f"tensor {name!r} is not in the graph", where=self.name)
        name, count = max(Counter(node.name for node in self.nodes).items(), key=itemgetter(1), default=("", 0))
        if count > 1:
            raise ModelError(f"two nodes are named {name!r}", where=self.name)
        for node in self.nodes:
            shapes = {role: self.constants[name].shape for role, name in node.constants.items()}
            inputs = [self.tensors[name].shape for name in node.inputs]
            check(node.op, inputs, self.tensors[node.output].shape, shapes, where=str(node.source))

    def tensor(self, name: str) -> Tensor:
        return self.tensors[name]

    def constant(self, node: Node, role: str) -> np.ndarray | None:
        """The constant that ``node`` uses as ``role``, or None where it has none (a convolution without bias)."""
        return self.constants[node.constants[role]] if role in node.constants else None

    def consumers(self, tensor: str) -> list[Node]:
        return [node for node in self.nodes if tensor in node.inputs]

    def producer(self, tensor: str) -> Node | None:
        return next((node for node in self.nodes if tensor in node.outputs), None)

    def values(self) -> Iterator[Tensor]:
        """Tensors in the order in which they come to life: inputs, then each node's outputs."""
        for name in self.inputs:
            yield self.tensors[name]
        for node in self.nodes:
            for name in node.outputs:
                yield self.tensors[name]


def rebuild(graph: Graph, nodes: list[Node], **changes: object) -> Graph:
    """A graph with other nodes: tensors and constants that nothing uses any more are left out.

    ``changes`` may give ``tensors`` or ``constants`` to add or replace, and ``inputs`` or ``outputs``.
    """
    inputs = changes.get("inputs", graph.inputs)
    outputs = changes.get("outputs", graph.outputs)
    tensors = {**graph.tensors, **changes.get("tensors", {})}  # type: ignore[dict-item]
    constants = {**graph.constants, **changes.get("constants", {})}  # type: ignore[dict-item]
    used = {*inputs, *outputs, *(name for node in nodes for name in (*node.inputs, *node.outputs))}
    kept = {name for node in nodes for name in node.constants.values()}
    return replace(
        graph,
        nodes=tuple(nodes),
        tensors={name: tensor for name, tensor in tensors.items() if name in used},
        constants={name: array for name, array in constants.items() if name in kept},
        inputs=inputs,
        outputs=outputs,
    )
