"""Runs an int8 graph node by node."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from uc_nn_pio.errors import ModelError, UnsupportedError
from uc_nn_pio.graph.ir import DType, Graph
from uc_nn_pio.graph.ops import (
    Activation,
    AdaptiveAvgPool2d,
    Add,
    ArgMax,
    AvgPool2d,
    Clamp,
    Concat,
    Conv2d,
    Embedding,
    Gather,
    LayerNorm,
    Linear,
    LogSoftmax,
    MaxPool2d,
    Mul,
    Op,
    Pad,
    Permute,
    PRelu,
    Recurrent,
    Softmax,
    Sub,
)
from uc_nn_pio.reference.executor import embedding, gather, padded
from uc_nn_pio.reference.integer.elementwise import add, multiply, subtract
from uc_nn_pio.reference.integer.layers import convolution, linear
from uc_nn_pio.reference.integer.normalization import layer_norm, prelu
from uc_nn_pio.reference.integer.pooling import adaptive_avg_pool, avg_pool, max_pool
from uc_nn_pio.reference.integer.recurrent import recurrent
from uc_nn_pio.reference.integer.tables import activation, log_softmax, softmax

Kernel = Callable[..., np.ndarray]
"""``(graph, node, *inputs)``: as many arrays as the operator reads tensors."""

KERNELS: Mapping[type[Op], Kernel] = {
    Activation: activation,
    Clamp: activation,
    AdaptiveAvgPool2d: lambda graph, node, x: adaptive_avg_pool(x, graph.tensor(node.output).shape),
    Add: add,
    ArgMax: lambda graph, node, x: (x.argmax(axis=1)[:, None] - 128).astype(np.int8),
    AvgPool2d: avg_pool,
    Concat: lambda graph, node, *inputs: np.concatenate(inputs, axis=node.op.axis + 1),
    Conv2d: convolution,
    Embedding: lambda graph, node, x: embedding(graph, node, x.astype(np.int64) + 128),
    Gather: gather,
    LayerNorm: layer_norm,
    Linear: linear,
    LogSoftmax: log_softmax,
    MaxPool2d: lambda graph, node, x: max_pool(node.op, x, graph.tensor(node.output).shape),
    Mul: multiply,
    Pad: lambda graph, node, x: padded(node.op, x, graph.tensor(node.output).quant.zero_point),
    Permute: lambda graph, node, x: x.reshape(len(x), *graph.tensor(node.output).shape),
    PRelu: prelu,
    Recurrent: recurrent,
    Softmax: softmax,
    Sub: subtract,
}
"""One kernel an operator."""

CHUNK = 64
"""Samples that :func:`outputs_batch` takes at a time."""

Inputs = Mapping[str, np.ndarray] | np.ndarray


def run_batch(graph: Graph, inputs: Inputs) -> dict[str, np.ndarray]:
    """Every tensor of the graph by name, for a batch of samples.

    Args:
        graph: an int8 graph, as :mod:`uc_nn_pio.quantize` makes it.
        inputs: int8 arrays of shape (batch, *tensor shape) by input name, or the one array of a graph with one input.

    Returns:
        int8 arrays in torch's order, (batch, C, H, W) for maps.

    Raises:
        ModelError: an input is missing, has another shape or is not int8.
        UnsupportedError: an operator or element type that this executor does not know.
    """
    values = _named(graph, inputs)
    for node in graph.nodes:
        kernel = KERNELS.get(type(node.op))
        if kernel is None:
            raise UnsupportedError(f"the int8 reference cannot compute {node.op.kind!r}", where=str(node.source))
        for tensor in (graph.tensor(name) for name in (*node.inputs, node.output)):
            if tensor.dtype is not DType.INT8 or tensor.quant is None:
                raise UnsupportedError(f"tensor {tensor.name!r} is not quantized to int8", where=str(node.source))
        values[node.output] = kernel(graph, node, *(values[name] for name in node.inputs))
    return values


def outputs_batch(graph: Graph, inputs: Inputs) -> dict[str, np.ndarray]:
    """The graph's outputs by name, int8, for any number of samples, in bounded memory."""
    named = _named(graph, inputs)
    count = len(next(iter(named.values())))
    starts = range(0, max(count, 1), CHUNK)
    parts = [run_batch(graph, {name: array[at : at + CHUNK] for name, array in named.items()}) for at in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in graph.outputs}


def _named(graph: Graph, inputs: Inputs) -> dict[str, np.ndarray]:
    given = dict(inputs) if isinstance(inputs, Mapping) else dict.fromkeys(graph.inputs, inputs)
    if set(given) != set(graph.inputs) or (len(graph.inputs) != 1 and not isinstance(inputs, Mapping)):
        raise ModelError(
            f"the network's inputs are {', '.join(graph.inputs)}",
            where=graph.name,
            next_step="give a mapping from input name to array",
        )
    for name, array in given.items():
        shape = graph.tensor(name).shape
        if array.dtype != np.int8 or array.shape[1:] != shape:
            raise ModelError(
                f"input {name!r} is {array.dtype} {array.shape[1:]}, the network takes int8 {shape}", where=graph.name
            )
    return given
