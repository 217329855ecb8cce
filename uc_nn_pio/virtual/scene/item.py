"""One picture of a scene, and how long it is shown."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from uc_nn_pio.errors import VirtualBoardError

SHORTEST_SECONDS = 0.001


@dataclass(frozen=True)
class Hold:
    """How long a picture is shown: until so many frames of it were read, or for so many seconds of emulated time."""

    frames: int = 1
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Hold:
        """``3`` is three frames, ``0.5s`` half a second.

        Raises:
            VirtualBoardError: neither, or less than one frame or a millisecond.
        """
        if re.fullmatch(r"[0-9]{1,9}", text) and int(text) > 0:
            return cls(frames=int(text))
        if re.fullmatch(r"[0-9]{0,9}\.?[0-9]{1,9}s", text) and float(text[:-1]) >= SHORTEST_SECONDS:
            return cls(seconds=float(text[:-1]))
        raise VirtualBoardError(
            f"a picture cannot be held for {text!r}",
            why=f"it is a number of frames, or of seconds (at least {SHORTEST_SECONDS:g}) with an s behind it",
            next_step="write 3 or 0.5s",
        )


@dataclass(frozen=True)
class Item:
    """One picture: an (H, W) or (H, W, 3) array of uint8, a name for the log, and the label if the source knows it.

    ``hold`` is one frame where it is ``None``; ``border``, the colour beside the picture with one number a channel, is
    that of the picture's own edge.
    """

    name: str
    pixels: np.ndarray
    label: int | str | None = None
    hold: Hold | None = None
    border: tuple[int, ...] | None = None
