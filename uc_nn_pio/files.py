"""Writes text files so that a reader never sees half of one, and so that unchanged files keep their time stamps."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from uc_nn_pio.errors import UcNnError


def write_files(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write ``files`` (relative name -> text) under ``folder``; return their paths.

    Each text goes to a temporary file beside its target first, so nothing is touched if the disk is full; then all are
    renamed into place. A file whose text is the same already is left alone.

    Raises:
        UcNnError: the folder cannot be written to.
    """
    staged: list[tuple[str, Path]] = []
    targets = {folder / name: text for name, text in files.items()}
    try:
        for path, text in targets.items():
            data = text.encode("utf-8")
            if path.is_file() and path.read_bytes() == data:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            staged.append((temporary, path))
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            # mkstemp makes private files; these are ordinary sources
            os.chmod(temporary, 0o644)
        while staged:
            os.replace(*staged[0])
            staged.pop(0)
    except OSError as error:
        raise UcNnError(
            f"cannot write {error.filename or folder}: {error.strerror}",
            why="the generated files go there; what was there before is untouched",
            next_step="free space, or choose a folder that you may write to",
        ) from error
    finally:
        for temporary, _ in staged:
            Path(temporary).unlink(missing_ok=True)
    return list(targets)
