"""Constants of operators that integers compute by table: activations of one value, softmax, log-softmax."""

from __future__ import annotations

import math

import numpy as np

from uc_nn_pio.graph.ops import Activation, Clamp
from uc_nn_pio.graph.quant import HIGHEST, LOWEST, QuantParams, round_half_away

BYTES = np.arange(256).astype(np.uint8).view(np.int8)
"""Every int8 value in the order of a table: the value's byte, read as unsigned, is its index."""

EXPONENTIAL_BITS = 22
LOGARITHM_BITS = 16
SEGMENTS = 64


def activation_table(op: Activation, before: QuantParams, after: QuantParams) -> np.ndarray:
    """int8, (256,), by the value's unsigned byte: the function in double, rounded once, half away from zero."""
    x = (BYTES.astype(np.float64) - before.zero_point) * np.float64(before.scale)
    steps = round_half_away(_function(op, x) / np.float64(after.scale)) + after.zero_point
    return np.clip(steps, LOWEST, HIGHEST).astype(np.int8)


def _function(op: Activation, x: np.ndarray) -> np.ndarray:
    if isinstance(op, Clamp):
        return np.clip(x, op.low, op.high)
    match op.function:
        case "relu":
            return np.maximum(x, 0)
        case "relu6":
            return np.clip(x, 0, 6)
        case "leaky_relu":
            return np.where(x > 0, x, x * op.slope)
        case "sigmoid":
            with np.errstate(over="ignore"):
                return 1 / (1 + np.exp(-x))
        case "tanh":
            return np.tanh(x)
        case "hardsigmoid":
            return np.clip(x + 3, 0, 6) / 6
        case "hardswish":
            return x * np.clip(x + 3, 0, 6) / 6
        case "silu":
            with np.errstate(over="ignore"):
                return x / (1 + np.exp(-x))
        case "gelu":
            return x * (1 + np.array([math.erf(value) for value in x / math.sqrt(2)])) / 2
        case "gelu_tanh":
            return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
        case "elu":
            return np.where(x > 0, x, op.slope * np.expm1(np.minimum(x, 0)))
    raise ValueError(op.function)


def exponentials(scale: np.float32, count: int) -> np.ndarray:
    """uint32, (256,): ``2^p * exp(-scale * i)``, rounded; p is 22, or less where ``count`` terms would pass 32 bits."""
    bits = min(EXPONENTIAL_BITS, 32 - count.bit_length())
    return round_half_away(2.0**bits * np.exp(-np.float64(scale) * np.arange(256))).astype(np.uint32)


def log_softmax_step(scale: np.float32) -> np.ndarray:
    """uint32, (1,): what a step of the input is worth in steps of 1/16, in units of 2^-16; at most 255."""
    step = round_half_away(16 * np.float64(scale) * 2**LOGARITHM_BITS)
    return np.array([min(255 << LOGARITHM_BITS, int(step))], np.uint32)


def logarithms() -> np.ndarray:
    """uint32, (66,): ``16 * ln(1 + i / 64)`` for i in 0..64, then ``16 * ln 2``; in units of 2^-16."""
    values = [16 * math.log1p(i / SEGMENTS) for i in range(SEGMENTS + 1)] + [16 * math.log(2)]
    return round_half_away(np.array(values) * 2**LOGARITHM_BITS).astype(np.uint32)
