"""A positive real factor as a 31-bit integer and a power of two: ``d = q * 2^(e - 31)``.

Source: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
section 2.2; the roundings are TensorFlow Lite's ``QuantizeMultiplier``.
"""

from __future__ import annotations

import numpy as np

from uc_nn_pio.errors import ModelError

LEAST_EXPONENT, LARGEST_EXPONENT = -31, 30


def multipliers(factors: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """(q, e), int32 each, of the factors' shape. A factor under 2^-32 is (0, 0); a negative one, as the slope of a
    leaky ReLU may give, has a negative q.

    Raises:
        ModelError: a factor of 2^30 or more.
    """
    mantissa, e = np.frexp(np.abs(np.asarray(factors, np.float64)))
    q = np.floor(mantissa * 2.0**31 + 0.5).astype(np.int64)
    carried = q == 2**31
    q, e = np.where(carried, q >> 1, q), e + carried
    vanishes = e < LEAST_EXPONENT
    q, e = np.where(vanishes, 0, q), np.where(vanishes, 0, e)
    if (e > LARGEST_EXPONENT).any():
        raise ModelError(
            "the layer's output scale is too small for its weights",
            where=where,
            why=f"an accumulator would be multiplied by {float(np.max(np.abs(factors))):.3g}; 2^30 is the limit",
            next_step="look at the layer's range in the calibration data",
        )
    return (np.sign(factors) * q).astype(np.int32), e.astype(np.int32)
