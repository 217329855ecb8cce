"""What the camera looks at: pictures from PNG, npz, MNIST idx files, or a folder of them, one after another."""

from __future__ import annotations

import gzip
import struct
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from uc_nn_pio.errors import VirtualBoardError

PAPER, SCREEN = "paper", "screen"
ENDS = ("loop", "hold", "stop")
PICTURE_SUFFIXES = (".png", ".bmp", ".pgm", ".jpg", ".jpeg")
IDX_IMAGES, IDX_LABELS = 2051, 2049


@dataclass(frozen=True)
class Item:
    """One picture: an (H, W) array of uint8, a name for the log, and the label if the source knows it."""

    name: str
    pixels: np.ndarray
    label: int | str | None = None


def fit_picture(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Fit a gray picture to ``width`` x ``height``: bilinear, filling the frame, cut at the centre where shapes differ.

    Args:
        pixels: (H, W) uint8.

    Returns:
        (height, width) uint8.
    """
    rows, columns = pixels.shape
    if (rows, columns) == (height, width):
        return pixels
    scale = max(width / columns, height / rows)
    cut_w, cut_h = width / scale, height / scale
    left, top = (columns - cut_w) / 2, (rows - cut_h) / 2
    image = Image.fromarray(np.ascontiguousarray(pixels))
    box = (left, top, left + cut_w, top + cut_h)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))


class Scene:
    """A sequence of pictures. ``end`` says what follows the last: ``loop``, ``hold`` it, or ``stop`` the board."""

    def __init__(self, items: Sequence[Item], end: str = "loop") -> None:
        if not items:
            raise VirtualBoardError(
                "the scene has no picture", next_step="give a PNG, npz or MNIST idx file, or a folder"
            )
        if end not in ENDS:
            raise VirtualBoardError(f"a scene cannot end with {end!r}", why=f"it ends with one of {', '.join(ENDS)}")
        self.items = tuple(items)
        self.end = end

    def __len__(self) -> int:
        return len(self.items)

    def at(self, frame: int) -> Item:
        """The picture of the ``frame``-th frame that is read, from 0."""
        if self.end == "loop":
            return self.items[frame % len(self.items)]
        return self.items[min(frame, len(self.items) - 1)]

    def over(self, frame: int) -> bool:
        """Whether the scene ends before the ``frame``-th frame."""
        return self.end == "stop" and frame >= len(self.items)

    @classmethod
    def of(cls, images: np.ndarray, labels: Iterable[int] | None = None, *, end: str = "loop") -> Scene:
        """A scene from an (N, H, W) or (H, W) array of uint8, as the camera sees it."""
        images = _checked(np.atleast_3d(images) if images.ndim == 3 else images[None], "array")
        names = list(labels) if labels is not None else [None] * len(images)
        return cls([Item(f"image {i}", images[i], names[i]) for i in range(len(images))], end)

    @classmethod
    def load(cls, path: Path | str, *, polarity: str | None = None, end: str = "loop") -> Scene:
        """Read a file or a folder (its files in order of their names).

        Args:
            path: PNG (or another picture), ``.npz`` with ``images`` (N, H, W) uint8 and perhaps ``labels``, or MNIST
                idx files (plain or ``.gz``; labels are looked for beside them).
            polarity: ``paper`` shows MNIST and npz pictures (bright on black) as dark ink on bright paper, ``screen``
                as they are. Default: ``paper`` for idx files, the others as they are. Given, it holds for all.
            end: ``loop``, ``hold`` or ``stop``.

        Raises:
            VirtualBoardError: nothing there, or not one of these formats.
        """
        path = Path(path)
        if polarity not in (None, PAPER, SCREEN):
            raise VirtualBoardError(f"polarity {polarity!r} is not known", why="it is 'paper' or 'screen'")
        return cls(_load(path, polarity), end)


def _load(path: Path, polarity: str | None) -> list[Item]:
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.is_file() and _kind(p) is not None)
        return [item for file in files for item in _load(file, polarity)]
    if not path.exists():
        raise VirtualBoardError("the scene does not exist", where=str(path))
    kind = _kind(path)
    if kind is None:
        raise VirtualBoardError(
            "this file is no scene", where=str(path), why="it is no picture, no .npz and no MNIST idx file of images"
        )
    try:
        items = {"picture": _picture, "npz": _npz, "idx": _idx}[kind](path)
    except (OSError, ValueError, KeyError, struct.error, zipfile.BadZipFile, UnidentifiedImageError, EOFError) as error:
        raise VirtualBoardError("this scene cannot be read", where=str(path), why=str(error)) from error
    if polarity == PAPER or (polarity is None and kind == "idx"):
        items = [replace(item, pixels=255 - item.pixels) for item in items]
    return items


def _kind(path: Path) -> str | None:
    name = path.name.lower()
    if name.endswith(PICTURE_SUFFIXES):
        return "picture"
    if name.endswith(".npz"):
        return "npz"
    if "idx" in name and "label" not in name:
        return "idx"
    return None


def _picture(path: Path) -> list[Item]:
    with Image.open(path) as image:
        return [Item(path.name, np.asarray(image.convert("L")))]


def _npz(path: Path) -> list[Item]:
    with np.load(path, allow_pickle=False) as archive:
        images = _checked(archive["images"], str(path))
        labels = archive["labels"].tolist() if "labels" in archive.files else [None] * len(images)
    if len(labels) != len(images):
        raise ValueError(f"{len(images)} images, {len(labels)} labels")
    return [Item(f"{path.name}[{i}]", images[i], labels[i]) for i in range(len(images))]


def _checked(images: np.ndarray, where: str) -> np.ndarray:
    if images.ndim == 4 and 1 in (images.shape[1], images.shape[3]):
        images = images.squeeze(1 if images.shape[1] == 1 else 3)
    if images.ndim != 3 or images.dtype != np.uint8:
        raise VirtualBoardError(
            f"a scene needs 'images' of shape (N, H, W) and type uint8, not {images.shape} {images.dtype}", where=where
        )
    return images


def _idx(path: Path) -> list[Item]:
    data = _bytes(path)
    magic, count, rows, columns = struct.unpack(">4I", data[:16])
    if magic != IDX_IMAGES or len(data) != 16 + count * rows * columns:
        raise ValueError(f"no idx file of images (magic {magic}, {len(data)} bytes)")
    images = np.frombuffer(data, np.uint8, offset=16).reshape(count, rows, columns)
    labels = _idx_labels(path, count)
    return [Item(f"{path.name}[{i}]", images[i], labels[i]) for i in range(count)]


def _idx_labels(path: Path, count: int) -> list[int] | list[None]:
    stem = path.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    for candidate in (path.with_name(stem), path.with_name(stem + ".gz")):
        if candidate.exists() and candidate != path:
            data = _bytes(candidate)
            magic, number = struct.unpack(">2I", data[:8])
            if magic != IDX_LABELS or number != count or len(data) != 8 + number:
                raise ValueError(f"{candidate.name} does not hold the {count} labels")
            return list(data[8:])
    return [None] * count


def _bytes(path: Path) -> bytes:
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "rb") as file:
        return file.read()
