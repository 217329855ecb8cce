"""What the camera looks at: pictures from files, one after another, fitted into the sensor's 4:3 field of view.

``files`` reads them, ``item`` is one of them, ``player`` steps through them on a board, ``view`` places and resamples,
``effects`` spoils them for tests of robustness.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.virtual.scene.effects import Effects
from uc_nn_pio.virtual.scene.files import PAPER, SCREEN, checked, load_items
from uc_nn_pio.virtual.scene.item import Hold, Item
from uc_nn_pio.virtual.scene.player import Player
from uc_nn_pio.virtual.scene.view import SQUARE, Window, border_of, fit_picture, see

__all__ = [
    "PAPER",
    "SCREEN",
    "SQUARE",
    "Effects",
    "Hold",
    "Item",
    "Player",
    "Scene",
    "Window",
    "border_of",
    "fit_picture",
    "see",
]

ENDS = ("loop", "hold", "stop")
NO_EFFECTS = Effects()


class Scene:
    """A sequence of pictures. ``end`` says what follows the last: ``loop``, ``hold`` it, or ``stop`` the board.

    It is never changed, so several boards may look at one scene; where each of them is, a :class:`Player` knows.
    """

    def __init__(self, items: Sequence[Item], end: str = "loop", effects: Effects = NO_EFFECTS) -> None:
        if not items:
            raise VirtualBoardError(
                "the scene has no picture", next_step="give a PNG, npz or MNIST idx file, or a folder"
            )
        if end not in ENDS:
            raise VirtualBoardError(f"a scene cannot end with {end!r}", why=f"it ends with one of {', '.join(ENDS)}")
        self.items = tuple(items)
        self.end = end
        self.effects = effects

    def __len__(self) -> int:
        return len(self.items)

    def see(self, item: Item, window: Window, size: tuple[int, int], frame: int = 0) -> np.ndarray:
        """What a window of the sensor's field shows of a picture, with the scene's effects.

        Args:
            window: in pixels of the 1600 x 1200 field.
            size: (width, height) of the result.
            frame: number of the frame, for the noise.

        Returns:
            (height, width) or (height, width, 3) uint8.
        """
        border = item.border if item.border is not None else border_of(item.pixels)
        channels = 1 if item.pixels.ndim == 2 else 3
        border = border * channels if len(border) < channels else border[:channels]
        return self.effects.apply(item.pixels, window, size, border, frame)

    @classmethod
    def of(
        cls,
        images: np.ndarray,
        labels: Iterable[int] | None = None,
        *,
        end: str = "loop",
        effects: Effects = NO_EFFECTS,
    ) -> Scene:
        """A scene from an (N, H, W), (N, H, W, 3) or (H, W) array of uint8, as the camera sees it."""
        images = checked(images[None] if images.ndim == 2 else images, "array")
        names = list(labels) if labels is not None else [None] * len(images)
        return cls([Item(f"image {i}", images[i], names[i]) for i in range(len(images))], end, effects)

    @classmethod
    def load(
        cls,
        path: Path | str | Sequence[Path | str],
        *,
        polarity: str | None = None,
        end: str = "loop",
        hold: Hold | None = None,
        border: int | None = None,
        effects: Effects = NO_EFFECTS,
    ) -> Scene:
        """Read a file, a folder (its files in order of their names), or several of both.

        Args:
            path: PNG (or another picture), ``.npz`` with ``images`` (N, H, W) or (N, H, W, 3) uint8 and perhaps
                ``labels``, MNIST idx files (plain or ``.gz``; labels are looked for beside them), or ``.txt``, a list
                of such files.
            polarity: ``paper`` shows MNIST and npz pictures (bright on black) as dark ink on bright paper, ``screen``
                as they are. Default: ``paper`` for idx files, the others as they are. Given, it holds for all.
            end: ``loop``, ``hold`` or ``stop``.
            hold: how long each picture is shown, where a list does not say it; one frame by default.
            border: gray level beside pictures that are not 4:3; default: that of the picture's own edge.
            effects: what spoils the view.

        Raises:
            VirtualBoardError: nothing there, or not one of these formats.
        """
        if polarity not in (None, PAPER, SCREEN):
            raise VirtualBoardError(f"polarity {polarity!r} is not known", why="it is 'paper' or 'screen'")
        if border is not None and not 0 <= border <= 255:
            raise VirtualBoardError(f"a border of {border} is no gray level", why="it goes from 0 to 255")
        paths = [path] if isinstance(path, str | Path) else path
        items = [item for each in paths for item in load_items(Path(each), polarity)]
        if hold is not None:
            items = [replace(item, hold=hold) if item.hold is None else item for item in items]
        if border is not None:
            items = [replace(item, border=(border,)) for item in items]
        return cls(items, end, effects)
