"""From a picture of any size to what the sensor's pixels get: placing, windowing, resampling.

The sensor looks at a field of 1600 x 1200 (UXGA) pixels. A picture is fitted into it whole, centred, with its border
colour around it. A window of that field becomes a frame in one resampling step, bilinear where it grows, weighted means
where it shrinks (as Pillow's ``BILINEAR`` does), so a square picture through a square window of full height is
``fit_picture`` of it to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from PIL import Image

FIELD_WIDTH, FIELD_HEIGHT = 1600, 1200
LARGEST = 4096  # pixels each way; larger pictures are shrunk to this first


@dataclass(frozen=True)
class Window:
    """A part of the field of view, in UXGA pixels; the whole of it by default."""

    left: int = 0
    top: int = 0
    width: int = FIELD_WIDTH
    height: int = FIELD_HEIGHT


SQUARE = Window(200, 0, 1200, 1200)
"""The middle square, to which the project's firmware crops."""


def fit_picture(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Fit a picture to ``width`` x ``height``: bilinear, filling the frame, cut at the centre where shapes differ.

    Args:
        pixels: (H, W) or (H, W, 3) uint8.

    Returns:
        (height, width) or (height, width, 3) uint8.
    """
    rows, columns = pixels.shape[:2]
    if (rows, columns) == (height, width):
        return pixels
    scale = max(width / columns, height / rows)
    cut_w, cut_h = width / scale, height / scale
    left, top = (columns - cut_w) / 2, (rows - cut_h) / 2
    return _resize(pixels, width, height, (left, top, left + cut_w, top + cut_h))


def border_of(pixels: np.ndarray) -> tuple[int, ...]:
    """The median of a picture's outermost pixels, one number a channel: paper, for ink on paper."""
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).reshape(-1, _channels(pixels))
    return tuple(int(value) for value in np.median(edge, axis=0))


def see(pixels: np.ndarray, window: Window, size: tuple[int, int], border: tuple[int, ...]) -> np.ndarray:
    """What a window of the field shows, as ``size`` (width, height) pixels.

    Args:
        pixels: (H, W) or (H, W, 3) uint8, fitted into the field.
        border: colour beside the picture, one number a channel.
    """
    pixels = _shrink(pixels)
    rows, columns = pixels.shape[:2]
    scale = min(Fraction(FIELD_WIDTH, columns), Fraction(FIELD_HEIGHT, rows))
    left = (window.left - (FIELD_WIDTH - columns * scale) / 2) / scale
    top = (window.top - (FIELD_HEIGHT - rows * scale) / 2) / scale
    right, bottom = left + window.width / scale, top + window.height / scale
    if size == (columns, rows) and (left, top, right, bottom) == (0, 0, columns, rows):
        return pixels
    before = (max(0, math.ceil(-top)), max(0, math.ceil(-left)))
    after = (max(0, math.ceil(bottom - rows)), max(0, math.ceil(right - columns)))
    if any(before + after):
        pixels = _surround(pixels, before, after, border)
    box = (left + before[1], top + before[0], right + before[1], bottom + before[0])
    return _resize(pixels, *size, tuple(float(edge) for edge in box))


def _resize(pixels: np.ndarray, width: int, height: int, box: tuple[float, ...] | None = None) -> np.ndarray:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))


def _shrink(pixels: np.ndarray) -> np.ndarray:
    rows, columns = pixels.shape[:2]
    factor = LARGEST / max(rows, columns)
    if factor >= 1:
        return pixels
    return _resize(pixels, max(1, round(columns * factor)), max(1, round(rows * factor)))


def _surround(
    pixels: np.ndarray, before: tuple[int, int], after: tuple[int, int], border: tuple[int, ...]
) -> np.ndarray:
    rows, columns = pixels.shape[:2]
    shape = (before[0] + rows + after[0], before[1] + columns + after[1], *pixels.shape[2:])
    sheet = np.empty(shape, np.uint8)
    sheet[...] = border[0] if pixels.ndim == 2 else border
    sheet[before[0] : before[0] + rows, before[1] : before[1] + columns] = pixels
    return sheet


def _channels(pixels: np.ndarray) -> int:
    return 1 if pixels.ndim == 2 else pixels.shape[2]
