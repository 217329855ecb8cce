"""From a float graph and the ranges of its tensors to the int8 graph."""

from __future__ import annotations

from collections.abc import Mapping

from uc_nn_pio.errors import ModelError
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.ops import Conv2d, Linear
from uc_nn_pio.graph.quant import QuantParams
from uc_nn_pio.quantize.assemble import keeps_params, with_integers
from uc_nn_pio.quantize.params import Range, activation_params, fixed_params, quantized_weights
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
    keeps them, TensorFlow Lite's fixed ones behind sigmoid, tanh and softmax, else by its range."""
    params = {name: activation_params(_range(ranges, name)) for name in graph.inputs}
    for node in graph.nodes:
        fixed = params[node.inputs[0]] if keeps_params(node.op) else fixed_params(node.op)
        params[node.output] = fixed or activation_params(_range(ranges, node.output))
    return params


def _range(ranges: Mapping[str, Range], name: str) -> Range:
    if name not in ranges:
        raise ModelError(f"no range for tensor {name!r}", next_step="calibrate this graph, and use its ranges")
    return ranges[name]
