"""Pixels as the OV2640's DSP puts them out: gray, YUV422 and RGB565 with their byte orders; the colour bars."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.virtual.scene import Window
from uc_nn_pio.virtual.scene.view import FIELD_WIDTH

# IMAGE_MODE (0xDA): data sheet; names as in Linux's ov2640 driver
Y8_DVP_EN, JPEG_EN, FORMAT_MASK, RAW10, RGB565, LBYTE_FIRST = 0x40, 0x10, 0x0C, 0x04, 0x08, 0x01
VFIRST = 0x10  # CTRL0 (0xC2)

BARS = np.array(
    [(255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 255), (255, 0, 0), (0, 0, 255), (0, 0, 0)],
    np.uint8,
)
"""Eight bars of full colour from bright to dark (their order and colours: chosen)."""


def colour_bars(window: Window, width: int, height: int) -> np.ndarray:
    """The test pattern in a window of the field, (height, width, 3) uint8."""
    middles = window.left + (np.arange(width) + 0.5) * window.width / width
    row = BARS[np.clip(middles * len(BARS) // FIELD_WIDTH, 0, len(BARS) - 1).astype(int)]
    return np.broadcast_to(row, (height, width, 3))


def luma(pixels: np.ndarray) -> np.ndarray:
    """Gray of (H, W) or (H, W, 3) pixels: ITU-R BT.601, full range, in whole numbers as Pillow's mode L."""
    if pixels.ndim == 2:
        return pixels
    weighted = pixels.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32)
    return (weighted + 0x8000 >> 16).astype(np.uint8)


def encode(pixels: np.ndarray, image_mode: int, ctrl0: int) -> bytes:
    """A picture as IMAGE_MODE (0xDA) says: Y8, RGB565 or YUV422, high byte first unless bit 0 swaps them.

    Args:
        pixels: (H, W) or (H, W, 3) uint8, of even width.
        ctrl0: register 0xC2; bit 4 puts V in front of U.
    """
    if image_mode & Y8_DVP_EN:
        return luma(pixels).tobytes()
    swapped = bool(image_mode & LBYTE_FIRST)
    if image_mode & FORMAT_MASK == RGB565:
        wide = (pixels if pixels.ndim == 3 else pixels[..., None].repeat(3, axis=2)).astype(np.uint16)
        words = wide[..., 0] >> 3 << 11 | wide[..., 1] >> 2 << 5 | wide[..., 2] >> 3
        return words.astype("<u2" if swapped else ">u2").tobytes()
    y = luma(pixels)
    u, v = _chroma(pixels, y)
    chroma = np.stack([v, u] if ctrl0 & VFIRST else [u, v], axis=-1).reshape(y.shape)
    return np.stack([chroma, y] if swapped else [y, chroma], axis=-1).tobytes()


def _chroma(pixels: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """U and V, one of each for two pixels side by side: that of their mean."""
    if pixels.ndim == 2:
        neutral = np.full((y.shape[0], y.shape[1] // 2), 128, np.uint8)
        return neutral, neutral
    wide, light = pixels.astype(np.float64), y.astype(np.float64)
    found = []
    for channel, factor in ((2, 0.564), (0, 0.713)):
        difference = factor * (wide[..., channel] - light)
        pairs = difference.reshape(y.shape[0], -1, 2).mean(axis=2)
        found.append(np.clip(np.rint(128 + pairs), 0, 255).astype(np.uint8))
    return found[0], found[1]
