"""Which picture of a scene is shown now, on one board."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uc_nn_pio.virtual.scene.item import Hold, Item
from uc_nn_pio.virtual.scene.view import Window

if TYPE_CHECKING:
    from uc_nn_pio.virtual.scene import Scene


class Player:
    """Steps through a scene's pictures, each for its frames (that were read) or its seconds (of emulated time).

    ``seen`` is the picture that the camera looked at last; ``over`` says that the scene has ended (``end="stop"``).
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.seen = scene.items[0]
        self.over = False
        self._index = 0
        self._resting = False  # at the last picture for good
        self._frames = 0
        self._since = 0.0
        self._looks = 0

    def item(self, seconds: float) -> Item:
        """The picture shown at ``seconds`` of emulated time since power-up; time must not go backwards."""
        while not self._resting:
            hold = self._hold.seconds
            if hold is None or seconds - self._since < hold:
                break
            self._next(self._since + hold)
        return self.scene.items[self._index]

    def see(self, seconds: float, window: Window, size: tuple[int, int]) -> np.ndarray:
        """What a window of the sensor's field shows now, effects and all, as ``size`` (width, height) pixels."""
        self.seen = self.item(seconds)
        self._looks += 1
        return self.scene.see(self.seen, window, size, self._looks)

    def frame_read(self, seconds: float) -> None:
        """The firmware has read a frame of the picture that was seen last."""
        self._frames += 1
        if self._hold.seconds is None and self._frames >= self._hold.frames:
            self._next(seconds)

    @property
    def _hold(self) -> Hold:
        return self.scene.items[self._index].hold or Hold()

    def _next(self, seconds: float) -> None:
        self._frames = 0
        self._since = seconds
        if self._index + 1 < len(self.scene.items):
            self._index += 1
        elif self.scene.end == "loop":
            self._index = 0
        else:
            self._resting = True
            self.over = self.scene.end == "stop"
