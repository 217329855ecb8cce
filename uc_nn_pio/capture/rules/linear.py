"""Fully connected layers: ``linear``, core ATen's ``addmm`` and ``mm``, and ``x @ w`` with a constant ``w``."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.capture.rules.base import Rule, Step, activation_input, constant, over_channels, shape_without_batch
from uc_nn_pio.capture.rules.quantization import layer_constants
from uc_nn_pio.capture.trace import Call, Constant, Shape, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import Conv2d, Linear


def linear(call: Call, trace: Trace) -> list[Step]:
    """``weight`` (out, in) as nn.Linear keeps it; along the last axis where there are more."""
    return _linear(call, trace, activation_input(call, trace, "input"), constant(call, trace, "weight"), "bias")


def addmm(call: Call, trace: Trace) -> list[Step]:
    """self + mat1 @ mat2."""
    if call.get("beta", 1) != 1 or call.get("alpha", 1) != 1:
        raise UnsupportedError("addmm with alpha or beta is not supported", next_step="use nn.Linear")
    source = activation_input(call, trace, "mat1")
    return _linear(call, trace, source, _transposed(constant(call, trace, "mat2")), "self")


def matmul(call: Call, trace: Trace) -> list[Step]:
    """x @ w with a constant w of shape (in, out)."""
    role = "mat2" if call.get("mat2") is not None else "other"
    return _linear(call, trace, activation_input(call, trace), _transposed(constant(call, trace, role)), None)


def _transposed(weight: Constant | None) -> Constant | None:
    return weight and weight.moved(np.transpose)


def _linear(call: Call, trace: Trace, source: str, weight: Constant | None, bias_role: str | None) -> list[Step]:
    if weight is None or weight.array.ndim != 2:
        raise UnsupportedError(f"{call.operator} without a constant weight matrix is not supported")
    bias = constant(call, trace, bias_role) if bias_role else None
    outputs = weight.array.shape[:1]
    wide = bias and bias.moved(lambda array: np.broadcast_to(array, outputs))
    constants = layer_constants(weight, wide)
    shape = shape_without_batch(call, trace, call.outputs[0])
    if len(shape) == 1:
        return [Step(Linear(), "linear", (source,), call.outputs[0], shape, constants)]
    # along the last axis of more: a 1x1 convolution, to which this axis is the channels
    each = layer_constants(weight.moved(lambda array: array[:, :, None, None]), wide)

    def step(read: str, made: str, given: Shape) -> Step:
        op = Conv2d(conv_shape=(*outputs, *given[1:]))
        return Step(op, "linear", (read,), made, op.conv_shape, each)

    return over_channels(call, source, call.outputs[0], trace.shapes[source][1:], len(shape) - 1, step)


RULES: dict[str, Rule] = {
    "linear.default": linear,
    "addmm.default": addmm,
    "mm.default": matmul,
    "matmul.default": matmul,
}
