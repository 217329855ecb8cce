"""Pools on int8. The output has the input's scale and zero point, but for an average with another divisor."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.graph.ops import AvgPool2d, MaxPool2d
from uc_nn_pio.reference.integer.requantize import requantize
from uc_nn_pio.reference.pooling import adaptive_window, avg_divisors
from uc_nn_pio.reference.windows import reach


def max_pool(op: MaxPool2d, x: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """(batch, C, H, W) -> (batch, *shape): the largest valid pixel of each window."""
    _, rows, columns = shape
    y = np.full((*x.shape[:2], rows, columns), -128, np.int8)
    for ky in range(op.kernel[0]):
        v = reach(ky, x.shape[2], rows, op.stride[0], op.padding.top, op.dilation[0])
        for kx in range(op.kernel[1]):
            h = reach(kx, x.shape[3], columns, op.stride[1], op.padding.left, op.dilation[1])
            best = y[..., v.outputs, h.outputs]
            np.maximum(best, x[..., v.inputs, h.inputs], out=best)
    return y


def avg_pool(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """The sum of a window's raw integers, a padded pixel that counts as the zero point, over their number; with a
    ``divisor_override`` the sum of real values, requantized."""
    op: AvgPool2d = node.op
    _, rows, columns = graph.tensor(node.output).shape
    total = np.zeros((*x.shape[:2], rows, columns), np.int32)
    valid = np.zeros((rows, columns), np.int32)
    for ky in range(op.kernel[0]):
        v = reach(ky, x.shape[2], rows, op.stride[0], op.padding.top)
        for kx in range(op.kernel[1]):
            h = reach(kx, x.shape[3], columns, op.stride[1], op.padding.left)
            total[..., v.outputs, h.outputs] += x[..., v.inputs, h.inputs]
            valid[v.outputs, h.outputs] += 1
    zero_point = graph.tensor(node.inputs[0]).quant.zero_point
    if op.divisor_override is not None:
        q, e = (graph.constant(node, role) for role in ("multiplier", "exponent"))
        lo, hi = (int(bound) for bound in graph.constant(node, "clamp"))
        return requantize(total - zero_point * valid, q, e, graph.tensor(node.output).quant.zero_point, lo, hi)
    counts = avg_divisors(op, x.shape[2:], (rows, columns)).astype(np.int32)
    return rounded_mean(total + zero_point * (counts - valid), counts)


def adaptive_avg_pool(x: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """(batch, C, H, W) -> (batch, *shape), windows as in float32."""
    _, rows, columns = shape
    y = np.zeros((*x.shape[:2], rows, columns), np.int8)
    for i in range(rows):
        top, bottom = adaptive_window(i, x.shape[2], rows)
        for j in range(columns):
            left, right = adaptive_window(j, x.shape[3], columns)
            total = x[..., top:bottom, left:right].sum(axis=(2, 3), dtype=np.int32)
            y[..., i, j] = rounded_mean(total, np.int32((bottom - top) * (right - left)))
    return y


def rounded_mean(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """C's ``(total + count / 2) / count`` above 0, ``(total - count / 2) / count`` else, clamped to int8: to the
    nearest, halves away from zero."""
    magnitude = (np.abs(total) + count // 2) // count
    return np.clip(np.where(total > 0, magnitude, -magnitude), -128, 127).astype(np.int8)
