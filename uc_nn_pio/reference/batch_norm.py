"""Batch normalization with the statistics of training, in float32. Only captured graphs have it."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.graph.ops import BatchNorm


def batch_norm(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """(x - mean) / sqrt(var + eps) * weight + bias along axis 1 (axis 0 is the batch)."""
    op: BatchNorm = node.op
    axes = (-1, *(1,) * (x.ndim - 2))
    mean, var = (np.asarray(graph.constant(node, role), np.float32).reshape(axes) for role in ("mean", "var"))
    y = (x - mean) / np.sqrt(var + np.float32(op.eps))
    weight, bias = graph.constant(node, "weight"), graph.constant(node, "bias")
    if weight is not None:
        y = y * weight.reshape(axes)
    return y if bias is None else y + bias.reshape(axes)
