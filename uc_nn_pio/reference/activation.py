"""Elementwise functions in float32."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import Activation, Clamp

ZERO, HALF, ONE, THREE, SIX = (np.float32(value) for value in (0, 0.5, 1, 3, 6))
ROOT_2_PI, CUBE = np.float32(math.sqrt(2 / math.pi)), np.float32(0.044715)

_erf = np.vectorize(math.erf, otypes=[np.float32])

FUNCTIONS: Mapping[str, Callable[[np.ndarray, np.float32], np.ndarray]] = {
    "relu": lambda x, _: np.where(x > ZERO, x, ZERO),
    "relu6": lambda x, _: np.where(x > ZERO, np.where(x < SIX, x, SIX), ZERO),
    "leaky_relu": lambda x, slope: np.where(x > ZERO, x, x * slope),
    "sigmoid": lambda x, _: ONE / (ONE + np.exp(-x)),
    "tanh": lambda x, _: np.tanh(x),
    "hardsigmoid": lambda x, _: np.clip(x + THREE, ZERO, SIX) / SIX,
    "hardswish": lambda x, _: x * np.clip(x + THREE, ZERO, SIX) / SIX,
    "silu": lambda x, _: x / (ONE + np.exp(-x)),
    "gelu": lambda x, _: HALF * x * (ONE + _erf(x * np.float32(math.sqrt(0.5)))),
    "gelu_tanh": lambda x, _: HALF * x * (ONE + np.tanh(ROOT_2_PI * (x + CUBE * x * x * x))),
    "elu": lambda x, alpha: np.where(x > ZERO, x, alpha * np.expm1(np.minimum(x, ZERO))),
}
"""What C must compute; exp and tanh to the last bits that its math library gives."""


def activation(op: Activation, x: np.ndarray) -> np.ndarray:
    """The function of ``op`` on float32 of any shape.

    Raises:
        UnsupportedError: a function that is not in :data:`FUNCTIONS`.
    """
    if isinstance(op, Clamp):
        return np.clip(x, np.float32(op.low), np.float32(op.high))
    if op.function not in FUNCTIONS:
        raise UnsupportedError(f"unknown activation {op.function!r}", why=f"known: {', '.join(FUNCTIONS)}")
    return FUNCTIONS[op.function](x, np.float32(op.slope))
