"""Tells what kind of file lies on disk by its first bytes and its zip members, never by its name.

Nothing is loaded: a wrong file gets a message that names what it is, before any library sees it.
"""

from __future__ import annotations

import zipfile
from enum import Enum
from pathlib import Path

from uc_nn_pio.errors import Location, ModelError

_SAFETENSORS_HEADER_LIMIT = 100_000_000  # bytes; the safetensors format's own limit


class FileKind(Enum):
    """Kinds of files that users point at. The value is the name in messages."""

    PT2 = "an exported program (.pt2)"
    PT2_OLD = "an exported program in the format of torch 2.7 or older"
    TORCH_SAVE = "a file of torch.save"
    TORCH_SAVE_OLD = "a file of torch.save in the format of torch 1.5 or older"
    SAFETENSORS = "a safetensors file"
    TORCHSCRIPT = "a TorchScript archive (torch.jit.save)"
    NPZ = "a NumPy archive (.npz)"
    NPY = "a NumPy array (.npy)"
    ZIP = "a zip archive"
    ONNX = "an ONNX model"
    TFLITE = "a TensorFlow Lite model"
    HDF5 = "an HDF5 file (Keras)"
    GGUF = "a GGUF file"
    TEXT = "a text file"
    EMPTY = "an empty file"
    UNKNOWN = "of no known format"


def file_kind(path: Path) -> FileKind:
    """The kind of the file at ``path``.

    Raises:
        ModelError: there is no such file, or it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
        size = path.stat().st_size
    except OSError as error:
        raise ModelError(
            f"cannot read {path.name}: {error.strerror or error}",
            where=Location(path),
            next_step="check the path in the model spec",
        ) from None
    if not head:
        return FileKind.EMPTY
    if head.startswith(b"PK"):
        return _zip_kind(path)
    for magic, offset, kind in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return kind
    if size > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= min(size, _SAFETENSORS_HEADER_LIMIT):
        return FileKind.SAFETENSORS
    # ONNX is a bare protobuf: field 1 (ir_version, varint, a small number), then field 2 or 7 (producer, graph).
    if head[:1] == b"\x08" and head[1] < 32 and head[2:3] in (b"\x12", b"\x3a", b"\x42"):
        return FileKind.ONNX
    return FileKind.TEXT if _is_text(head) else FileKind.UNKNOWN


_MAGIC = (
    (b"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 0, FileKind.TORCH_SAVE_OLD),
    (b"\x93NUMPY", 0, FileKind.NPY),
    (b"TFL3", 4, FileKind.TFLITE),
    (b"\x89HDF\r\n\x1a\n", 0, FileKind.HDF5),
    (b"GGUF", 0, FileKind.GGUF),
)


def _zip_kind(path: Path) -> FileKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return FileKind.UNKNOWN
    inner = {name.partition("/")[2] for name in names}
    if "serialized_exported_program.json" in names:
        return FileKind.PT2_OLD
    if "archive_format" in inner:
        return FileKind.PT2
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        return FileKind.TORCHSCRIPT
    if "data.pkl" in inner:
        return FileKind.TORCH_SAVE
    if names and all(name.endswith(".npy") for name in names):
        return FileKind.NPZ
    return FileKind.ZIP


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8", errors="strict")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # a character cut in two at the end of what was read is no reason
            return False
        text = head[: error.start].decode("utf-8")
    return all(character.isprintable() or character in "\r\n\t" for character in text)
