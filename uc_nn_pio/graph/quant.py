"""Affine quantization of a tensor: ``real = scale * (q - zero_point)`` with q in int8."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uc_nn_pio.errors import ModelError

LOWEST, HIGHEST = -128, 127


@dataclass(frozen=True)
class QuantParams:
    """Scale and zero point of an int8 tensor. The scale is a float32 and stays one.

    Raises:
        ModelError: a scale that is not a positive finite float32, or a zero point that int8 cannot hold.
    """

    scale: np.float32
    zero_point: int

    def __post_init__(self) -> None:
        scale = np.float32(self.scale)
        if not (np.isfinite(scale) and scale > 0):
            raise ModelError(f"{self.scale!r} is no scale", why="a scale is positive and finite in float32")
        if not LOWEST <= self.zero_point <= HIGHEST:
            raise ModelError(f"zero point {self.zero_point} is not in int8")
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "zero_point", int(self.zero_point))


@dataclass(frozen=True)
class Grid:
    """The int8 values that a tensor of an imported network may take, and what they stand for.

    ``lowest`` and ``highest`` are narrower than int8 where the quantizer was told so (``quant_min``, ``quant_max``).

    Raises:
        ModelError: the bounds are not in int8, or in the wrong order.
    """

    params: QuantParams
    lowest: int = LOWEST
    highest: int = HIGHEST

    def __post_init__(self) -> None:
        if not LOWEST <= self.lowest < self.highest <= HIGHEST:
            raise ModelError(f"integers from {self.lowest} to {self.highest} are no range of int8")

    @property
    def whole(self) -> bool:
        """Whether all of int8 may occur."""
        return (self.lowest, self.highest) == (LOWEST, HIGHEST)


def round_half_away(x: np.ndarray | float) -> np.ndarray:
    """The nearest whole number as float64, halves away from zero: C's ``round``, exact for every double."""
    x = np.asarray(x, np.float64)
    whole = np.trunc(x)
    return whole + np.where(np.abs(x - whole) >= 0.5, np.copysign(1.0, x), 0.0)


def to_int8(values: np.ndarray, params: QuantParams) -> np.ndarray:
    """float32 as int8: ``clamp(round_half_away(v / scale) + zero_point)``, the quotient in double."""
    quotient = np.asarray(values, np.float64) / np.float64(params.scale)
    return np.clip(round_half_away(quotient) + params.zero_point, LOWEST, HIGHEST).astype(np.int8)


def to_real(q: np.ndarray, params: QuantParams) -> np.ndarray:
    """What int8 values stand for, in float32."""
    return ((q.astype(np.int32) - params.zero_point) * np.float64(params.scale)).astype(np.float32)
