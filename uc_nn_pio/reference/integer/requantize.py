"""From an int32 accumulator to int8, exactly as ``docs/numerics.md`` says."""

from __future__ import annotations

import numpy as np

INT32 = np.iinfo(np.int32)


def requantize(acc: np.ndarray, q: np.ndarray, e: np.ndarray, z: int, lo: int = -128, hi: int = 127) -> np.ndarray:
    """``clamp(rescale(acc, q, e) + z)``.

    Args:
        acc: integers within int32, any shape.
        q: int32 multipliers, broadcast against ``acc``.
        e: exponents, -31..30, of the shape of ``q``.
        z: the output's zero point.

    Returns:
        int8. A left shift that leaves int32 saturates, which the clamp then hides.
    """
    return np.clip(rescale(acc, q, e) + z, lo, hi).astype(np.int8)


def rescale(acc: np.ndarray, q: np.ndarray, e: np.ndarray) -> np.ndarray:
    """``acc * q * 2^(e - 31)`` as int64, rounded twice: to the nearest whole number of ``acc * 2^max(e, 0) * q /
    2^31``, halves up; then of that over ``2^max(-e, 0)``, halves away from zero."""
    acc, q, e = (np.asarray(array, np.int64) for array in (acc, q, e))
    shifted = np.clip(acc << np.maximum(e, 0), INT32.min, INT32.max)
    t = (shifted * q + (1 << 30)) >> 31
    n = np.maximum(-e, 0)
    mask = (np.int64(1) << n) - 1
    return (t >> n) + ((t & mask) > (mask >> 1) + (t < 0))
