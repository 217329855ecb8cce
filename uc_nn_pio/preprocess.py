"""From raw bytes to the network's input, in NumPy; the generated C does the same to the bit.

A pixel p (0..255) becomes ``v = (scale * threshold(invert(p)) - mean) / std``: invert gives ``255 - p``; then what is
below the threshold becomes 0; ``mean`` and ``std`` are the channel's. **The truth is a table**: v of each of the 256
bytes, computed in exact fractions (``mean`` and ``std`` are the doubles nearest to the spec's numbers) and rounded
once, to the nearest float32, ties to even. So there is no order of float operations to agree on: C reads the same
table, or uses :func:`quotient` where one correctly rounded division gives the same bits.

Data of stage ``network`` are past invert and threshold; scale, mean and std alone apply to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from uc_nn_pio.errors import ModelError
from uc_nn_pio.graph.quant import HIGHEST, LOWEST, QuantParams, to_int8

if TYPE_CHECKING:
    from uc_nn_pio.spec import Preprocess

STAGES = ("camera", "network")

_EXACT_FLOAT32 = 2**24
"""Whole numbers up to this are exact in float32."""


def preprocess(raw: np.ndarray, how: Preprocess, stage: str) -> np.ndarray:
    """Turn bytes into the network's input.

    Args:
        raw: uint8, (..., C, H, W) or (N,); with ``mean`` or ``std``, C is their length.
        how: the spec's ``input.preprocess``.
        stage: ``camera`` for bytes as the sensor gives them, ``network`` for bytes past invert and threshold.

    Returns:
        float32 of the same shape.

    Raises:
        ModelError: another dtype, another count of channels, or no such stage.
    """
    if raw.dtype != np.uint8:
        raise ModelError(
            f"raw pixels must be uint8, not {raw.dtype}",
            why="the network's input is computed from bytes, so that host and board do the same",
            next_step="store the data before scaling, as 0..255",
        )
    if raw.ndim == 2 or raw.ndim == 0:
        raise ModelError(f"raw pixels must have the shape (C, H, W) or (N,), not {raw.shape}")
    if raw.ndim == 1:
        _check_channels(how, 1)
        return table(how, 0, stage)[raw]
    channels = raw.shape[-3]
    _check_channels(how, channels)
    out = np.empty(raw.shape, dtype=np.float32)
    for channel in range(channels):
        out[..., channel, :, :] = table(how, channel, stage)[raw[..., channel, :, :]]
    return out


def table(how: Preprocess, channel: int, stage: str = "camera") -> np.ndarray:
    """The network's input for each raw byte of a channel: float32, (256,). This is the definition; C holds the same.

    Raises:
        ModelError: no such stage or channel, or a value that float32 cannot hold.
    """
    mean = _of_channel(how.mean, channel, Fraction(0))
    std = _of_channel(how.std, channel, Fraction(1))
    if std == 0:
        raise ModelError(f"std of channel {channel} is 0", why="it is divided by")
    values = [_nearest_float32((how.scale * byte - mean) / std) for byte in stage_bytes(how, stage)]
    return np.array(values, dtype=np.float32)


def int8_table(how: Preprocess, channel: int, params: QuantParams, stage: str = "camera") -> np.ndarray:
    """The int8 network's input for each raw byte of a channel: int8, (256,), :func:`table` quantized.

    With scale 1/255 and a range of 0 to 1 it is the byte past invert and threshold, less 128.
    """
    return to_int8(table(how, channel, stage), params)


@dataclass(frozen=True)
class Line:
    """``clamp((b * factor + offset) >> shift)`` for a byte b; ``clamps`` says whether any byte needs the clamp."""

    factor: int
    offset: int
    shift: int
    clamps: bool

    def text(self, name: str) -> str:
        """The formula in C, for an int32_t variable; without the clamp."""
        product = name if self.factor == 1 else f"{name} * {self.factor}"
        total = f"{product} {'-' if self.offset < 0 else '+'} {abs(self.offset)}" if self.offset else product
        return f"({total}) >> {self.shift}" if self.shift else total


def line_through(values: np.ndarray) -> Line | None:
    """A :class:`Line` that gives ``values`` (256 int8) for the bytes 0..255 exactly, in int32; None if there is none.

    Normalized pixels lie on a line but for their rounding, so one is found with few bits. Values at the ends of int8
    may be the work of a clamp, and bound the line on one side only.
    """
    b = np.arange(256, dtype=np.int64)
    q = np.asarray(values, np.int64)
    free_below, free_above = q == LOWEST, q == HIGHEST
    inner = np.flatnonzero(~free_below & ~free_above)
    slope = (q[inner[-1]] - q[inner[0]]) / (inner[-1] - inner[0]) if len(inner) > 1 else 0.0
    for shift in range(17):
        one = 1 << shift
        for factor in range(int(slope * one) - 2 - one // 100, int(slope * one) + 3 + one // 100):
            lo = (q * one - b * factor)[~free_below].max(initial=-(2**30))
            hi = ((q + 1) * one - 1 - b * factor)[~free_above].min(initial=2**30)
            if lo <= hi and abs(factor) * 255 + max(abs(lo), abs(hi)) < 2**31:
                offset = int((lo + hi) // 2)
                raw = (b * factor + offset) >> shift
                return Line(factor, offset, shift, bool((raw < LOWEST).any() or (raw > HIGHEST).any()))
    return None


def stage_bytes(how: Preprocess, stage: str = "camera") -> list[int]:
    """What invert and threshold make of each of the 256 bytes; at stage ``network`` the bytes themselves."""
    if stage not in STAGES:
        raise ModelError(f"there is no stage {stage!r}", why=f"stages are {' and '.join(STAGES)}")
    if stage == "network":
        return list(range(256))
    inverted = [255 - byte if how.invert else byte for byte in range(256)]
    return [0 if how.threshold is not None and byte < how.threshold else byte for byte in inverted]


def quotient(how: Preprocess) -> tuple[int, int] | None:
    """Whole numbers (n, d) with which ``(float)(n * b) / (float)d`` equals :func:`table` to the bit, or None.

    b is the byte past invert and threshold. Both operands are exact in float32 and IEEE 754 division rounds once, so
    this holds for every byte; it needs no mean and no std. ``d`` is 1 where no division is needed.
    """
    if how.mean is not None or how.std is not None:
        return None
    n, d = how.scale.numerator, how.scale.denominator
    return (n, d) if 255 * abs(n) <= _EXACT_FLOAT32 and d <= _EXACT_FLOAT32 else None


def _of_channel(numbers: tuple[float, ...] | None, channel: int, default: Fraction) -> Fraction:
    if numbers is None:
        return default
    if not 0 <= channel < len(numbers):
        raise ModelError(f"there is no channel {channel}", why=f"mean and std have {len(numbers)}")
    return Fraction(numbers[channel])


def _check_channels(how: Preprocess, channels: int) -> None:
    for name, numbers in (("mean", how.mean), ("std", how.std)):
        if numbers is not None and len(numbers) != channels:
            raise ModelError(
                f"the data have {channels} channels, but input.preprocess.{name} has {len(numbers)} numbers",
                next_step="the axes of the data are C, H, W; give one number a channel",
            )


def _nearest_float32(exact: Fraction) -> np.float32:
    """Round once. Going through double could round twice, so the neighbours are compared with the exact value."""
    with np.errstate(over="ignore"):
        guess = np.float32(float(exact))
        around = [np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf))]
    if not all(np.isfinite(around)):
        raise ModelError(f"preprocessing gives {float(exact):g}, which float32 cannot hold")
    return min(around, key=lambda value: (abs(Fraction(float(value)) - exact), int(value.view(np.uint32)) & 1))
