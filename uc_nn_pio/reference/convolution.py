"""Convolution in float32, with its fused activation and max-pool."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.graph.ops import Conv2d
from uc_nn_pio.reference.activation import activation
from uc_nn_pio.reference.pooling import max_pool
from uc_nn_pio.reference.windows import reach


def convolution(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """pool(activation(conv(x))); a monotone activation is computed behind the maximum, which gives the same value.

    Args:
        x: (batch, C, H, W).

    Returns:
        (batch, *shape of the output).
    """
    op: Conv2d = node.op
    y = _sums(op, x, graph.constant(node, "weight"), graph.constant(node, "bias"))
    function = op.activation
    if function and not (op.pool and function.monotone):
        y = activation(function, y)
    if op.pool:
        y = max_pool(op.pool, y, graph.tensor(node.output).shape)
        if function and function.monotone:
            y = activation(function, y)
    return y


def _sums(op: Conv2d, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Accumulators, bias first, then one product a step in the order (ky, kx, c), all pixels and channels at once."""
    batch, channels, height, width = x.shape
    out, rows, columns = op.conv_shape
    groups, per_group = op.groups, channels // op.groups
    x = x.reshape(batch, groups, per_group, height, width)
    weight = np.asarray(weight, np.float32).reshape(groups, out // groups, per_group, *op.kernel)
    acc = np.zeros((batch, groups, out // groups, rows, columns), np.float32)
    if bias is not None:
        acc += np.asarray(bias, np.float32).reshape(groups, out // groups, 1, 1)
    for ky in range(op.kernel[0]):
        v = reach(ky, height, rows, op.stride[0], op.padding.top, op.dilation[0])
        for kx in range(op.kernel[1]):
            h = reach(kx, width, columns, op.stride[1], op.padding.left, op.dilation[1])
            sums = acc[..., v.outputs, h.outputs]
            pixels = x[..., v.inputs, h.inputs]
            for c in range(per_group):
                sums += weight[:, :, c, ky, kx, None, None] * pixels[:, :, c, None]
    return acc.reshape(batch, out, rows, columns)
