"""Scenes from files: pictures, npz, MNIST idx, folders of them, and lists that say what is shown for how long."""

from __future__ import annotations

import gzip
import re
import shlex
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from uc_nn_pio.errors import Location, VirtualBoardError
from uc_nn_pio.virtual.scene.item import Hold, Item

PAPER, SCREEN = "paper", "screen"
PICTURE_SUFFIXES = (".png", ".bmp", ".pgm", ".ppm", ".jpg", ".jpeg")
LIST_SUFFIX = ".txt"
IDX_IMAGES, IDX_LABELS = 2051, 2049
BROKEN = (
    *(OSError, ValueError, KeyError, struct.error, zipfile.BadZipFile, UnidentifiedImageError, EOFError),
    *(Image.DecompressionBombError, SyntaxError, MemoryError),  # Pillow raises SyntaxError for a broken PNG
)


def load_items(path: Path, polarity: str | None) -> list[Item]:
    """All pictures of a file or a folder, in order.

    Raises:
        VirtualBoardError: nothing there, or not one of the formats.
    """
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.is_file() and _kind(p) in ("picture", "npz", "idx"))
        return [item for file in files for item in load_items(file, polarity)]
    if not path.exists():
        raise VirtualBoardError("the scene does not exist", where=str(path))
    kind = _kind(path)
    if kind is None:
        raise VirtualBoardError(
            "this file is no scene",
            where=str(path),
            why="it is no picture, no .npz, no MNIST idx file of images and no .txt list of them",
        )
    invert = polarity == PAPER or (polarity is None and kind == "idx")
    try:
        if kind == "list":
            return list(_list(path, polarity))
        items = _picture(path, 0 if invert else 255) if kind == "picture" else {"npz": _npz, "idx": _idx}[kind](path)
    except BROKEN as error:
        raise VirtualBoardError("this scene cannot be read", where=str(path), why=str(error)) from error
    return [replace(item, pixels=255 - item.pixels) for item in items] if invert else items


def _kind(path: Path) -> str | None:
    name = path.name.lower()
    if name.endswith(PICTURE_SUFFIXES):
        return "picture"
    if name.endswith(".npz"):
        return "npz"
    if name.endswith(LIST_SUFFIX):
        return "list"
    if "idx" in name and "label" not in name:
        return "idx"
    return None


# Lists --------------------------------------------------------------------------------------------------------------


def _list(path: Path, polarity: str | None) -> Iterator[Item]:
    """``FILE [hold=3|hold=0.5s] [label=L]`` a line, or ``FILE[N]`` for one picture of many; ``#`` begins a comment."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = Location(path, number)
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise VirtualBoardError("this line cannot be read", where=where, why=str(error)) from error
        if words:
            yield from _listed(path.parent, words, polarity, where)


def _listed(folder: Path, words: list[str], polarity: str | None, where: Location) -> Iterator[Item]:
    changes: dict[str, object] = {}
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if name not in ("hold", "label") or not equals:
            raise VirtualBoardError(
                f"{word!r} is not known in a scene list",
                where=where,
                why="behind the file there may be hold=3 (frames), hold=0.5s and label=L",
            )
        try:
            changes[name] = Hold.parse(value) if name == "hold" else int(value) if value.isdecimal() else value
        except VirtualBoardError as error:
            raise VirtualBoardError(error.what, where=where, why=error.why, next_step=error.next_step) from error
    for item in _named(folder, words[0], polarity, where):
        yield replace(item, **changes)  # type: ignore[arg-type]


def _named(folder: Path, name: str, polarity: str | None, where: Location) -> list[Item]:
    chosen = re.fullmatch(r"(.+)\[(\d{1,9})\]", name)
    file = folder / (chosen[1] if chosen else name)
    if _kind(file) == "list":
        raise VirtualBoardError("a scene list cannot name another list", where=where, next_step="name its pictures")
    try:
        items = load_items(file, polarity)
    except VirtualBoardError as error:
        raise VirtualBoardError(f"{error.what}: {file.name}", where=where, why=error.why) from error
    if chosen is None:
        return items
    if int(chosen[2]) >= len(items):
        raise VirtualBoardError(f"{file.name} has no picture {chosen[2]}", where=where, why=f"it has {len(items)}")
    return [items[int(chosen[2])]]


# Pictures -----------------------------------------------------------------------------------------------------------


def _picture(path: Path, background: int) -> list[Item]:
    """Any mode that Pillow knows; what is transparent shows ``background``."""
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened) or opened
        return [Item(path.name, _eight_bits(image, background))]


def _eight_bits(image: Image.Image, background: int) -> np.ndarray:
    if image.mode.startswith("I"):  # 16 bits a pixel
        deep = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return ((deep * 255 + 32767) // 65535).astype(np.uint8)
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (background,) * 3 + (255,)), image)
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    colour = np.asarray(image.convert("RGB"))
    gray = (colour == colour[..., :1]).all()
    return np.ascontiguousarray(colour[..., 0]) if gray else colour


# Archives of many ---------------------------------------------------------------------------------------------------


def _npz(path: Path) -> list[Item]:
    with np.load(path, allow_pickle=False) as archive:
        images = checked(archive["images"], str(path))
        labels = archive["labels"].tolist() if "labels" in archive.files else [None] * len(images)
    if len(labels) != len(images):
        raise ValueError(f"{len(images)} images, {len(labels)} labels")
    return [Item(f"{path.name}[{i}]", images[i], labels[i]) for i in range(len(images))]


def checked(images: np.ndarray, where: str) -> np.ndarray:
    """(N, H, W), (N, 1, H, W), (N, H, W, 1) or (N, H, W, 3) of uint8, without an axis of one channel.

    Raises:
        VirtualBoardError: another shape or type, or pictures without a pixel.
    """
    if images.ndim == 4 and 1 in (images.shape[1], images.shape[3]):
        images = images.squeeze(1 if images.shape[1] == 1 else 3)
    colour = images.ndim == 4 and images.shape[3] == 3
    if not (images.ndim == 3 or colour) or images.dtype != np.uint8 or 0 in images.shape[1:]:
        raise VirtualBoardError(
            f"a scene needs 'images' of shape (N, H, W) or (N, H, W, 3) and type uint8, "
            f"not {images.shape} {images.dtype}",
            where=where,
        )
    return images


def _idx(path: Path) -> list[Item]:
    data = _bytes(path)
    magic, count, rows, columns = struct.unpack(">4I", data[:16])
    if magic != IDX_IMAGES or len(data) != 16 + count * rows * columns:
        raise ValueError(f"no idx file of images (magic {magic}, {len(data)} bytes)")
    images = checked(np.frombuffer(data, np.uint8, offset=16).reshape(count, rows, columns), str(path))
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
