"""The sum of two int8 tensors of their own scales, as TensorFlow Lite's reference kernel ``add`` computes it."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.reference.integer.requantize import requantize, rescale

LEFT_SHIFT = 20
"""Bits in front of which both terms are brought to one scale: twice the larger one of the two."""


def add(graph: Graph, node: Node, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``(x - z) << 20`` of each term to the common scale, their sum to the output's; each step is rounded twice, as
    :func:`requantize` does. Multipliers and exponents are (first term, second term, sum)."""
    q, e = (graph.constant(node, role) for role in ("multiplier", "exponent"))
    total = np.zeros(a.shape, np.int64)
    for i, (x, name) in enumerate(zip((a, b), node.inputs, strict=True)):
        real = x.astype(np.int64) - graph.tensor(name).quant.zero_point
        total += rescale(real << LEFT_SHIFT, q[i], e[i])
    lo, hi = (int(bound) for bound in graph.constant(node, "clamp"))
    return requantize(total, q[2], e[2], graph.tensor(node.output).quant.zero_point, lo, hi)
