"""Elementwise functions. A clamp at 0, or from 0 to 6, is relu or relu6 by another name."""

from __future__ import annotations

import math

import numpy as np

from uc_nn_pio.capture.rules.base import (
    Rule,
    Step,
    activation_input,
    affine,
    constant,
    over_channels,
    shape_without_batch,
)
from uc_nn_pio.capture.trace import Call, Shape, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import Activation, Clamp, PRelu


def _step(call: Call, trace: Trace, op: Activation) -> list[Step]:
    source = activation_input(call, trace)
    return [Step(op, op.function, (source,), call.outputs[0], shape_without_batch(call, trace, call.outputs[0]))]


def _plain(function: str) -> Rule:
    def rule(call: Call, trace: Trace) -> list[Step]:
        return _step(call, trace, Activation(function))

    rule.__doc__ = f"{function}, which has no parameters."
    return rule


def leaky_relu(call: Call, trace: Trace) -> list[Step]:
    """x where x > 0, else slope * x."""
    return _step(call, trace, Activation("leaky_relu", slope=float(call.get("negative_slope", 0.01))))


def prelu(call: Call, trace: Trace) -> list[Step]:
    """x where x > 0, else a learned slope times x: one for all channels, or one for each."""
    slope = constant(call, trace, "weight")
    if slope is None:
        raise UnsupportedError(f"{call.operator} without a slope is not supported", next_step="use nn.PReLU")
    if slope.array.size == 1:
        return _step(call, trace, Activation("leaky_relu", slope=float(slope.array.ravel()[0])))
    source = activation_input(call, trace)
    shape = shape_without_batch(call, trace, call.outputs[0])
    constants = {"slope": slope.moved(np.ravel)}

    def step(read: str, made: str, of: Shape) -> Step:
        return Step(PRelu(), "prelu", (read,), made, of, constants)

    return over_channels(call, source, call.outputs[0], shape, 0, step)


def elu(call: Call, trace: Trace) -> list[Step]:
    """x where x > 0, else alpha * (exp(x) - 1); selu and celu, which are elu of a scaled input, scaled."""
    scale, outer, alpha = 1.0, 1.0, float(call.get("alpha", 1.0))
    if call.operator == "selu":
        alpha, outer = 1.6732632423543772, 1.0507009873554805
    elif call.operator == "celu":
        alpha, scale, outer = 1.0, 1 / alpha, alpha
    elif call.get("scale", 1) != 1 or call.get("input_scale", 1) != 1:
        # core ATen's selu and celu: scale * x where x > 0, else scale * alpha * (exp(x * input_scale) - 1)
        scale = float(call.get("input_scale", 1))
        outer, alpha = float(call.get("scale", 1)) / scale, alpha * scale
    source, output = activation_input(call, trace), call.outputs[0]
    shape = shape_without_batch(call, trace, output)
    if scale == outer == 1:
        return _step(call, trace, Activation("elu", slope=alpha))
    before = affine(call, source, f"{output}.scaled", shape, scale, 0.0, aside=True)
    inner = Step(Activation("elu", slope=alpha), "elu", (before[-1].output,), f"{output}.elu", shape)
    return [*before, inner, *affine(call, inner.output, output, shape, outer, 0.0, aside=True)]


def gelu(call: Call, trace: Trace) -> list[Step]:
    """x times the normal distribution's share below x; or its approximation by tanh."""
    return _step(call, trace, Activation("gelu_tanh" if call.get("approximate", "none") == "tanh" else "gelu"))


def clamp(call: Call, trace: Trace) -> list[Step]:
    """A value between two numbers, or on one side of one; relu from 0 on, and relu6 from 0 to 6."""
    unset = (-1.0, 1.0) if call.operator == "hardtanh" else (None, None)
    low = call.get("min", call.get("min_val", unset[0]))
    high = call.get("max", call.get("max_val", unset[1]))
    if low == 0 and high is None:
        return _step(call, trace, Activation("relu"))
    if low == 0 and high == 6:
        return _step(call, trace, Activation("relu6"))
    limits = [-math.inf if low is None else low, math.inf if high is None else high]
    if not all(isinstance(limit, int | float) for limit in limits):
        raise UnsupportedError(
            f"{call.operator} with a tensor as its limit is not supported", next_step="give it two numbers"
        )
    if not limits[0] <= limits[1]:
        raise UnsupportedError(
            f"{call.operator} from {limits[0]:g} to {limits[1]:g} is not supported",
            why="nothing lies between the two",
            next_step="give the lower number first",
        )
    return _step(call, trace, Clamp(low=float(limits[0]), high=float(limits[1])))


def threshold(call: Call, trace: Trace) -> list[Step]:
    """x where x > 0, else 0; other thresholds have no kernel."""
    if call.get("threshold") != 0 or call.get("value") != 0:
        raise UnsupportedError(
            "threshold other than at 0 with value 0 is not supported", next_step="the nearest is relu"
        )
    return _step(call, trace, Activation("relu"))


RULES: dict[str, Rule] = {
    "relu.default": _plain("relu"),
    "relu6.default": _plain("relu6"),
    "sigmoid.default": _plain("sigmoid"),
    "tanh.default": _plain("tanh"),
    "leaky_relu.default": leaky_relu,
    "hardsigmoid.default": _plain("hardsigmoid"),
    "hardswish.default": _plain("hardswish"),
    "silu.default": _plain("silu"),
    "gelu.default": gelu,
    "prelu.default": prelu,
    "_prelu_kernel.default": prelu,
    "elu.default": elu,
    "selu.default": elu,
    "celu.default": elu,
    "hardtanh.default": clamp,
    "clamp.default": clamp,
    "clip.default": clamp,
    "clamp_min.default": clamp,
    "clamp_max.default": clamp,
    "threshold.default": threshold,
}
