"""Makes the int8 graph of a float one from given integers: scales of tensors, weights of layers. What follows from them
(multipliers, clamps, tables) is worked out here, so that calibrated and imported networks share it.

Constants of an int8 node, by role; "per channel" is one element where the layer has one weight scale:

- conv2d, linear: ``weight`` int8, ``bias`` int32, ``weight_scale`` float32, ``multiplier`` and ``exponent`` int32 per
  channel, ``clamp`` int32 (lowest, highest output); with leaky_relu ``negative_multiplier``, ``negative_exponent`` for
  accumulators below 0.
- activation: ``table`` int8 (256,), by the value's unsigned byte.
- add, sub: ``multiplier``, ``exponent`` int32 (3,), of the terms and of their sum; ``clamp``. mul: one of each. A
  concat needs none, since its inputs have the scale of its output.
- gather: ``index``, as it was.
- embedding: ``weight`` int8, in the output's scale. argmax: none.
- avg_pool2d with a ``divisor_override``: ``multiplier``, ``exponent``, ``clamp``.
- prelu: ``multiplier``, ``exponent`` (1,); ``negative_multiplier``, ``negative_exponent``, one a channel.
- layer_norm: ``weight``, ``bias`` int32, one a channel; ``epsilon`` int64 (1,); ``multiplier``, ``exponent`` (1,).
- recurrent: ``weight_x``, ``weight_h`` int8; ``bias_x``, ``bias_h`` int32; ``multiplier_x``, ``exponent_x`` and those
  of ``_h``, one a gate; ``multiplier``, ``exponent`` (1,) of the output; ``sigmoid`` int32 (257,).
- softmax: ``exponentials`` uint32 (256,); log_softmax: these, ``step`` (1,) and ``logarithms`` (66,).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from uc_nn_pio.errors import ModelError, UnsupportedError
from uc_nn_pio.graph.ir import DType, Graph, Node
from uc_nn_pio.graph.ops import (
    Activation,
    ArgMax,
    AvgPool2d,
    Conv2d,
    Elementwise,
    Embedding,
    Gather,
    LayerNorm,
    Linear,
    LogSoftmax,
    Mul,
    PRelu,
    Recurrent,
    Softmax,
)
from uc_nn_pio.graph.quant import HIGHEST, LOWEST, QuantParams, round_half_away, to_int8
from uc_nn_pio.quantize.multiplier import multipliers
from uc_nn_pio.quantize.params import IntegerWeights, keeps_params
from uc_nn_pio.quantize.recurrent import recurrent
from uc_nn_pio.quantize.tables import activation_table, exponentials, log_softmax_step, logarithms

Arrays = dict[str, np.ndarray]


def with_integers(graph: Graph, params: Mapping[str, QuantParams], weights: Mapping[str, IntegerWeights]) -> Graph:
    """The int8 graph.

    Args:
        graph: lowered and prepared; the float weights of convolutions and linears are not read.
        params: of every tensor, by name.
        weights: of every convolution and linear, by the node's name.

    Raises:
        ModelError: an accumulator could overflow, or a scale does not fit.
        UnsupportedError: an operator that int8 does not have.
    """
    taken: Arrays = {}
    nodes = []
    for node in graph.nodes:
        before, after = [params[name] for name in node.inputs], params[node.output]
        if keeps_params(node.op) and any(own != after for own in before):
            raise ModelError(f"{node.op.title} changes the scale of its input", where=str(node.source))
        arrays = _elementwise(node, before, after) if isinstance(node.op, Elementwise) else {}
        arrays = arrays or _constants(graph, node, before[0], after, weights)
        names = {role: _store(taken, node.constants.get(role, f"{node.name}.{role}"), a) for role, a in arrays.items()}
        nodes.append(replace(node, constants=names))
    tensors = {t.name: replace(t, dtype=DType.INT8, quant=params[t.name]) for t in graph.values()}
    return replace(graph, nodes=tuple(nodes), tensors=tensors, constants=taken)


def accumulator_bounds(weights: IntegerWeights) -> list[int]:
    """The largest magnitude of a channel's accumulator, and of its bias with the input's zero point folded in, over all
    inputs: ``|b| + 255 * sum|w|``, one a channel."""
    rows = np.abs(weights.weight.astype(np.int64)).reshape(len(weights.weight), -1).sum(axis=1)
    return [abs(int(b)) + 255 * int(row) for b, row in zip(weights.bias, rows, strict=True)]


def _store(taken: Arrays, name: str, array: np.ndarray) -> str:
    """The name under which ``array`` lies in ``taken``: layers that share a constant share its integers if equal."""
    candidate, number = name, 2
    while candidate in taken and not (
        taken[candidate].dtype == array.dtype and np.array_equal(taken[candidate], array)
    ):
        candidate, number = f"{name}_{number}", number + 1
    taken[candidate] = array
    return candidate


def _constants(
    graph: Graph, node: Node, before: QuantParams, after: QuantParams, weights: Mapping[str, IntegerWeights]
) -> Arrays:
    op = node.op
    if isinstance(op, Conv2d | Linear):
        return _layer(node, before, after, weights[node.name])
    if isinstance(op, Activation):
        return {"table": activation_table(op, before, after)}
    if isinstance(op, AvgPool2d) and op.divisor_override is not None:
        factor = np.float64(before.scale) / op.divisor_override / np.float64(after.scale)
        q, e = multipliers(np.array([factor]), str(node.source))
        return {"multiplier": q, "exponent": e, "clamp": np.array([LOWEST, HIGHEST], np.int32)}
    if isinstance(op, Softmax | LogSoftmax):
        count = graph.tensor(node.output).shape[op.axis]
        arrays = {"exponentials": exponentials(before.scale, count)}
        if isinstance(op, LogSoftmax):
            arrays |= {"step": log_softmax_step(before.scale), "logarithms": logarithms()}
        return arrays
    if isinstance(op, PRelu):
        return _prelu(graph, node, before, after)
    if isinstance(op, LayerNorm):
        return _layer_norm(graph, node, before, after)
    if isinstance(op, ArgMax | Embedding):
        return _places(graph, node, after)
    if isinstance(op, Recurrent):
        return recurrent(graph, node, before, after)
    if isinstance(op, Gather):
        return {"index": graph.constants[node.constants["index"]]}
    if keeps_params(op):
        return {}
    raise UnsupportedError(f"int8 does not have {op.title}", where=str(node.source), next_step="set precision: float32")


def _layer(node: Node, before: QuantParams, after: QuantParams, weights: IntegerWeights) -> Arrays:
    where = str(node.source)
    for channel, bound in enumerate(accumulator_bounds(weights)):
        if bound >= 2**31:
            raise ModelError(
                f"the accumulator of output channel {channel} can overflow 32 bits",
                where=where,
                why=f"|bias| + 255 * sum|weight| is {bound:,} in integers; it must stay under 2^31",
                next_step="a smaller bias, or fewer inputs to the channel",
            )
    factors = _factors(before, after, weights.scale)
    q, e = multipliers(factors, where)
    arrays = {
        "weight": weights.weight,
        "bias": weights.bias,
        "weight_scale": weights.scale,
        "multiplier": q,
        "exponent": e,
        "clamp": _clamp(node.op.activation, after),
    }
    if node.op.activation and node.op.activation.function == "leaky_relu":
        q, e = multipliers(factors * node.op.activation.slope, where)
        arrays |= {"negative_multiplier": q, "negative_exponent": e}
    return arrays


def _elementwise(node: Node, before: Sequence[QuantParams], after: QuantParams) -> Arrays:
    """TensorFlow Lite's: both terms to twice the larger scale, 20 bits in front of it; their sum to the output's. A
    product to the output's at once."""
    scales = [np.float64(params.scale) for params in before]
    common = 2 * max(scales)
    factors = [*(scale / common for scale in scales), common / (2**20 * np.float64(after.scale))]
    if isinstance(node.op, Mul):
        factors = [scales[0] * scales[1] / np.float64(after.scale)]
    q, e = multipliers(np.array(factors), str(node.source))
    return {"multiplier": q, "exponent": e, "clamp": _clamp(node.op.activation, after)}


