"""Reads ``.pt2`` archives (``torch.export.save``) without torch's deserializer.

``torch.export.load`` evaluates strings of the file as Python (through sympy), resolves names by attribute, and falls
back to a full unpickle; a hostile file takes over whoever loads it. So the archive is read here: as a zip of known
members, JSON, and raw numbers. torch sees only the pickled members (sample inputs, weights of older files), with
``weights_only=True``. What would have run code is refused by its name, though it could not run here.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from uc_nn_pio.capture.archive_check import check_json, check_pickles
from uc_nn_pio.capture.archive_program import KnownInput, program_inputs, read_program
from uc_nn_pio.capture.formats import FileKind, file_kind
from uc_nn_pio.capture.trace import Inputs, Trace
from uc_nn_pio.errors import Location, ModelError, UnsafeFileError

EXPORT_AGAIN = "export it again: torch.export.save(torch.export.export(model.eval(), (x,)), {name!r})"

_MOST_MEMBERS = 20_000
_MOST_BYTES = 1 << 28  # of all members unpacked; far beyond any microcontroller's flash
_MOST_JSON = 1 << 25
_MODEL = re.compile(r"models/([^/]+)\.json")
_MEMBERS = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/(version|serialization_id)|models/[^/]+\.json"
    r"|data/weights/weight_\d+|data/constants/tensor_\d+|data/(weights|constants)/[^/]+_config\.json"
    r"|data/(weights|constants|sample_inputs)/[^/]+\.pt|extra/.+"
)


@dataclass(frozen=True)
class Archive:
    """The members of a checked archive, by their names below the root folder."""

    path: Path
    members: dict[str, bytes]

    @property
    def where(self) -> Location:
        """The file, for messages."""
        return Location(self.path)

    def json(self, name: str) -> Any:
        """A member as JSON.

        Raises:
            ModelError: it is missing or no JSON.
        """
        if name not in self.members:
            raise damaged(self.path, f"member {name} is missing")
        if len(self.members[name]) > _MOST_JSON:
            raise damaged(self.path, f"member {name} is larger than {_MOST_JSON:,} bytes")
        try:
            return json.loads(self.members[name].decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise damaged(self.path, f"member {name} is no JSON: {error}") from None


def damaged(path: Path, why: str) -> ModelError:
    """The error for an archive that torch did not write so."""
    return ModelError(
        f"{path.name} is damaged", where=Location(path), why=why, next_step=EXPORT_AGAIN.format(name=path.name)
    )


def read_export(path: Path, inputs: Inputs) -> Trace:
    """The network of a ``.pt2`` file, for inputs of these shapes (without the batch axis).

    Raises:
        ModelError: the file is missing, empty, cut off, of another format, or was exported for another shape.
        UnsafeFileError: it holds what would run code when torch loads it; the message names the member.
        UnsupportedError: it holds control flow, or was exported in training mode.
    """
    return read_program(*checked_archive(path), inputs)


def export_inputs(path: Path) -> list[KnownInput]:
    """What a ``.pt2`` file says of its inputs, in the order of ``forward``'s arguments.

    Raises:
        ModelError, UnsafeFileError: as :func:`read_export`; and for an input without a batch axis.
    """
    return program_inputs(*checked_archive(path))


def checked_archive(path: Path) -> tuple[Archive, str]:
    """A ``.pt2`` file in which nothing would run code, and the name of its model.

    Raises:
        ModelError, UnsafeFileError: as :func:`read_export`.
    """
    archive = open_archive(path)
    models = [match[1] for name in archive.members if (match := _MODEL.fullmatch(name))]
    if len(models) != 1:
        raise ModelError(
            f"{path.name} holds {len(models)} models; one is read",
            where=archive.where,
            next_step=EXPORT_AGAIN.format(name=path.name),
        )
    for name in archive.members:
        if name.endswith(".json") and not name.startswith("extra/"):
            check_json(archive.json(name), name, path)
    check_pickles(archive.members, path)
    return archive, models[0]


def open_archive(path: Path) -> Archive:
    """The members of an archive, each name and size checked before a byte is unpacked.

    Raises:
        ModelError, UnsafeFileError: as :func:`read_export`.
    """
    kind = file_kind(path)
    if kind is not FileKind.PT2:
        raise ModelError(
            f"export file {path.name} is empty" if kind is FileKind.EMPTY else f"{path.name} is {kind.value}",
            where=Location(path),
            why="model.export takes what torch.export.save of torch 2.9 or newer writes",
            next_step=EXPORT_AGAIN.format(name=path.name),
        )
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            _check_infos(infos, path)
            members = {_below_root(info.filename, path): archive.read(info) for info in infos}
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise damaged(path, str(error)) from None
    for name in members:
        _check_member(name, path)
    if members.get("archive_format") != b"pt2":
        raise damaged(path, "archive_format is not pt2")
    if members.get("byteorder", b"little").strip() != b"little":
        raise ModelError(
            f"{path.name} was written on a big-endian machine",
            where=Location(path),
            next_step="export it on a little-endian one",
        )
    return Archive(path, members)


def _check_infos(infos: list[zipfile.ZipInfo], path: Path) -> None:
    names = [info.filename for info in infos]
    total = sum(info.file_size for info in infos)
    if len(infos) > _MOST_MEMBERS or total > _MOST_BYTES:
        raise UnsafeFileError(
            f"{path.name} is refused: it unpacks to {len(infos):,} members of {total:,} bytes",
            where=Location(path),
            why=f"at most {_MOST_MEMBERS:,} members of {_MOST_BYTES:,} bytes in all are read",
            next_step="no microcontroller holds such a network; a zip bomb looks like this",
        )
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise _unsafe(path, twice[0], "is there twice, so that two readers may see two contents")
    for info in infos:
        _check_name(info.filename, path)
        if info.flag_bits & 0x1:
            raise damaged(path, f"member {info.filename} is encrypted")


def _check_name(name: str, path: Path) -> None:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name or not name.isprintable():
        raise _unsafe(path, name, "points outside the archive")


def _below_root(name: str, path: Path) -> str:
    _, slash, inner = name.partition("/")
    if not slash:
        raise damaged(path, f"member {name} lies outside the archive's folder")
    return inner


def _check_member(name: str, path: Path) -> None:
    if _MEMBERS.fullmatch(name):
        return
    if name.startswith("data/aotinductor/"):
        raise _unsafe(path, name, "is compiled code")
    if name.startswith(("data/constants/custom_obj", "data/constants/opaque_obj")):
        raise _unsafe(path, name, "is an object of a class of its own, which only a full unpickle could load")
    raise _unsafe(path, name, "is none of those that torch.export.save writes for a network")


def _unsafe(path: Path, member: str, why: str) -> UnsafeFileError:
    return UnsafeFileError(
        f"{path.name} is refused: member {member!r} {why}",
        where=Location(path),
        why="such a file can run code when torch.export.load reads it",
        next_step="get the file from whom you trust, as torch.export.save writes it",
    )
