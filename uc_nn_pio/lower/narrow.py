"""The same network with fewer channels in one layer: for estimates of what that would save."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.graph.layout import memory_order
from uc_nn_pio.graph.ops import (
    Activation,
    AdaptiveAvgPool2d,
    AvgPool2d,
    Conv2d,
    Linear,
    MaxPool2d,
    PRelu,
)
from uc_nn_pio.lower.rewrite import fresh

_KEEPS_CHANNELS = (Activation, AdaptiveAvgPool2d, AvgPool2d, MaxPool2d, PRelu)


def narrowed(graph: Graph, node: Node, keep: int) -> Graph | None:
    """The graph with the first ``keep`` output channels of a convolution or linear, and of all that follows from that.

    None where the channels cannot be fewer: they leave the network, or meet another branch.

    Args:
        graph: lowered; float32 or int8.
    """
    return _Narrowing(graph).of(node, keep)


class _Narrowing:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = {node.output: node for node in graph.nodes}
        self.tensors = dict(graph.tensors)
        self.constants = dict(graph.constants)

    def of(self, node: Node, keep: int) -> Graph | None:
        if not isinstance(node.op, Conv2d | Linear) or not self._outputs(node, keep):
            return None
        used = {name for node in self.nodes.values() for name in node.constants.values()}
        constants = {name: array.copy() for name, array in self.constants.items() if name in used}
        return replace(self.graph, nodes=tuple(self.nodes.values()), tensors=self.tensors, constants=constants)

    def _outputs(self, node: Node, keep: int) -> bool:
        """Makes ``keep`` channels of a node's output, and of what its readers make of them."""
        before = self.tensors[node.output]
        if node.output in self.graph.outputs or keep < 1:
            return False
        shape = (keep, *before.shape[1:])
        if isinstance(node.op, Linear) and before.is_map:
            return False  # its rows are in the order of memory
        self.tensors[node.output] = replace(before, shape=shape)
        channels = before.shape[0]
        self._replace(node, lambda role, array: array[:keep] if array.ndim and len(array) == channels else array)
        if isinstance(node.op, Conv2d):
            conv = (keep, *node.op.conv_shape[1:])
            self.nodes[node.output] = replace(self.nodes[node.output], op=replace(node.op, conv_shape=conv))
        return all(self._inputs(reader, before.shape, shape) for reader in self.graph.consumers(node.output))

    def _inputs(self, node: Node, before: tuple[int, ...], after: tuple[int, ...]) -> bool:
        keep = after[0]
        if isinstance(node.op, _KEEPS_CHANNELS):
            return self._outputs(node, keep)
        if isinstance(node.op, Linear):
            columns = np.flatnonzero(memory_order(before) < keep * int(np.prod(before[1:])))
            self._replace(node, lambda role, array: array[:, columns] if role == "weight" else array)
            return True
        if not isinstance(node.op, Conv2d):
            return False
        if node.op.groups == 1:
            self._replace(node, lambda role, array: array[:, :keep] if role == "weight" else array)
            return True
        made = self.tensors[node.output].shape[0]
        if node.op.groups != before[0]:
            return False
        self.nodes[node.output] = replace(node, op=replace(node.op, groups=keep))
        return self._outputs(self.nodes[node.output], keep * made // before[0])

    def _replace(self, node: Node, change: Callable[[str, np.ndarray], np.ndarray]) -> None:
        """The node with constants of its own, changed."""
        names = dict(node.constants)
        for role, name in node.constants.items():
            array = change(role, self.constants[name])
            if array.shape != self.constants[name].shape:
                names[role] = fresh(f"{node.name}.{role}", self.constants)
                self.constants[names[role]] = array
        self.nodes[node.output] = replace(self.nodes[node.output], constants=names)
