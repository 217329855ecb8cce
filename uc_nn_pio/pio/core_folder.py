"""Puts folders into a PlatformIO core folder and takes exactly those out again.

Each folder that is put there carries a note of its files, :data:`NOTE`. A folder without the note is somebody else's
and is never touched; files that somebody added to one of ours stay when it is removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from uc_nn_pio.errors import ToolError

NOTE = "uc_nn_setup.json"


@dataclass(frozen=True)
class Link:
    """A symbolic link to put in place of a file; ``target`` is absolute."""

    target: str


Content = Mapping[str, bytes | Link]


def install(core: Path, folder: str, content: Content, facts: Mapping[str, Any] | None = None) -> bool:
    """Make ``core/folder`` hold ``content`` (path inside the folder -> bytes or link).

    Args:
        facts: more to keep in the folder's note; ``uc_nn_setup.json`` is read back by the platform.

    Returns:
        Whether anything changed.

    Raises:
        ToolError: the folder is there and was not made by this function.
    """
    target = core / folder
    old = read_note(target)
    if target.is_symlink() or (target.exists() and old is None):
        raise ToolError(
            f"{target} exists and was not made by uc-nn",
            why="set-up never overwrites what it did not make",
            next_step="move it away, or name another core folder with --core-dir",
        )
    files = {name: _digest(item) for name, item in sorted(content.items())}
    note = {**(facts or {}), "made_by": "uc_nn_pio", "created": (old or {}).get("created", []), "files": files}
    if old == note and all(_state(target / name) == digest for name, digest in files.items()):
        return False
    if old is None:
        note["created"] = _make_parents(core, target)
    target.mkdir(exist_ok=True)
    if old is None:
        # First of all, so that a folder of which only a part was made is known as ours and is completed or removed.
        _write(target / NOTE, _text(note))
    for name in set((old or {}).get("files", {})) - set(files):
        _unlink(target, name)
    for name, item in content.items():
        if _state(target / name) != files[name]:
            _write(target / name, item)
    _write(target / NOTE, _text(note))
    return True


def intact(core: Path, folder: str) -> bool:
    """Whether a folder of ours still holds what was put there."""
    note = read_note(core / folder)
    return note is not None and all(_state(core / folder / name) == digest for name, digest in note["files"].items())


def holds(core: Path, folder: str, content: Content) -> bool:
    """Whether a folder of ours was made with this ``content``."""
    note = read_note(core / folder)
    return note is not None and note["files"] == {name: _digest(item) for name, item in sorted(content.items())}


def remove(core: Path, folder: str) -> bool:
    """Undo :func:`install`. Returns whether there was something of ours to remove."""
    target = core / folder
    note = read_note(target)
    if note is None:
        return False
    for name in note["files"]:
        _unlink(target, name)
    _unlink(target, NOTE)
    _remove_if_empty(target)
    for name in reversed(note["created"]):
        _remove_if_empty(core / name)
    return True


def made_folders(core: Path) -> list[str]:
    """The folders below ``core`` that carry our note, as ``platforms/uc_nn``."""
    return sorted(
        f"{kind}/{entry.name}"
        for kind in ("packages", "platforms")
        if (core / kind).is_dir()
        for entry in (core / kind).iterdir()
        if read_note(entry) is not None
    )


def read_note(folder: Path) -> dict[str, Any] | None:
    """The note of a folder of ours, or ``None``."""
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) and note.get("made_by") == "uc_nn_pio" else None


def tree(root: Path, *, under: str = "") -> dict[str, bytes]:
    """Every file below ``root`` as content for :func:`install`, without byte code."""
    return {
        str(PurePosixPath(under) / path.relative_to(root).as_posix()): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def _text(note: Mapping[str, Any]) -> bytes:
    return (json.dumps(note, indent=1, sort_keys=True) + "\n").encode()


def _digest(item: bytes | Link) -> str:
    return f"link:{item.target}" if isinstance(item, Link) else hashlib.sha256(item).hexdigest()


def _state(path: Path) -> str | None:
    if path.is_symlink():
        return f"link:{os.readlink(path)}"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _write(path: Path, item: bytes | Link) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        if isinstance(item, Link):
            temporary.symlink_to(item.target)
        else:
            temporary.write_bytes(item)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _unlink(root: Path, name: str) -> None:
    path = root / name
    path.unlink(missing_ok=True)
    for parent in path.relative_to(root).parents:
        if parent != Path("."):
            _remove_if_empty(root / parent)


def _remove_if_empty(folder: Path) -> None:
    """Remove ``folder`` if nothing but Python's byte code is left in it."""
    if not folder.is_dir():
        return
    rest = [entry for entry in folder.iterdir() if entry.name != "__pycache__"]
    if rest:
        return
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    folder.rmdir()


def _make_parents(core: Path, target: Path) -> list[str]:
    """Create the folders above ``target``; returns those that were not there, outermost first, relative to ``core``."""
    missing = [folder for folder in (core, *reversed(target.relative_to(core).parents[:-1])) if folder is not None]
    created = []
    for folder in missing:
        path = core / folder
        if not path.exists():
            path.mkdir(parents=True)
            created.append("." if path == core else path.relative_to(core).as_posix())
    return created
