"""Scales and zero points: of activations from their range, of weights from their values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uc_nn_pio.errors import ModelError
from uc_nn_pio.graph.ops import (
    Activation,
    AdaptiveAvgPool2d,
    ArgMax,
    AvgPool2d,
    Concat,
    Gather,
    LogSoftmax,
    MaxPool2d,
    Op,
    Pad,
    Permute,
    Softmax,
)
from uc_nn_pio.graph.quant import HIGHEST, LOWEST, QuantParams, round_half_away

LARGEST_BIAS = 2**30
"""Largest magnitude that :func:`quantized_weights` gives a bias; the other half of int32 is left to the products."""

_SMALLEST_SCALE = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class Range:
    """Smallest and largest value that a tensor takes; quantization widens it to include 0."""

    low: float
    high: float

    def with_zero(self) -> Range:
        return Range(min(self.low, 0.0), max(self.high, 0.0))


@dataclass(frozen=True)
class IntegerWeights:
    """A layer's weights: int8 ``weight`` in the layer's own shape, ``scale`` float32 of one element or one a channel,
    int32 ``bias`` in units of input scale * weight scale."""

    weight: np.ndarray
    scale: np.ndarray
    bias: np.ndarray


def activation_params(range_: Range) -> QuantParams:
    """The range, widened to include 0, in 255 steps; scale 1 for a range of one value.

    Raises:
        ModelError: the range is wider than float32, or no number.
    """
    wide = range_.with_zero()
    with np.errstate(over="ignore"):
        scale = np.float32((wide.high - wide.low) / 255)
    if scale < _SMALLEST_SCALE:
        scale = np.float32(1)
    if not np.isfinite(scale):
        raise ModelError(f"values from {range_.low:g} to {range_.high:g} cannot be quantized")
    zero_point = np.clip(round_half_away(LOWEST - wide.low / float(scale)), LOWEST, HIGHEST)
    return QuantParams(scale, int(zero_point))


def keeps_params(op: Op) -> bool:
    """Whether the operator's output has the scale and zero point of its input, or of all of them."""
    if isinstance(op, AvgPool2d):
        return op.divisor_override is None
    return isinstance(op, MaxPool2d | AdaptiveAvgPool2d | Concat | Gather | Pad | Permute)


INDEX = QuantParams(np.float32(1), LOWEST)
"""Of places: whole numbers from 0 to 255."""


def fixed_params(op: Op) -> QuantParams | None:
    """The parameters of an operator whose output has a known range: TensorFlow Lite's; else None."""
    name = op.function if isinstance(op, Activation) else type(op)
    return {
        "sigmoid": QuantParams(np.float32(1 / 256), -128),
        "tanh": QuantParams(np.float32(1 / 128), 0),
        Softmax: QuantParams(np.float32(1 / 256), -128),
        LogSoftmax: QuantParams(np.float32(16 / 256), 127),
        ArgMax: INDEX,
    }.get(name)


def quantized_weights(
    weight: np.ndarray, bias: np.ndarray | None, input_scale: np.float32, per_channel: bool
) -> IntegerWeights:
    """Symmetric int8 in [-127, 127]; a channel is an index of the weight's first axis.

    ``scale = max|w| / 127``, or larger where the bias would pass :data:`LARGEST_BIAS`: tiny weights beside a normal
    bias, as a batch norm that has shut a channel leaves them. 1 where weights and bias are all 0.
    """
    weight = np.asarray(weight, np.float64)
    bias = np.zeros(len(weight)) if bias is None else np.asarray(bias, np.float64)
    largest = np.abs(weight.reshape(len(weight), -1)).max(axis=1)
    least = np.abs(bias) / (np.float64(input_scale) * LARGEST_BIAS)
    if not per_channel:
        largest, least = largest.max(keepdims=True), least.max(keepdims=True)
    scale = np.maximum(largest / 127, least).astype(np.float32)
    scale = np.where(scale < _SMALLEST_SCALE, np.float32(1), scale)
    wide = scale.astype(np.float64).reshape(-1, *(1,) * (weight.ndim - 1))
    q = np.clip(round_half_away(weight / wide), -127, 127).astype(np.int8)
    limits = np.iinfo(np.int32)
    steps = round_half_away(bias / (np.float64(input_scale) * scale.astype(np.float64)))
    return IntegerWeights(q, scale, np.clip(steps, limits.min, limits.max).astype(np.int32))
