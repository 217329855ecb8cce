"""Convolution and fully connected layer on int8. Arrays have one leading batch axis and are in torch's order."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.graph.layout import from_memory, to_memory
from uc_nn_pio.graph.ops import Activation, Conv2d, Linear
from uc_nn_pio.reference.integer.pooling import max_pool
from uc_nn_pio.reference.integer.requantize import requantize
from uc_nn_pio.reference.windows import reach


def convolution(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """Every pixel of the convolution is requantized, then pooled; a padded tap is a real 0 and adds nothing."""
    op: Conv2d = node.op
    real = x.astype(np.int32) - graph.tensor(node.inputs[0]).quant.zero_point
    y = _to_int8(graph, node, op.activation, _sums(op, real, graph, node), channel_axis=1)
    return max_pool(op.pool, y, graph.tensor(node.output).shape) if op.pool else y


def _sums(op: Conv2d, x: np.ndarray, graph: Graph, node: Node) -> np.ndarray:
    """int32 accumulators, (batch, *conv_shape). Summed in double, which is exact: they stay under 2^31, and products of
    matrices of doubles are quick."""
    batch, channels, height, width = x.shape
    out, rows, columns = op.conv_shape
    groups, per_group = op.groups, channels // op.groups
    x = x.reshape(batch, groups, per_group, height, width).astype(np.float64)
    weight = graph.constant(node, "weight").astype(np.float64).reshape(groups, out // groups, per_group, *op.kernel)
    acc = np.zeros((batch, groups, out // groups, rows, columns))
    acc += graph.constant(node, "bias").reshape(groups, out // groups, 1, 1)
    for ky in range(op.kernel[0]):
        v = reach(ky, height, rows, op.stride[0], op.padding.top, op.dilation[0])
        for kx in range(op.kernel[1]):
            h = reach(kx, width, columns, op.stride[1], op.padding.left, op.dilation[1])
            pixels = x[..., v.inputs, h.inputs]
            size = pixels.shape[-2:]
            sums = weight[..., ky, kx] @ pixels.reshape(batch, groups, per_group, size[0] * size[1])
            acc[..., v.outputs, h.outputs] += sums.reshape(batch, groups, out // groups, *size)
    return acc.reshape(batch, out, rows, columns).astype(np.int32)


def linear(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """The input is read, and the output written, in the order of memory: a map is H, W, C."""
    op: Linear = node.op
    real = to_memory(x, rank=x.ndim - 1).astype(np.int32) - graph.tensor(node.inputs[0]).quant.zero_point
    acc = real @ graph.constant(node, "weight").astype(np.int32).T + graph.constant(node, "bias")
    y = _to_int8(graph, node, op.activation, acc, channel_axis=1)
    return from_memory(y, graph.tensor(node.output).shape)


def _to_int8(graph: Graph, node: Node, function: Activation | None, acc: np.ndarray, channel_axis: int) -> np.ndarray:
    """The multiplier of the output channel, or of the layer where it has one; leaky_relu has a second one for
    accumulators below 0."""

    def along_channels(role: str) -> np.ndarray:
        return graph.constant(node, role).reshape(-1, *(1,) * (acc.ndim - channel_axis - 1))

    q, e = along_channels("multiplier"), along_channels("exponent")
    if function and function.function == "leaky_relu":
        below = acc < 0
        q = np.where(below, along_channels("negative_multiplier"), q)
        e = np.where(below, along_channels("negative_exponent"), e)
    lo, hi = (int(bound) for bound in graph.constant(node, "clamp"))
    return requantize(acc, q, e, graph.tensor(node.output).quant.zero_point, lo, hi)
