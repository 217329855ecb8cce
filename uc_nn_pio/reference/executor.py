"""Runs a graph node by node. Every kernel takes and returns arrays with one leading batch axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from uc_nn_pio.errors import ModelError, UnsupportedError
from uc_nn_pio.graph.ir import DType, Graph, Node
from uc_nn_pio.graph.ops import (
    Activation,
    AdaptiveAvgPool2d,
    Add,
    ArgMax,
    AvgPool2d,
    BatchNorm,
    Clamp,
    Concat,
    Conv2d,
    Elementwise,
    Embedding,
    Gather,
    Identity,
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
    Reshape,
    Softmax,
    Sub,
)
from uc_nn_pio.reference.activation import activation
from uc_nn_pio.reference.batch_norm import batch_norm
from uc_nn_pio.reference.convolution import convolution
from uc_nn_pio.reference.linear import linear
from uc_nn_pio.reference.normalization import layer_norm, prelu
from uc_nn_pio.reference.pooling import adaptive_avg_pool, avg_pool, max_pool
from uc_nn_pio.reference.recurrent import recurrent
from uc_nn_pio.reference.softmax import log_softmax, softmax

Kernel = Callable[..., np.ndarray]
"""``(graph, node, *inputs)``: as many arrays as the operator reads tensors."""


def _reshape(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), *graph.tensor(node.output).shape)


def _elementwise(op: Elementwise, values: np.ndarray) -> np.ndarray:
    return activation(op.activation, values) if op.activation else values


def gather(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """Elements at the places of ``index``; of any element type."""
    chosen = x.reshape(len(x), -1)[:, graph.constant(node, "index")]
    return chosen.reshape(len(x), *graph.tensor(node.output).shape)


def padded(op: Pad, x: np.ndarray, value: int = 0) -> np.ndarray:
    """``value`` around each sample; of any element type."""
    return np.pad(x, [(0, 0), *zip(op.before, op.after, strict=True)], constant_values=value)


def embedding(graph: Graph, node: Node, index: np.ndarray) -> np.ndarray:
    """Rows of the table; a place behind the last row is the last, as in the C. Of any element type."""
    weight = graph.constant(node, "weight")
    return weight[np.clip(index, 0, len(weight) - 1)]


KERNELS: Mapping[type[Op], Kernel] = {
    Activation: lambda graph, node, x: activation(node.op, x),
    Clamp: lambda graph, node, x: activation(node.op, x),
    AdaptiveAvgPool2d: lambda graph, node, x: adaptive_avg_pool(x, graph.tensor(node.output).shape),
    Add: lambda graph, node, a, b: _elementwise(node.op, a + b),
    ArgMax: lambda graph, node, x: x.argmax(axis=1)[:, None].astype(np.float32),
    AvgPool2d: lambda graph, node, x: avg_pool(node.op, x, graph.tensor(node.output).shape),
    BatchNorm: batch_norm,
    Concat: lambda graph, node, *inputs: np.concatenate(inputs, axis=node.op.axis + 1),
    Conv2d: convolution,
    Embedding: lambda graph, node, x: embedding(graph, node, x.astype(np.int64)),
    Gather: gather,
    Identity: lambda graph, node, x: x,
    LayerNorm: layer_norm,
    Linear: linear,
    LogSoftmax: lambda graph, node, x: log_softmax(node.op, x),
    MaxPool2d: lambda graph, node, x: max_pool(node.op, x, graph.tensor(node.output).shape),
    Mul: lambda graph, node, a, b: _elementwise(node.op, a * b),
    Pad: lambda graph, node, x: padded(node.op, x),
    Permute: _reshape,
    PRelu: prelu,
    Recurrent: recurrent,
    Reshape: _reshape,
    Softmax: lambda graph, node, x: softmax(node.op, x),
    Sub: lambda graph, node, a, b: _elementwise(node.op, a - b),
}
"""One kernel an operator."""

CHUNK = 64
"""Samples that :func:`outputs_batch` takes at a time: what a cache holds, and a bound on memory."""

Inputs = Mapping[str, np.ndarray] | np.ndarray


def run_batch(graph: Graph, inputs: Inputs) -> dict[str, np.ndarray]:
    """Every tensor of the graph by name, for a batch of samples.

    Args:
        graph: a captured or a lowered graph in float32.
        inputs: arrays of shape (batch, *tensor shape) by input name, or the one array of a graph with one input.

    Raises:
        ModelError: an input is missing or has another shape.
        UnsupportedError: an operator or element type that this executor does not know.
    """
    values = _named(graph, inputs)
    for node in graph.nodes:
        kernel = KERNELS.get(type(node.op))
        if kernel is None:
            raise UnsupportedError(f"the reference cannot compute {node.op.kind!r}", where=str(node.source))
        with np.errstate(over="ignore", under="ignore"):
            result = kernel(graph, node, *(values[name] for name in node.inputs))
        tensor = graph.tensor(node.output)
        if tensor.dtype is not DType.FLOAT32:
            raise UnsupportedError(f"the reference computes float32, not {tensor.dtype.value}", where=str(node.source))
        values[node.output] = result
    return values


def run(graph: Graph, inputs: Inputs) -> dict[str, np.ndarray]:
    """Every tensor of the graph by name, for one sample: arrays as :func:`run_batch` without the batch axis."""
    named = dict(inputs) if isinstance(inputs, Mapping) else {_only_input(graph): inputs}
    values = run_batch(graph, {name: np.asarray(array)[None] for name, array in named.items()})
    return {name: array[0] for name, array in values.items()}


def outputs(graph: Graph, inputs: Inputs) -> dict[str, np.ndarray]:
    """The graph's outputs by name, for one sample."""
    values = run(graph, inputs)
    return {name: values[name] for name in graph.outputs}


def outputs_batch(graph: Graph, inputs: Inputs) -> dict[str, np.ndarray]:
    """The graph's outputs by name, for any number of samples, in bounded memory."""
    named = _named(graph, inputs)
    count = len(next(iter(named.values())))
    starts = range(0, max(count, 1), CHUNK)
    parts = [run_batch(graph, {name: array[at : at + CHUNK] for name, array in named.items()}) for at in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in graph.outputs}


def _only_input(graph: Graph) -> str:
    if len(graph.inputs) != 1:
        raise ModelError(f"the graph has {len(graph.inputs)} inputs: {', '.join(graph.inputs)}", where=graph.name,
                         next_step="give a mapping from input name to array")  # fmt: skip
    return graph.inputs[0]


def _named(graph: Graph, inputs: Inputs) -> dict[str, np.ndarray]:
    """Inputs as float32 arrays by name, each checked against its tensor."""
    given = dict(inputs) if isinstance(inputs, Mapping) else {_only_input(graph): inputs}
    named = {}
    for name in graph.inputs:
        if name not in given:
            raise ModelError(f"no array for input {name!r}", where=graph.name)
        array = np.asarray(given[name], dtype=np.float32)
        shape = graph.tensor(name).shape
        if array.shape[1:] != shape:
            raise ModelError(f"input {name!r} has shape {array.shape[1:]}, the network takes {shape}", where=graph.name)
        named[name] = array
    if unknown := sorted(set(given) - set(graph.inputs)):
        raise ModelError(
            f"no input is named {unknown[0]!r}", where=graph.name, why=f"inputs: {', '.join(graph.inputs)}"
        )
    return named
