"""Builds a graph layer by layer and works out the shapes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from uc_nn_pio.graph.ir import Graph, Node, Source, Tensor
from uc_nn_pio.graph.ops import AvgPool2d, Concat, Conv2d, Linear, MaxPool2d, Op
from uc_nn_pio.graph.shapes import convolved, joined, pooled


class GraphBuilder:
    """Collects inputs and layers, then makes the graph.

    >>> build = GraphBuilder("tiny")
    >>> x = build.input("image", (1, 8, 6))
    >>> x = build.add("pool", MaxPool2d(), x)
    >>> build.graph(x).tensor("pool").shape
    (1, 4, 3)
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[Node] = []
        self._tensors: dict[str, Tensor] = {}
        self._constants: dict[str, np.ndarray] = {}
        self._inputs: list[str] = []

    def input(self, name: str, shape: tuple[int, ...]) -> str:
        """Adds an input tensor; returns its name."""
        self._tensors[name] = Tensor(name, shape)
        self._inputs.append(name)
        return name

    def add(
        self, name: str, op: Op, *inputs: str, shape: tuple[int, ...] | None = None, **constants: np.ndarray | None
    ) -> str:
        """Adds a layer that reads the tensors ``inputs``; returns its output's name, which is the layer's.

        Args:
            shape: the output's, where the operator and its input do not say it (reshape, adaptive pool, a pool that
                rounds up).
            constants: arrays by role; None for a bias that is not there.
        """
        given = self._tensors[inputs[0]].shape
        arrays = {role: _constant(array) for role, array in constants.items() if array is not None}
        if isinstance(op, Conv2d):
            op = replace(op, conv_shape=convolved(op, given, len(arrays["weight"])))
        self._constants |= {f"{name}.{role}": array for role, array in arrays.items()}
        roles = {role: f"{name}.{role}" for role in arrays}
        self._nodes.append(Node(name, op, inputs, (name,), Source(name), roles))
        if isinstance(op, Concat):
            shape = joined([self._tensors[x].shape for x in inputs], op.axis)
        self._tensors[name] = Tensor(name, shape or _output_shape(op, given, arrays))
        return name

    def graph(self, *outputs: str) -> Graph:
        """The graph with these output tensors, checked."""
        constants = {name: array.copy() for name, array in self._constants.items()}
        return Graph(self._name, tuple(self._nodes), self._tensors, constants, tuple(self._inputs), outputs)


def _constant(array: np.ndarray) -> np.ndarray:
    """As float32; int32 stays."""
    array = np.asarray(array)
    return array if array.dtype == np.int32 else array.astype(np.float32)


def _output_shape(op: Op, given: tuple[int, ...], arrays: dict[str, np.ndarray]) -> tuple[int, ...]:
    if isinstance(op, Conv2d):
        return pooled(op.pool, op.conv_shape) if op.pool else op.conv_shape
    if isinstance(op, MaxPool2d | AvgPool2d):
        return pooled(op, given)
    if isinstance(op, Linear):
        return (len(arrays["weight"]),)
    return given
