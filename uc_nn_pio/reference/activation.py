"""Elementwise functions in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import Activation

ZERO, ONE, SIX = np.float32(0), np.float32(1), np.float32(6)

FUNCTIONS: Mapping[str, Callable[[np.ndarray, np.float32], np.ndarray]] = {
    "relu": lambda x, _: np.where(x > ZERO, x, ZERO),
    "relu6": lambda x, _: np.where(x > ZERO, np.where(x < SIX, x, SIX), ZERO),
    "leaky_relu": lambda x, slope: np.where(x > ZERO, x, x * slope),
    "sigmoid": lambda x, _: ONE / (ONE + np.exp(-x)),
    "tanh": lambda x, _: np.tanh(x),
}
"""What C must compute; exp and tanh to the last bits that its math library gives."""


def activation(op: Activation, x: np.ndarray) -> np.ndarray:
    """The function of ``op`` on float32 of any shape.

    Raises:
        UnsupportedError: a function that is not in :data:`FUNCTIONS`.
    """
    if op.function not in FUNCTIONS:
        raise UnsupportedError(f"unknown activation {op.function!r}", why=f"known: {', '.join(FUNCTIONS)}")
    return FUNCTIONS[op.function](x, np.float32(op.slope))
