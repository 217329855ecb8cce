"""Layer norm and PReLU in float32: both take the channels of each pixel, or a vector."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.graph.ir import Graph, Node


def layer_norm(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """Mean and variance over axis 1, behind the batch axis; the variance is that of all elements, as torch's."""
    mean = x.mean(axis=1, keepdims=True, dtype=np.float64) if node.op.centred else 0.0
    centred = x - mean
    deviation = np.sqrt((centred**2).mean(axis=1, keepdims=True, dtype=np.float64) + node.op.eps)
    normed = centred / deviation
    weight, bias = graph.constant(node, "weight"), graph.constant(node, "bias")
    if weight is not None:
        normed = normed * _over_channels(weight, x)
    if bias is not None:
        normed = normed + _over_channels(bias, x)
    return normed.astype(np.float32)


def prelu(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """x, or below 0 x times its channel's slope."""
    return np.where(x < 0, x * _over_channels(graph.constant(node, "slope"), x), x)


def _over_channels(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    return values.reshape(1, -1, *(1,) * (x.ndim - 2))
