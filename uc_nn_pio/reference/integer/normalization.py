"""Layer norm and PReLU of int8 tensors, as ``docs/numerics.md`` has them."""

from __future__ import annotations

import math

import numpy as np

from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.reference.integer.requantize import requantize

FRACTION = 10
"""Bits behind the point of a normalized value."""

LARGEST = 2**15 - 1
"""Of a normalized value, in these bits."""


def layer_norm(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """``z = D / sqrt(V)`` with integers D and V, ``count`` and ``count^2`` times the deviation and the variance; then
    ``z * weight + bias`` to the output's scale."""
    entry, result = (graph.tensor(name).quant for name in (node.inputs[0], node.output))
    values = np.moveaxis(x.astype(np.int64), 1, -1)  # the channels last
    count = values.shape[-1]
    values = values if node.op.centred else values - entry.zero_point
    sums = values.sum(axis=-1, keepdims=True) if node.op.centred else np.zeros((*values.shape[:-1], 1), np.int64)
    spread = count * (values**2).sum(axis=-1, keepdims=True) - sums**2 + int(graph.constant(node, "epsilon")[0])
    inverse, doublings = np.vectorize(_inverse_root, otypes=[np.int64, np.int64])(spread)
    shift = 51 - doublings
    z = ((count * values - sums) * inverse + (np.int64(1) << (shift - 1))) >> shift
    z = np.clip(z, -LARGEST, LARGEST)
    weight, bias = graph.constant(node, "weight"), graph.constant(node, "bias")
    acc = z * weight.astype(np.int64) + bias
    q, e = graph.constant(node, "multiplier")[0], graph.constant(node, "exponent")[0]
    return np.moveaxis(requantize(acc, q, e, result.zero_point), -1, 1)


def _inverse_root(v: int) -> tuple[int, int]:
    """``floor(2^61 / floor(sqrt(v * 4^k)))`` and k, for the one k with which v * 4^k has 61 or 62 bits."""
    k = (62 - int(v).bit_length()) // 2
    return 2**61 // math.isqrt(int(v) << 2 * k), k


def prelu(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """Below the zero point another multiplier for each channel."""
    entry, result = (graph.tensor(name).quant for name in (node.inputs[0], node.output))
    acc = x.astype(np.int64) - entry.zero_point
    roles = ("multiplier", "exponent", "negative_multiplier", "negative_exponent")
    q, e, below_q, below_e = (graph.constant(node, role) for role in roles)
    channels = (1, -1, *(1,) * (x.ndim - 2))
    below = requantize(acc, below_q.reshape(channels), below_e.reshape(channels), result.zero_point)
    return np.where(acc < 0, below, requantize(acc, q[0], e[0], result.zero_point))
