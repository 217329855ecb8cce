"""Writes text files so that a reader never sees half of one, and so that unchanged files keep their time stamps.

What can happen in between, and what is there afterwards:

- an error (disk full, no permission): all files as they were before;
- the process is killed: each file is whole, the old one or the new one. They are put into place in the order given,
  so that a manifest that is last is never newer than what it tells of;
- two processes write the same files: each file is whole, of the one or the other.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from uc_nn_pio.errors import UcNnError

NEW, OLD = ".uc-nn-new", ".uc-nn-old"
"""Suffixes of files on their way into place, and of those that they replace meanwhile; uc_nn.py cleans them up."""

ABANDONED_SECONDS = 60.0
"""Only texts that are ready are written: a file of ours that is older is of a process that was killed."""


def write_files(folder: Path, files: Mapping[str, str | bytes], *, remove: Iterable[str] = ()) -> list[Path]:
    """Write ``files`` (relative name -> text, or bytes) under ``folder``; return their paths.

    Each text goes to a temporary file beside its target first, and to the disk, so nothing is touched if that is full;
    then all are renamed into place, in their order. A file whose text is the same already is left alone.

    Args:
        remove: names of files to delete just before the last of ``files`` is put into place. Folders that are empty
            behind that go too.

    Raises:
        UcNnError: the folder cannot be written to; every file is what it was before.
    """
    targets = {folder / name: text.encode("utf-8") if isinstance(text, str) else text for name, text in files.items()}
    staged: list[tuple[Path, Path]] = []
    try:
        for path, data in targets.items():
            if path.is_file() and path.read_bytes() == data:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            _sweep(path)
            staged.append((_staged(path, data), path))
        unwanted = [folder / name for name in remove]
        _put_into_place(staged, unwanted, last=next(reversed(targets), None))
        for path in unwanted:
            if path.parent != folder:
                with contextlib.suppress(OSError):  # not empty, or gone with another file
                    path.parent.rmdir()
    except OSError as error:
        raise UcNnError(
            f"cannot write {error.filename2 or error.filename or folder}: {error.strerror or error}",
            why="the generated files go there; what was there before is untouched",
            next_step="free space, or choose a folder that you may write to",
        ) from error
    finally:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)
    return list(targets)


def _staged(path: Path, data: bytes) -> Path:
    """A file beside ``path`` with what is to stand there."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=NEW, dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            # file systems that put off finding room for data (quotas, NFS) say here that there is none
            os.fsync(stream.fileno())
        # mkstemp makes private files; these are ordinary sources
        os.chmod(temporary, 0o644)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        # the name that the user knows
        raise OSError(error.errno, error.strerror, str(path)) from error
    return temporary


def _put_into_place(staged: list[tuple[Path, Path]], remove: list[Path], last: Path | None) -> None:
    """Rename all of ``staged``, or none; the ``last`` one when ``remove`` is gone."""
    kept: dict[Path, Path | None] = {}
    done: list[Path] = []
    ahead = [pair for pair in staged if pair[1] != last]
    try:
        for path in [*(path for _, path in staged), *remove]:
            kept[path] = _kept(path)
        for temporary, path in ahead:
            os.replace(temporary, path)
            done.append(path)
        for path in remove:
            path.unlink(missing_ok=True)
            done.append(path)
        for temporary, path in staged[len(ahead) :]:
            os.replace(temporary, path)
            done.append(path)
    except OSError:
        for path in reversed(done):
            old = kept[path]
            if old is None:
                path.unlink(missing_ok=True)
            else:
                os.replace(old, path)
        raise
    finally:
        for old in kept.values():
            if old is not None:
                old.unlink(missing_ok=True)


def _kept(path: Path) -> Path | None:
    """A second name of a file, to bring it back by; ``None`` where there is none."""
    if not path.is_file():
        return None
    second = path.with_name(f".{path.name}.{secrets.token_hex(4)}{OLD}")
    try:
        os.link(path, second)  # takes no room
    except OSError:  # a file system without links
        try:
            shutil.copy2(path, second)
        except OSError:
            second.unlink(missing_ok=True)
            raise
    return second


def _sweep(path: Path) -> None:
    """Remove what processes that were killed left beside ``path``."""
    for suffix in (NEW, OLD):
        for left in path.parent.glob(f".*{suffix}"):
            with contextlib.suppress(OSError):  # somebody else's, or gone meanwhile
                # not st_mtime: a second name has that of its file; st_ctime is when it got the name
                if time.time() - left.stat().st_ctime > ABANDONED_SECONDS:
                    left.unlink()
