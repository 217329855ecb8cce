"""What a desk, a lamp and a cheap lens do to a picture, with a strength each, so that robustness can be measured.

Applied in this order: scale, tilt, shift (of the picture, about the middle of the field of view), blur (of the lens),
contrast, brightness (of the light), noise (of the sensor; new in every frame). All of them come before the sensor's own
exposure, negative and format.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.virtual.scene.view import FIELD_HEIGHT, FIELD_WIDTH, Window, see

OVERSAMPLE = 4  # each way, where a picture is turned or moved
SHEET_PIXELS = 4 << 20

LIMITS: dict[str, tuple[float, float]] = {
    "scale": (0.1, 10),
    "tilt": (-180, 180),
    "shift": (-1, 1),
    "blur": (0, 0.5),
    "contrast": (0, 10),
    "brightness": (-1, 1),
    "noise": (0, 1),
}


@dataclass(frozen=True)
class Effects:
    """Strengths; the defaults change nothing.

    Args:
        scale: size of the picture, 1 as fitted.
        tilt: degrees counter-clockwise.
        shift: (dx, dy) to the right and down, in heights of the field of view: 0.1 is 6.4 of 64 rows.
        blur: standard deviation of a Gaussian, in heights of the field of view.
        contrast: factor about mid-gray (127.5).
        brightness: added, in parts of full scale: 0.1 is 25.5 gray levels.
        noise: standard deviation, in parts of full scale.
        seed: of the noise. The same seed and frame number give the same noise.

    Raises:
        VirtualBoardError: a strength outside ``LIMITS``.
    """

    scale: float = 1.0
    tilt: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    blur: float = 0.0
    contrast: float = 1.0
    brightness: float = 0.0
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            for number in value if isinstance(value, tuple) else (value,):
                if not low <= number <= high:
                    raise VirtualBoardError(
                        f"scene effect {name} = {number:g} is out of range", why=f"it goes from {low:g} to {high:g}"
                    )
        if self.seed < 0:
            raise VirtualBoardError(f"scene effect seed = {self.seed} is out of range", why="it is 0 or more")

    @property
    def moves(self) -> bool:
        """Whether the picture is scaled, turned or shifted."""
        return (self.scale, self.tilt, *self.shift) != (1, 0, 0, 0)

    def apply(
        self, pixels: np.ndarray, window: Window, size: tuple[int, int], border: tuple[int, ...], frame: int = 0
    ) -> np.ndarray:
        """A window of the field, with all effects, as ``size`` (width, height) pixels.

        Args:
            pixels: (H, W) or (H, W, 3) uint8, fitted into the field.
            border: colour beside the picture, one number a channel.
            frame: number of the frame, for the noise.

        Returns:
            (height, width) or (height, width, 3) uint8; exactly what ``see`` gives if no effect is set.
        """
        look = self._moved if self.moves else see
        found = look(pixels, window, size, border)
        if self.blur:
            found = _blurred(found, self._sigma(window, size))
        if (self.contrast, self.brightness, self.noise) == (1, 0, 0):
            return _bytes(found)
        light = (found.astype(np.float64) - 127.5) * self.contrast + 127.5 + 255 * self.brightness
        if self.noise:
            light += np.random.default_rng([self.seed, frame]).normal(0, 255 * self.noise, light.shape)
        return _bytes(light)

    def _sigma(self, window: Window, size: tuple[int, int]) -> tuple[float, float]:
        """Blur in output pixels, down and across."""
        length = self.blur * FIELD_HEIGHT
        return length * size[1] / window.height, length * size[0] / window.width

    def _moved(self, pixels: np.ndarray, window: Window, size: tuple[int, int], border: tuple[int, ...]) -> np.ndarray:
        """The whole field drawn on a fine sheet, then sampled where each fine output pixel comes from."""
        fine = max(1, min(OVERSAMPLE, math.isqrt(SHEET_PIXELS // (size[0] * size[1])) if size[0] * size[1] else 1))
        width, height = size[0] * fine, size[1] * fine
        step = window.width / width, window.height / height
        sheet_size = min(2048, math.ceil(FIELD_WIDTH / step[0])), min(1536, math.ceil(FIELD_HEIGHT / step[1]))
        sheet = Image.fromarray(np.ascontiguousarray(see(pixels, Window(), sheet_size, border)))
        fill = border[0] if sheet.mode == "L" else border
        coefficients = self._backwards(window, step, sheet_size)
        moved = sheet.transform(
            (width, height), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR, fillcolor=fill
        )
        return np.asarray(moved.reduce(fine) if fine > 1 else moved)

    def _backwards(self, window: Window, step: tuple[float, float], sheet: tuple[int, int]) -> tuple[float, ...]:
        """Output pixel to sheet pixel, as Pillow takes it: x = a u + b v + c, y = d u + e v + f."""
        angle = math.radians(self.tilt)
        cosine, sine = math.cos(angle) / self.scale, math.sin(angle) / self.scale
        middle_x, middle_y = FIELD_WIDTH / 2, FIELD_HEIGHT / 2
        from_x = window.left - middle_x - self.shift[0] * FIELD_HEIGHT
        from_y = window.top - middle_y - self.shift[1] * FIELD_HEIGHT
        zoom_x, zoom_y = sheet[0] / FIELD_WIDTH, sheet[1] / FIELD_HEIGHT
        start_x = cosine * from_x - sine * from_y + middle_x
        start_y = sine * from_x + cosine * from_y + middle_y
        return (
            *(zoom_x * cosine * step[0], -zoom_x * sine * step[1], zoom_x * start_x),
            *(zoom_y * sine * step[0], zoom_y * cosine * step[1], zoom_y * start_y),
        )


def _blurred(pixels: np.ndarray, sigmas: tuple[float, float]) -> np.ndarray:
    found = pixels.astype(np.float64)
    for axis, sigma in enumerate(sigmas):
        reach = min(math.ceil(3 * sigma), found.shape[axis])
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        weights /= weights.sum()
        margin = [(reach, reach) if at == axis else (0, 0) for at in range(found.ndim)]
        padded = np.pad(found, margin, mode="edge")
        length = found.shape[axis]
        found = sum(weight * np.take(padded, range(at, at + length), axis=axis) for at, weight in enumerate(weights))  # type: ignore[assignment]
    return found


def _bytes(values: np.ndarray) -> np.ndarray:
    return values if values.dtype == np.uint8 else np.clip(np.rint(values), 0, 255).astype(np.uint8)
