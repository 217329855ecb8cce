"""Two int8 tensors of their own scales, element by element, as TensorFlow Lite's reference kernels ``add``, ``sub`` and
``mul`` compute them. Axes of size 1 are repeated."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.reference.integer.requantize import requantize, rescale

LEFT_SHIFT = 20
"""Bits in front of which both terms are brought to one scale: twice the larger one of the two."""


def add(graph: Graph, node: Node, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``(x - z) << 20`` of each term to the common scale, their sum to the output's; each step is rounded twice, as
    :func:`requantize` does. Multipliers and exponents are (first term, second term, sum)."""
    return _sum(graph, node, a, b, 1)


def subtract(graph: Graph, node: Node, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """As :func:`add`, with the second term taken off."""
    return _sum(graph, node, a, b, -1)


def _sum(graph: Graph, node: Node, a: np.ndarray, b: np.ndarray, sign: int) -> np.ndarray:
    q, e = (graph.constant(node, role) for role in ("multiplier", "exponent"))
    left, right = (
        rescale(_centred(graph, name, x) << LEFT_SHIFT, q[i], e[i])
        for i, (x, name) in enumerate(zip((a, b), node.inputs, strict=True))
    )
    return _result(graph, node, left + sign * right, q[2], e[2])


def multiply(graph: Graph, node: Node, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``(a - z) * (b - z)`` to the output's scale."""
    q, e = (graph.constant(node, role) for role in ("multiplier", "exponent"))
    product = _centred(graph, node.inputs[0], a) * _centred(graph, node.inputs[1], b)
    return _result(graph, node, product, q[0], e[0])


def _centred(graph: Graph, name: str, x: np.ndarray) -> np.ndarray:
    return x.astype(np.int64) - graph.tensor(name).quant.zero_point


def _result(graph: Graph, node: Node, value: np.ndarray, q: np.ndarray, e: np.ndarray) -> np.ndarray:
    low, high = (int(bound) for bound in graph.constant(node, "clamp"))
    return requantize(value, q, e, graph.tensor(node.output).quant.zero_point, low, high)
