"""Sample files, for validation and calibration, and the network's input made of them.

An ``.npz`` with the array ``images`` (N, *input shape) uint8, and where labels are needed ``labels`` (N,), whole
numbers; for inputs with names an array for each. Nothing in the file is run: pickled Python objects are refused.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uc_nn_pio.errors import Location, SpecError
from uc_nn_pio.preprocess import preprocess
from uc_nn_pio.spec import Preprocess


@dataclass(frozen=True)
class Samples:
    """``images`` (N, *input shape) uint8, N at least 1; ``labels`` (N,) int64, or None where none were asked for."""

    images: np.ndarray
    labels: np.ndarray | None


def read_samples(
    path: Path,
    shape: tuple[int, ...],
    *,
    what: str,
    where: Location | str,
    labels: bool,
    count: int | None = None,
) -> Samples:
    """The first ``count`` samples of a file; all of them where it is None or the file has fewer.

    Args:
        path: the ``.npz`` file.
        shape: the network's input, (C, H, W) or (F,).
        what: the data's name in messages: ``test``, ``calibration``.
        where: the place in the spec that names the file.
        labels: whether to read ``labels`` as well.

    Raises:
        SpecError: the file cannot be read, or its arrays do not fit the network.
    """
    needed = ("images", "labels") if labels else ("images",)
    expected = f"an .npz with 'images' (N, {', '.join(map(str, shape))}) uint8" + (
        " and 'labels' (N,)" if labels else ""
    )
    arrays = _arrays(path, needed, expected, what, where)
    images = arrays["images"]
    if images.dtype != np.uint8 or images.shape[1:] != shape:
        raise SpecError(
            f"the {what} images in {path.name} are {images.shape} {images.dtype}",
            where=where,
            why=f"expected: {expected}",
            next_step=_remedy(images, shape),
        )
    if not len(images):
        raise SpecError(f"{path.name} holds no {what} images", where=where, next_step="write it again")
    return Samples(images[:count], _labels(arrays["labels"], images, path, where)[:count] if labels else None)


def read_inputs(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    what: str,
    where: Location | str,
    labels: bool,
    count: int | None = None,
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """The first ``count`` samples of a network whose inputs have names: an array (N, *shape) for each, as the network
    gets it, float32; and ``labels`` (N,) int64, or None where none were asked for.

    Raises:
        SpecError: the file cannot be read, or its arrays do not fit the network.
    """
    each = ", ".join(f"{name!r} (N, {', '.join(map(str, shape))})" for name, shape in shapes.items())
    expected = f"an .npz with {each}" + (" and 'labels' (N,)" if labels else "")
    arrays = _arrays(path, (*shapes, *(("labels",) if labels else ())), expected, what, where)
    sizes = {len(arrays[name]) if arrays[name].ndim else 0 for name in shapes}
    for name, shape in shapes.items():
        found = arrays[name]
        if found.shape[1:] != shape or found.dtype.kind not in "fiu" or len(sizes) != 1 or sizes == {0}:
            raise SpecError(
                f"the {what} data {name!r} in {path.name} are {found.shape} {found.dtype}",
                where=where,
                why=f"expected: {expected}, of one length and at least one sample",
                next_step="store numbers as the network gets them",
            )
    inputs = {name: arrays[name][:count].astype(np.float32) for name in shapes}
    first = next(iter(arrays.values()))
    return inputs, _labels(arrays["labels"], first, path, where)[:count] if labels else None


def _arrays(
    path: Path, names: tuple[str, ...], expected: str, what: str, where: Location | str
) -> dict[str, np.ndarray]:
    try:
        data = np.load(path, allow_pickle=False)
        if isinstance(data, np.ndarray):
            raise ValueError("it is a single array (.npy)")
        with data:
            missing = [name for name in names if name not in data.files]
            if missing:
                held = ", ".join(map(repr, data.files)) or "nothing"
                raise ValueError(f"it has no array {missing[0]!r}, but {held}")
            return {name: data[name] for name in names}
    except _UNREADABLE as error:
        raise SpecError(
            f"cannot read {what} data from {path.name}: {error}",
            where=where,
            why=f"expected: {expected}, without pickled objects",
            next_step="write it with numpy.savez_compressed(file, images=..., labels=...)",
        ) from error


_UNREADABLE = (OSError, ValueError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What NumPy and the ZIP reader raise on files that are damaged, of another kind, or hold pickles."""


def _remedy(images: np.ndarray, shape: tuple[int, ...]) -> str:
    if images.dtype != np.uint8:
        return "store the bytes before any scaling, 0..255"
    if len(shape) == 3 and images.shape[1:] == (*shape[1:], shape[0]):
        return "move the channels to the front: images.transpose(0, 3, 1, 2)"
    if len(shape) == 3 and shape[0] == 1 and images.shape[1:] == shape[1:]:
        return "add the axis of the one channel: images[:, None]"
    return "store images of the network's size, or correct input.shape"


def _labels(labels: np.ndarray, images: np.ndarray, path: Path, where: Location | str) -> np.ndarray:
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise SpecError(
            f"the labels in {path.name} are {labels.shape} {labels.dtype}",
            where=where,
            why=f"there are {len(images)} images, and a label is the index of an output",
            next_step="store one whole number an image",
        )
    return labels.astype(np.int64)


class Batches(Sequence):
    """The network's input for many samples, made a batch at a time, so that floats of all samples never exist at once.

    Args:
        images: (N, *input shape) uint8.
        how: the spec's ``input.preprocess``.
        stage: ``camera`` or ``network``.
        size: samples a batch; the last one may have fewer.
    """

    def __init__(self, images: np.ndarray, how: Preprocess, stage: str, size: int) -> None:
        self._images, self._size = images, size
        self._tables = _tables(images.shape[1:], how, stage)

    def __len__(self) -> int:
        return -(-len(self._images) // self._size)

    def __getitem__(self, index: int) -> np.ndarray:
        """float32, (batch, *input shape)."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = index * self._size
        return _by_table(self._tables, self._images[start : start + self._size])


def network_input(images: np.ndarray, how: Preprocess, stage: str) -> np.ndarray:
    """(N, *input shape) uint8 as the network's input, float32: :func:`~uc_nn_pio.preprocess.preprocess` for a batch of
    maps, signals or vectors."""
    return _by_table(_tables(images.shape[1:], how, stage), images)


def _tables(shape: tuple[int, ...], how: Preprocess, stage: str) -> np.ndarray:
    """What preprocessing gives for each byte, float32: (C, 256) for maps and signals, (256,) for vectors. Exact
    fractions make it, which takes far longer than to look it up."""
    every = np.arange(256, dtype=np.uint8)
    if len(shape) == 1:
        return preprocess(every, how, stage)
    grid = np.broadcast_to(every.reshape(1, 16, 16), (shape[0], 16, 16))
    return preprocess(grid, how, stage).reshape(shape[0], 256)


def _by_table(tables: np.ndarray, images: np.ndarray) -> np.ndarray:
    if tables.ndim == 1:
        return tables[images]
    channels = np.arange(len(tables)).reshape(-1, *(1,) * (images.ndim - 2))
    return tables[channels, images]
