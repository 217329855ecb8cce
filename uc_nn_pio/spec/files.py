"""Kinds of values that name files. A file must be there, be a plain file and hold something; it is not opened."""

from __future__ import annotations

import keyword
from dataclasses import dataclass
from typing import Any

from uc_nn_pio.spec.document import Value, nearest_file
from uc_nn_pio.spec.kinds import BAD, Kind, Reader
from uc_nn_pio.spec.model import PythonEntry


def existing_file(value: Value, text: str, reader: Reader) -> Any:
    """The path of a file that the spec names, or BAD: it must be there, be a plain file, and hold something."""
    try:
        path = reader.folder / text
        if path.is_dir():
            return reader.bad(value, f"{value.key}: {text!r} is a folder, not a file")
        if not path.is_file():
            return reader.bad(
                value,
                f"{value.key}: there is no file {text!r}",
                "paths are relative to the folder of the spec",
                nearest_file(path) or f"put the file at {str(path)!r}, or correct the path",
            )
        if path.stat().st_size == 0:
            return reader.bad(value, f"{value.key}: the file {text!r} is empty", next_step="write it again")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return reader.bad(value, f"{value.key}: the file {text!r} cannot be read: {reason}")
    return path


@dataclass(frozen=True)
class File(Kind):
    """A file that exists, relative to the spec's folder."""

    expects: str = "the path of a file"

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind != "text" or not value.text:
            return self.wrong(value, reader)
        return existing_file(value, value.text, reader)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True)
class PythonClass(Kind):
    """``file.py:Name``."""

    expects: str = "a Python file and a name in it: file.py:Name"

    def read(self, value: Value, reader: Reader) -> Any:
        file, colon, attribute = value.text.rpartition(":")
        if value.kind != "text" or not colon or not file.endswith(".py") or file == ".py":
            hint = (
                f"write {value.text}:Name, with the class that is the network" if value.text.endswith(".py") else None
            )
            return self.wrong(value, reader, hint)
        if not attribute.isidentifier() or keyword.iskeyword(attribute):
            return reader.bad(
                value, f"{value.key}: {attribute!r} is no Python name", "behind ':' stands a class or function"
            )
        path = existing_file(value, file, reader)
        return path if path is BAD else PythonEntry(path, attribute)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^.+\.py:[^:]+$"}
