"""What a network costs on any machine: multiply-accumulates and parameters, as frameworks count them."""

from __future__ import annotations

import math

from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.graph.ops import Conv2d, Linear, Recurrent

TRAINED = ("weight", "bias", "weight_x", "weight_h", "bias_x", "bias_h")
"""Roles of constants that training finds."""


def macs(graph: Graph, node: Node) -> int:
    """Multiply-accumulates of one node for one sample; 0 but for convolution, linear and recurrent layers.

    A convolution counts every output pixel in front of its pool times every tap, those on padding as well.
    """
    op = node.op
    if isinstance(op, Conv2d):
        in_channels = graph.tensor(node.inputs[0]).shape[0]
        return math.prod(op.conv_shape) * math.prod(op.kernel) * in_channels // op.groups
    if isinstance(op, Linear):
        return graph.tensor(node.inputs[0]).elements * graph.tensor(node.output).elements
    if isinstance(op, Recurrent):
        rows, units = graph.tensor(node.output).shape
        return rows * op.gates * units * (graph.tensor(node.inputs[0]).shape[1] + units)
    return 0


def total_macs(graph: Graph) -> int:
    """Multiply-accumulates of one inference."""
    return sum(macs(graph, node) for node in graph.nodes)


def parameters(graph: Graph) -> int:
    """Weights and biases, each array once however many layers share it; no running statistics of a batch norm."""
    trained = {name for node in graph.nodes for role, name in node.constants.items() if role in TRAINED}
    return sum(graph.constants[name].size for name in trained)
