"""Operators that read a table from the graph: activations, softmax and its logarithm. All integers."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.graph.ir import Graph, Node

FRACTION = 16
"""Bits behind the point of log-softmax's sums; their unit is the output's scale, 1/16."""

SEGMENT_BITS = 6


def activation(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """The table's entry at the value's unsigned byte."""
    return graph.constant(node, "table")[x.view(np.uint8)]


def softmax(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """``(256 * t + total / 2) / total - 128`` in uint32, t the table's entry at ``max - x``; 127 at most."""
    _, terms = _terms(graph, node, x)
    total = terms.sum(axis=0)
    y = (256 * terms + total // 2) // total
    return _back(node, np.minimum(y, 255) - 128)


def log_softmax(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """``127 - round(16 * (scale * (max - x) + ln(total)))``, the logarithm by line segments; -128 at least."""
    below, terms = _terms(graph, node, x)
    one = int(graph.constant(node, "exponentials")[0])
    distance = below * int(graph.constant(node, "step")[0]) + _logarithm(graph, node, terms.sum(axis=0), one)
    steps = (distance + (1 << (FRACTION - 1))) >> FRACTION
    return _back(node, np.maximum(127 - steps, -128))


def _logarithm(graph: Graph, node: Node, total: np.ndarray, one: int) -> np.ndarray:
    """``16 * ln(total / one)`` with :data:`FRACTION` bits; ``one`` is a power of two, and total is not under it.

    total = one * 2^k * (1 + i / 64 + f / (64 * p)), p the size of a segment; its rounding down costs under 2^-16.
    """
    table = graph.constant(node, "logarithms").astype(np.int64)
    bits = one.bit_length() - 1
    k = np.zeros_like(total)
    while (larger := (total >> (bits + 1 + k)) > 0).any():
        k += larger
    mantissa = total - (np.int64(1) << (bits + k))
    segment = bits + k - SEGMENT_BITS
    i, rest = mantissa >> segment, mantissa & ((np.int64(1) << segment) - 1)
    slope = table[i + 1] - table[i]
    return k * table[-1] + table[i] + ((slope * rest) >> segment)


def _terms(graph: Graph, node: Node, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``max - x`` and the table's entry for it, the softmax's axis in front."""
    axis = node.op.axis
    x = np.moveaxis(x.astype(np.int64), axis + 1 if axis >= 0 else axis, 0)
    below = x.max(axis=0) - x
    return below, graph.constant(node, "exponentials").astype(np.int64)[below]


def _back(node: Node, y: np.ndarray) -> np.ndarray:
    axis = node.op.axis
    return np.moveaxis(y.astype(np.int8), 0, axis + 1 if axis >= 0 else axis)
