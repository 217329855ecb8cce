"""From a float graph and the ranges of its tensors to the int8 graph."""

from __future__ import annotations

from collections.abc import Mapping

from uc_nn_pio.errors import ModelError
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.ops import Conv2d, Embedding, Linear
from uc_nn_pio.graph.quant import QuantParams
from uc_nn_pio.quantize.assemble import with_integers
from uc_nn_pio.quantize.params import INDEX, Range, activation_params, fixed_params, keeps_params, quantized_weights
from uc_nn_pio.quantize.prepare import prepare


def quantize(graph: Graph, ranges: Mapping[str, Range], *, linear_per_channel: bool = False) -> Graph:
    """The int8 graph of a lowered float graph.

    Args:
        graph: lowered, in float32.
        ranges: of every tensor of ``prepare(graph)``, as :func:`~uc_nn_pio.quantize.calibrate` gives them.
        linear_per_channel: a weight scale for every output of a linear; one for all of them otherwise. A convolution
            has one a channel.

    Raises:
        ModelError: a range is missing, or an accumulator could overflow.
        UnsupportedError: an operator that int8 does not have.
    """
    graph = prepare(graph)
    params = tensor_params(graph, ranges)
    weights = {}
    for node in graph.nodes:
        if isinstance(node.op, Conv2d | Linear):
            weight, bias = graph.constant(node, "weight"), graph.constant(node, "bias")
            per_channel = linear_per_channel or isinstance(node.op, Conv2d)
            weights[node.name] = quantized_weights(weight, bias, params[node.inputs[0]].scale, per_channel)
    return with_integers(graph, params, weights)


def tensor_params(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, QuantParams]:
    """Scale and zero point of every tensor of a prepared graph, by name: those of its input behind an operator that
    keeps them, TensorFlow Lite's fixed ones behind sigmoid, tanh and softmax, else by its range. The inputs of a concat
    have one range, the smallest that holds all of them: whatever makes them gives it to its output."""
    params: dict[str, QuantParams] = {}
    alike = _alike(graph)
    for tensor in graph.values():
        node = graph.producer(tensor.name)
        if node is None or not keeps_params(node.op):
            fixed = fixed_params(node.op) if node else INDEX if _is_place(graph, tensor.name) else None
            params[tensor.name] = fixed or activation_params(_joint(ranges, alike[tensor.name]))
        else:
            params[tensor.name] = params[node.inputs[0]]
    return params


def _is_place(graph: Graph, tensor: str) -> bool:
    """Whether a tensor's values are places in a table."""
    return any(
        isinstance(node.op, Embedding) or (keeps_params(node.op) and _is_place(graph, node.output))
        for node in graph.consumers(tensor)
    )


def _alike(graph: Graph) -> dict[str, list[str]]:
    """For each tensor those that a range must hold which it has itself: all that some concat joins with it, directly or
    behind operators that keep a scale. Only tensors that are made with a scale of their own, none that keep one."""
    group = {tensor.name: {tensor.name} for tensor in graph.values()}
    for node in graph.nodes:
        if keeps_params(node.op):
            whole = set().union(*(group[name] for name in (*node.inputs, node.output)))
            for name in whole:
                group[name] = whole
    kept = {node.output for node in graph.nodes if keeps_params(node.op)}
    return {name: sorted(whole - kept) for name, whole in group.items()}


def _joint(ranges: Mapping[str, Range], names: list[str]) -> Range:
    found = [_range(ranges, name) for name in names]
    return Range(min(range_.low for range_ in found), max(range_.high for range_ in found))


def _range(ranges: Mapping[str, Range], name: str) -> Range:
    if name not in ranges:
        raise ModelError(f"no range for tensor {name!r}", next_step="calibrate this graph, and use its ranges")
    return ranges[name]
