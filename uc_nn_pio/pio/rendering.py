"""What all projects that ``uc-nn new`` makes have in common: the templates, the drivers, and how a folder is written.

:mod:`uc_nn_pio.pio.project` makes projects around a model spec, :mod:`uc_nn_pio.pio.blank` around a network alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

import uc_nn_pio.spec
from uc_nn_pio.boards import Board, board_ids, load_board
from uc_nn_pio.errors import BoardError, UcNnError
from uc_nn_pio.escape import c_comment, visible
from uc_nn_pio.resources import resources

_CHIP_FAMILY = "fe310"
BARE = "bare"
"""The drivers of boards without an FE310; all others are that chip's and the camera's."""
_EXTRA_SCRIPT = Path(__file__).with_name("extra_script.py")
_MONITOR_FILTER = Path(__file__).with_name("monitor_filter.py")
_TEST_RUNNER = Path(__file__).with_name("test_custom_runner.py")
_SCHEMA = Path(uc_nn_pio.spec.__file__).with_name("schema.json")


@dataclass(frozen=True)
class Env:
    """An environment of platformio.ini."""

    name: str
    board: Board

    @property
    def what(self) -> str:
        return self.board.name


def environments(default: Board) -> list[Env]:
    """The virtual board first, then every other board that the same drivers fit.

    Raises:
        BoardError: there are no drivers for ``default``.
    """
    boards = [load_board(board_id) for board_id in board_ids()]
    fitting = [board for board in boards if is_fe310(board) == is_fe310(default) and _has_drivers(board)]
    if default not in fitting:
        raise BoardError(
            f"the firmware template has no drivers for {default.name}",
            why=f"its drivers are for the {_CHIP_FAMILY.upper()}, and for boards whose data name a UART; this chip is "
            f"{default.chip}",
            next_step="use `uc-nn convert`, and call the generated C from a firmware of yours",
        )
    envs = [Env("virtual" if board.id == "hifive1_virtual" else board.id, board) for board in fitting]
    return sorted(envs, key=lambda env: (not env.board.virtual, env.name))


def is_fe310(board: Board) -> bool:
    """Whether the drivers of the FE310 and of the camera are for this board's chip."""
    return board.chip.startswith(_CHIP_FAMILY)


def _has_drivers(board: Board) -> bool:
    return is_fe310(board) or "uart" in board.details


def drivers(*, fe310: bool) -> list[Path]:
    """The folders of drivers: the FE310's and the camera's, or the one of boards without."""
    folders = sorted(path for path in (resources("firmware_template") / "lib").iterdir() if path.is_dir())
    return [path for path in folders if (path.name != BARE) == fe310]


def driver_files(folders: list[Path]) -> dict[str, str]:
    """A project's own copy of drivers (relative name -> text)."""
    return {
        f"lib/{driver.name}/{path.name}": path.read_text(encoding="utf-8")
        for driver in folders
        for path in sorted(driver.iterdir())
        if path.is_file() and not path.name.startswith(".")
    }


def rendered(templates: Mapping[str, str], variables: Mapping[str, object]) -> dict[str, str]:
    """Templates of ``firmware_template/`` (relative name in the project -> template) as texts."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources("firmware_template")),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    return {target: environment.get_template(source).render(variables) for target, source in templates.items()}


def board_variables(name: str, board: Board) -> dict[str, object]:
    """What every template takes: the project's name as a comment may hold it, and the environments."""
    envs = environments(board)
    return {
        "name": c_comment(visible(name)),
        "envs": envs,
        "default_env": next(env.name for env in envs if env.board.id == board.id),
    }


def model_variables(name: str, spec: str, *, labels: bool, tested: bool) -> dict[str, object]:
    """What every template takes of a model: its name, its spec's file name, whether it has labels and test data."""
    return {"model": name, "MODEL": name.upper(), "spec": spec, "labels": labels, "tested": tested}


def common_files(*, fe310: bool, tested: bool) -> dict[str, str]:
    """What any project has, whatever its model.

    A board with an FE310 may be built by another platform (``platform = sifive``) than ours, whose filter draws what a
    board prints: so the project has a filter of its own.
    """
    copies = {".vscode/uc_nn.schema.json": _SCHEMA, "uc_nn.py": _EXTRA_SCRIPT}
    if fe310:
        copies["monitor/filter_uc_nn.py"] = _MONITOR_FILTER
    if fe310 and tested:
        copies["test/test_custom_runner.py"] = _TEST_RUNNER
    templates = {
        ".gitignore": "gitignore.j2",
        ".gitattributes": "gitattributes.j2",
        ".vscode/settings.json": "vscode_settings.json.j2",
    }
    return {**rendered(templates, {}), **{name: path.read_text(encoding="utf-8") for name, path in copies.items()}}


@contextlib.contextmanager
def new_folder(dest: Path) -> Iterator[Path]:
    """A folder to write a project into, which becomes ``dest`` when the block ends: whole, or not at all.

    Raises:
        UcNnError: ``dest`` is a file or holds something, or cannot be written to.
    """
    refuse_occupied(dest)
    there = next(path for path in (dest, *dest.absolute().parents) if path.is_dir())
    staging = None
    try:
        staging = Path(tempfile.mkdtemp(prefix=".uc_nn_new_", dir=there))
        folder = staging / "project"  # mkdtemp makes private folders; this is an ordinary one
        folder.mkdir()
        yield folder
        if dest.is_dir():
            for path in folder.iterdir():
                os.replace(path, dest / path.name)
        else:
            dest.parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder, dest)
    except OSError as error:
        raise UcNnError(
            f"cannot write {error.filename or dest}: {error.strerror}",
            next_step="free space, or choose a folder that you may write to",
        ) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def refuse_occupied(dest: Path) -> None:
    """A project is made in a folder that is empty, or is not there.

    Raises:
        UcNnError: ``dest`` is a file, or holds something.
    """
    if dest.exists() and not dest.is_dir():
        raise UcNnError(f"{dest} is a file", why="a project is a folder", next_step="choose another name")
    if dest.is_dir() and any(dest.iterdir()):
        raise UcNnError(
            f"the folder {dest} is not empty",
            why="nothing of yours is ever overwritten",
            next_step="choose another folder, or empty this one",
        )


def copy(source: Path, target: Path) -> None:
    """A file's bytes, into its folder, which is made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def write(path: Path, text: str) -> None:
    """A text file, its folder too, with LF on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8"))
