"""Fully connected layer in float32."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.graph.layout import from_memory, to_memory
from uc_nn_pio.graph.ops import Linear
from uc_nn_pio.reference.activation import activation


def linear(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """Bias first, then one product a step over the inputs in the order of memory: a map is read as H, W, C.

    Args:
        x: (batch, *shape of the input).

    Returns:
        (batch, *shape of the output).
    """
    op: Linear = node.op
    x = to_memory(x, rank=x.ndim - 1)
    weight = np.asarray(graph.constant(node, "weight"), np.float32)
    bias = graph.constant(node, "bias")
    acc = np.zeros((len(x), len(weight)), np.float32)
    if bias is not None:
        acc += np.asarray(bias, np.float32)
    for i in range(weight.shape[1]):
        acc += x[:, i, None] * weight[:, i]
    if op.activation:
        acc = activation(op.activation, acc)
    return from_memory(acc, graph.tensor(node.output).shape)
