"""``uc-nn update``: brings a project's copies of this package's files up, and touches none that was edited.

``uc-nn new`` leaves a note, ``.uc_nn.json``: how the project was made, and the sha256 of every file that came from the
package. A file that still has that sum is replaced by what the package would write now; one that has not was edited,
and is left, with the difference shown.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uc_nn_pio import __version__
from uc_nn_pio.errors import UcNnError
from uc_nn_pio.escape import terminal
from uc_nn_pio.files import write_files

NOTE = ".uc_nn.json"


def digest(text: str) -> str:
    """Over LF text, so that a checkout with other line ends is no edit."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode("utf-8")).hexdigest()


def note_text(how: Mapping[str, str], files: Mapping[str, str]) -> str:
    """The note of a project; ``files`` maps relative names to texts."""
    sums = {name: digest(text) for name, text in sorted(files.items())}
    return json.dumps({"made_by": f"uc_nn_pio {__version__}", **how, "files": sums}, indent=1) + "\n"


@dataclass(frozen=True)
class Change:
    """A file of the package's that a project has in another form. ``edited``: it is the user's now."""

    name: str
    edited: bool
    old: str | None
    new: str

    def diff(self) -> str:
        old = [] if self.old is None else self.old.replace("\r\n", "\n").splitlines(keepends=True)
        lines = difflib.unified_diff(old, self.new.splitlines(keepends=True), f"a/{self.name}", f"b/{self.name}")
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def changes(project: Path) -> tuple[list[Change], dict[str, Any]]:
    """What is newer in the package, and the project's note.

    Raises:
        UcNnError: the folder has no note of ``uc-nn new``.
    """
    from uc_nn_pio.pio.blank import KIND, blank_files
    from uc_nn_pio.pio.project import project_files

    try:
        note = json.loads((project / NOTE).read_text(encoding="utf-8"))
        how = {key: str(note[key]) for key in ("name", "board", "spec")}
        sums = dict(note["files"])
        files_of = blank_files if note.get("kind") == KIND else project_files
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UcNnError(
            f"{project} has no note of uc-nn new",
            where=str(project / NOTE),
            why="without it nobody knows which files are still as they were made",
            next_step="uc-nn new makes one; into an older project copy uc_nn.py from a new one by hand",
        ) from error
    wanted = files_of(name=how["name"], board=how["board"], spec=project / how["spec"])
    found = []
    for name, text in wanted.items():
        path = project / name
        old = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
        if old is not None and digest(old) == digest(text):
            note["files"][name] = digest(text)  # whatever it says: an update that was cut short had not noted it
        if old is None and name in sums:
            continue  # the user took it away
        if old is None or digest(old) != digest(text):
            found.append(Change(name, old is not None and digest(old) != sums.get(name), old, text))
    return found, note


def update(project: Path, *, write: bool) -> tuple[list[Change], list[Change]]:
    """(brought up, left alone because edited); with ``write`` off nothing is written."""
    found, note = changes(project)
    newer, edited = [c for c in found if not c.edited], [c for c in found if c.edited]
    if write:
        sums = {**note["files"], **{change.name: digest(change.new) for change in newer}}
        note = {**note, "files": dict(sorted(sums.items()))}
        if newer:
            note["made_by"] = f"uc_nn_pio {__version__}"
        texts = {change.name: change.new for change in newer}
        write_files(project, {**texts, NOTE: json.dumps(note, indent=1) + "\n"})
    return newer, edited


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("folder", type=Path, nargs="?", default=Path("."), help="the project (%(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="show the differences, write nothing")
    parser.add_argument("--quiet", action="store_true", help="names alone")


def run(args: argparse.Namespace) -> int:
    """The exit code."""
    newer, edited = update(args.folder, write=not args.dry_run)
    for what, group in (("would bring up" if args.dry_run else "brought up", newer), ("edited, left alone:", edited)):
        for change in group:
            print(terminal(f"{what} {change.name}"))
            if not args.quiet:
                print(terminal(change.diff(), keep_newlines=True))
    if not newer and not edited:
        print(f"{args.folder} is up to date")
    return 0
