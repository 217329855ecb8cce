"""Folds batch norms into weights. At inference a batch norm is y = x * scale + shift, one pair a channel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from uc_nn_pio.errors import ModelError
from uc_nn_pio.graph.ir import Graph, Node, Tensor, rebuild
from uc_nn_pio.graph.ops import BatchNorm, Conv2d, Linear, Reshape
from uc_nn_pio.lower.rewrite import fresh, sole_consumer, substitute


def fold_batch_norm(graph: Graph) -> Graph:
    """Leaves no batch norm. Each goes, whichever fits first,

    1. into the convolution or linear in front, where nothing else reads that one's output;
    2. into the linear behind, or the convolution behind if it has no padding (zeros around the map would have to become
       -shift / scale otherwise), where nothing else reads the batch norm's output;
    3. into a depthwise 1x1 convolution of its own.

    Computed in float64 and rounded to float32 once, however many batch norms meet in one layer.

    Raises:
        ModelError: a folded weight or bias is not finite in float32.
    """
    while node := next((node for node in graph.nodes if isinstance(node.op, BatchNorm)), None):
        graph = _fold_back(graph, node) or _fold_forward(graph, node) or _as_depthwise(graph, node)
    return _rounded(graph)


def _fold_back(graph: Graph, node: Node) -> Graph | None:
    front = graph.producer(node.inputs[0])
    if front is None or not _plain(front) or sole_consumer(graph, node.inputs[0]) is not node:
        return None
    scale, shift = _scale_and_shift(graph, node)
    weight, bias = _weights(graph, front)
    weight = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    folded, constants = _own_constants(graph, replace(front, outputs=node.outputs), weight, bias * scale + shift)
    return substitute(graph, {front.output: [], node.output: [folded]}, constants=constants)


def _fold_forward(graph: Graph, node: Node) -> Graph | None:
    behind = sole_consumer(graph, node.output)
    if behind is None or not isinstance(behind.op, Conv2d | Linear) or getattr(behind.op, "padding", None):
        return None
    scale, shift = _scale_and_shift(graph, node)
    weight, bias = _weights(graph, behind)
    groups = getattr(behind.op, "groups", 1)
    per_output = (groups, 1, -1, *(1,) * (weight.ndim - 2))
    grouped = weight.reshape(groups, -1, *weight.shape[1:])
    bias = bias + (grouped * shift.reshape(per_output)).sum(axis=tuple(range(2, grouped.ndim))).ravel()
    weight = (grouped * scale.reshape(per_output)).reshape(weight.shape)
    folded, constants = _own_constants(graph, replace(behind, inputs=node.inputs), weight, bias)
    return substitute(graph, {node.output: [], behind.output: [folded]}, constants=constants)


def _as_depthwise(graph: Graph, node: Node) -> Graph:
    """A 1x1 convolution with as many groups as channels; a vector becomes a map of one pixel for it, and back."""
    scale, shift = _scale_and_shift(graph, node)
    before, after = graph.tensor(node.inputs[0]), graph.tensor(node.output)
    channels = len(scale)
    shape = before.shape if before.is_map else (channels, 1, 1)
    conv = replace(node, op=Conv2d(groups=channels, conv_shape=shape))
    conv, constants = _own_constants(graph, conv, scale.reshape(channels, 1, 1, 1), shift)
    if before.is_map:
        return substitute(graph, {node.output: [conv]}, constants=constants)
    pixel, normed = (fresh(f"{node.name}_{end}_pixel", graph.tensors) for end in ("in", "out"))
    nodes = [
        Node(f"{node.name}_in", Reshape(), (before.name,), (pixel,), node.source),
        replace(conv, inputs=(pixel,), outputs=(normed,)),
        Node(f"{node.name}_out", Reshape(), (normed,), (after.name,), node.source),
    ]
    tensors = {name: Tensor(name, shape, before.dtype) for name in (pixel, normed)}
    return substitute(graph, {node.output: nodes}, constants=constants, tensors=tensors)


def _plain(node: Node) -> bool:
    """A convolution or linear with nothing fused behind it."""
    return isinstance(node.op, Conv2d | Linear) and not node.op.activation and not getattr(node.op, "pool", None)


def _scale_and_shift(graph: Graph, node: Node) -> tuple[np.ndarray, np.ndarray]:
    """float64, one value a channel. A batch norm without weight or bias has 1 and 0."""
    op: BatchNorm = node.op
    mean, var, weight, bias = (graph.constant(node, role) for role in ("mean", "var", "weight", "bias"))
    scale = 1.0 / np.sqrt(var.astype(np.float64) + op.eps)
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale
    return scale, shift if bias is None else shift + bias


def _weights(graph: Graph, node: Node) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias in float64, zeros for a bias that is not there."""
    weight = graph.constant(node, "weight").astype(np.float64)
    bias = graph.constant(node, "bias")
    return weight, np.zeros(len(weight)) if bias is None else bias.astype(np.float64)


def _own_constants(
    graph: Graph, node: Node, weight: np.ndarray, bias: np.ndarray
) -> tuple[Node, dict[str, np.ndarray]]:
    """``node`` on constants of its own, since others may share the ones it has, and these constants by name."""
    names = {role: fresh(f"{node.name}.{role}", graph.constants) for role in ("weight", "bias")}
    return replace(node, constants=names), {names["weight"]: weight, names["bias"]: bias}


def _rounded(graph: Graph) -> Graph:
    """The graph with float64 constants, which are the folded ones, in float32."""
    rounded = {}
    for node in graph.nodes:
        for role, name in node.constants.items():
            if graph.constants[name].dtype != np.float64:
                continue
            with np.errstate(over="ignore"):
                rounded[name] = graph.constants[name].astype(np.float32)
            if not np.isfinite(rounded[name]).all():
                raise ModelError(
                    f"the {role} with its batch norm folded in is too large for float32",
                    where=str(node.source),
                    why="a running variance near zero, or a weight near the limit of float32",
                    next_step="look at the layer's batch norm in the trained weights",
                )
    return rebuild(graph, list(graph.nodes), constants=rounded)
