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


BLOCK = 1 << 16
"""Accumulators that one step works on, at most: what a processor's second cache holds, with as many products."""


def _sums(op: Conv2d, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Accumulators, bias first, then one product a step in the order (ky, kx, c), for all pixels and samples of a block
    of output channels at once. Samples lie innermost meanwhile, so that whole rows of them are contiguous."""
    batch, channels, height, width = x.shape
    out, rows, columns = op.conv_shape
    per_group, out_per_group = channels // op.groups, out // op.groups
    x = np.ascontiguousarray(np.moveaxis(x, 0, -1))
    weight = np.asarray(weight, np.float32)
    acc = np.zeros((out, rows, columns, batch), np.float32)
    if bias is not None:
        acc += np.asarray(bias, np.float32).reshape(out, 1, 1, 1)
    size = min(out_per_group, max(1, BLOCK // (rows * columns * max(batch, 1))))
    products = np.empty((size, rows, columns, batch), np.float32)
    for first in (at for group in range(0, out, out_per_group) for at in range(group, group + out_per_group, size)):
        group = first // out_per_group
        last = min(first + size, (group + 1) * out_per_group)
        for ky in range(op.kernel[0]):
            v = reach(ky, height, rows, op.stride[0], op.padding.top, op.dilation[0])
            for kx in range(op.kernel[1]):
                h = reach(kx, width, columns, op.stride[1], op.padding.left, op.dilation[1])
                sums = acc[first:last, v.outputs, h.outputs]
                product = products[: last - first, v.outputs, h.outputs]
                pixels = x[group * per_group : (group + 1) * per_group, v.inputs, h.inputs]
                for c in range(per_group):
                    np.multiply(weight[first:last, c, ky, kx, None, None, None], pixels[c], out=product)
                    sums += product
    return np.ascontiguousarray(np.moveaxis(acc, -1, 0))