def _prelu(graph: Graph, node: Node, before: QuantParams, after: QuantParams) -> Arrays:
    slope = graph.constant(node, "slope").astype(np.float64)
    factor = np.float64(before.scale) / np.float64(after.scale)
    q, e = multipliers(np.array([factor]), str(node.source))
    below_q, below_e = multipliers(factor * slope, str(node.source))
    return {"multiplier": q, "exponent": e, "negative_multiplier": below_q, "negative_exponent": below_e}


LARGEST_NORM_WEIGHT, LARGEST_NORM_BIAS, NORM_FRACTION = 2**14 - 1, 2**29, 10
"""Of a layer norm: with 15 bits and a sign of normalized values, 10 of them behind the point, sums fit into int32."""


def _layer_norm(graph: Graph, node: Node, before: QuantParams, after: QuantParams) -> Arrays:
    count = graph.tensor(node.output).shape[0]
    weight, bias = graph.constant(node, "weight"), graph.constant(node, "bias")
    weight = np.ones(count) if weight is None else weight.astype(np.float64)
    bias = np.zeros(count) if bias is None else bias.astype(np.float64)
    scale = float(np.abs(weight).max()) / LARGEST_NORM_WEIGHT or 1.0
    steps = round_half_away(bias / scale * 2**NORM_FRACTION)
    if np.abs(steps).max() > LARGEST_NORM_BIAS:  # a bias far above the weights: these get fewer bits
        scale *= np.abs(steps).max() / LARGEST_NORM_BIAS
        steps = round_half_away(bias / scale * 2**NORM_FRACTION)
    epsilon = max(1, round(node.op.eps * count**2 / float(before.scale) ** 2))
    if epsilon + 2**16 * count**2 >= 2**62:
        raise ModelError(
            "the layer norm's eps is too large for its input's scale",
            where=str(node.source),
            next_step="look at the layer's range in the calibration data",
        )
    q, e = multipliers(np.array([scale / 2**NORM_FRACTION / np.float64(after.scale)]), str(node.source))
    return {
        "weight": round_half_away(weight / scale).astype(np.int32),
        "bias": steps.astype(np.int32),
        "epsilon": np.array([epsilon], np.int64),
        "multiplier": q,
        "exponent": e,
    }


def _places(graph: Graph, node: Node, after: QuantParams) -> Arrays:
    """Rows of an embedding, in the output's scale; there are 256 places in int8."""
    table = graph.constant(node, "weight")
    count = graph.tensor(node.inputs[0]).shape[0] if table is None else len(table)
    if count > 2**8:
        raise UnsupportedError(
            f"{node.op.title} of {count} in int8",
            where=str(node.source),
            why="a place is an int8, of which there are 256",
            next_step="precision: float32",
        )
    return {} if table is None else {"weight": to_int8(table, after)}


def _factors(before: QuantParams, after: QuantParams, weight_scale: np.ndarray) -> np.ndarray:
    """What an accumulator is multiplied by, in double throughout."""
    return np.float64(before.scale) * weight_scale.astype(np.float64) / np.float64(after.scale)


def _clamp(function: Activation | None, after: QuantParams) -> np.ndarray:
    low, high = LOWEST, HIGHEST
    if function and function.function in ("relu", "relu6"):
        low = after.zero_point
    if function and function.function == "relu6":
        high = min(high, after.zero_point + int(round_half_away(np.float32(6) / after.scale)))
    return np.array([low, high], np.int32)
