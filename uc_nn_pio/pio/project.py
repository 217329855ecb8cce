"""Renders a PlatformIO project from ``firmware_template/``: what ``uc-nn new`` does.

Boards with a camera get the demo firmware; for others, ``firmware_template/samples`` is a program that runs the model's
test samples. The examples with a camera are rendered by the same templates (:func:`example_files`), and take the
drivers from ``firmware_template/lib`` where a project of the user's gets its own copy.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import jinja2

import uc_nn_pio.spec
from uc_nn_pio.boards import Board, board_ids, load_board
from uc_nn_pio.errors import BoardError, SpecError, UcNnError
from uc_nn_pio.escape import c_comment, visible
from uc_nn_pio.pio.update import NOTE, note_text
from uc_nn_pio.resources import resources
from uc_nn_pio.spec import ModelSpec, load_spec

DEFAULT_EXAMPLE = "lenet5_camera"
CAMERA_PIXELS = 64
"""Width and height of the camera's picture (ov2640.h)."""

CAMERA_SOURCE = "arducam_ov2640"
SCENE = "data/digits.npz"
"""Where in a models folder the pictures for the virtual camera lie, if there are any."""

_CHIP_FAMILY = "fe310"
_BARE = "bare"
"""The drivers of boards without a camera; all others are the camera's."""
_SAMPLES = 10
_EXTRA_SCRIPT = Path(__file__).with_name("extra_script.py")
_TEST_RUNNER = Path(__file__).with_name("test_custom_runner.py")
_SCHEMA = Path(uc_nn_pio.spec.__file__).with_name("schema.json")
_NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


@dataclass(frozen=True)
class _Env:
    """An environment of platformio.ini."""

    name: str
    board: Board

    @property
    def what(self) -> str:
        return self.board.name


def render_project(
    dest: Path, *, name: str, board: str, example: str | None = None, spec: Path | None = None
) -> list[Path]:
    """Write a complete project into ``dest``, and return the files written.

    Args:
        dest: a folder that is empty or does not exist yet.
        name: the project's name, for its README and comments.
        board: id of the board of the default environment; the others get environments as well.
        example: an example whose ``models`` folder is copied; ``lenet5_camera`` if neither this nor ``spec`` is given.
        spec: a model spec of the user's; it is copied with the files it names and the Python files beside it.

    Raises:
        UcNnError: the destination holds something or cannot be written to, the example is not known, or the model
            cannot be fed by the camera, or has no test samples where there is none.
        BoardError: the board is not known, or the drivers do not fit its chip.
        SpecError: the spec is wrong.
    """
    dest = Path(dest)
    if example is not None and spec is not None:
        raise UcNnError("an example and a spec were given", next_step="give one of them: --example or --spec")
    models = _example_models(example or DEFAULT_EXAMPLE) if spec is None else Path(spec).parent
    spec_path = _only_spec(models) if spec is None else Path(spec)
    loaded = load_spec(spec_path)
    copied = _files_of_spec(loaded) if spec is not None else None
    texts = _texts(
        name=name, board=load_board(board), spec=loaded, shared_drivers=False, scene=_has_scene(models, copied)
    )
    _refuse_occupied(dest)
    try:
        dest.mkdir(parents=True, exist_ok=True)
        ours = {**texts, **_driver_files(load_board(board))}
        for relative, text in ours.items():
            _write(dest / relative, text)
        how = {"name": name, "board": board, "spec": f"models/{loaded.path.name}"}
        _write(dest / NOTE, note_text(how, ours))
        if copied is None:
            shutil.copytree(models, dest / "models", ignore=_NOT_COPIED)
        else:
            for relative in copied:
                (dest / "models" / relative).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(models / relative, dest / "models" / relative)
    except OSError as error:
        raise UcNnError(
            f"cannot write {error.filename or dest}: {error.strerror}",
            next_step="free space, or choose a folder that you may write to",
        ) from error
    return sorted(path for path in dest.rglob("*") if path.is_file())


def project_files(*, name: str, board: str, spec: Path) -> dict[str, str]:
    """All files of a project that come from this package (relative name -> text), for a spec that is in it already."""
    loaded = load_spec(spec)
    found = load_board(board)
    scene = (spec.parent / SCENE).is_file()
    texts = _texts(name=name, board=found, spec=loaded, shared_drivers=False, scene=scene)
    return {**texts, **_driver_files(found)}


def _driver_files(board: Board) -> dict[str, str]:
    return {
        f"lib/{driver.name}/{path.name}": path.read_text(encoding="utf-8")
        for driver in _drivers(camera=_has_camera(board))
        for path in sorted(driver.iterdir())
        if path.is_file() and not path.name.startswith(".")
    }


def example_files(example: str) -> dict[str, str]:
    """Return the files of an example that the templates make (relative name -> text): all but its models, and what an
    editor wants of a project of the user's."""
    spec = load_spec(_only_spec(_example_models(example)))
    scene = _has_scene(_example_models(example), None)
    texts = _texts(name=example, board=load_board("hifive1_virtual"), spec=spec, shared_drivers=True, scene=scene)
    return {name: text for name, text in texts.items() if not name.startswith(".vscode/")}


def _texts(*, name: str, board: Board, spec: ModelSpec, shared_drivers: bool, scene: bool) -> dict[str, str]:
    camera = _has_camera(board)
    if camera:
        _check_camera_model(spec)
    else:
        _check_samples(spec)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources("firmware_template")),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    envs = _environments(board)
    variables = {
        "name": c_comment(visible(name)),
        "model": spec.name,
        "MODEL": spec.name.upper(),
        "labels": spec.output.labels is not None,
        "samples": _SAMPLES,
        "tested": spec.validate is not None,
        "spec": spec.path.name,
        "scene": f"models/{SCENE}" if scene else None,
        "envs": envs,
        "default_env": next(env.name for env in envs if env.board.id == board.id),
        "lib_extra_dirs": "../../firmware_template/lib" if shared_drivers else None,
    }
    templates = {
        "platformio.ini": "platformio.ini.j2" if camera else "samples/platformio.ini.j2",
        "README.md": "README.md.j2" if camera else "samples/README.md.j2",
        ".gitignore": "gitignore.j2",
        ".gitattributes": "gitattributes.j2",
        ".vscode/settings.json": "vscode_settings.json.j2",
        "src/main.c": "src/main.c.j2" if camera else "samples/main.c.j2",
    }
    if camera and spec.validate is not None:
        templates["test/test_network/test_network.c"] = "test/test_network.c.j2"
    texts = {target: environment.get_template(source).render(variables) for target, source in templates.items()}
    texts[".vscode/uc_nn.schema.json"] = _SCHEMA.read_text(encoding="utf-8")
    if camera and spec.validate is not None:
        texts["test/test_custom_runner.py"] = _TEST_RUNNER.read_text(encoding="utf-8")
    if _EXTRA_SCRIPT.is_file():
        texts["uc_nn.py"] = _EXTRA_SCRIPT.read_text(encoding="utf-8")
    return texts


def _environments(default: Board) -> list[_Env]:
    """The virtual board first, then every other board that the same drivers fit."""
    boards = [load_board(board_id) for board_id in board_ids()]
    fitting = [board for board in boards if _has_camera(board) == _has_camera(default) and _has_drivers(board)]
    if default not in fitting:
        raise BoardError(
            f"the firmware template has no drivers for {default.name}",
            why=f"its drivers are for the {_CHIP_FAMILY.upper()}, and for boards whose data name a UART; this chip is "
            f"{default.chip}",
            next_step="use `uc-nn convert`, and call the generated C from a firmware of yours",
        )
    envs = [_Env("virtual" if board.id == "hifive1_virtual" else board.id, board) for board in fitting]
    return sorted(envs, key=lambda env: (not env.board.virtual, env.name))


def _has_camera(board: Board) -> bool:
    """Whether the camera's drivers are for this board's chip."""
    return board.chip.startswith(_CHIP_FAMILY)


def _has_drivers(board: Board) -> bool:
    return _has_camera(board) or "uart" in board.details


def _drivers(*, camera: bool) -> list[Path]:
    folders = sorted(path for path in (resources("firmware_template") / "lib").iterdir() if path.is_dir())
    return [path for path in folders if (path.name != _BARE) == camera]


def _check_samples(spec: ModelSpec) -> None:
    if spec.validate is None:
        raise SpecError(
            f"the model {spec.name!r} names no test data",
            where=spec.location("name"),
            why="the program for a board without a camera runs test samples",
            next_step="add validate: {file: data/test.npz, stage: network}",
        )
    if spec.name == _BARE:
        raise SpecError(
            f"a model cannot be named {_BARE!r} in this program",
            where=spec.location("name"),
            why=f"it has a header {_BARE}.h of its own",
            next_step="choose another name",
        )


def _check_camera_model(spec: ModelSpec) -> None:
    """The camera gives 64 x 64 gray bytes by rows: the network must take every n-th of them."""
    if spec.input.source != CAMERA_SOURCE:
        raise SpecError(
            f"the model {spec.name!r} has no camera input",
            where=spec.location("input", "source"),
            why="the firmware template pushes rows of the camera into the network",
            next_step=f"add `source: {CAMERA_SOURCE}` under `input:`",
        )
    shape = spec.input.shape
    fits = len(shape) == 3 and shape[0] == 1 and all(CAMERA_PIXELS % size == 0 for size in shape[1:])
    if not fits:
        raise SpecError(
            f"the camera cannot fill an input of {' x '.join(map(str, shape))}",
            where=spec.location("input", "shape"),
            why=f"it gives one channel of {CAMERA_PIXELS} x {CAMERA_PIXELS} pixels, of which every n-th is taken",
            next_step="use [1, H, W] with H and W among 1, 2, 4, 8, 16, 32, 64",
        )
    drivers = [path.name for path in _drivers(camera=True)]
    if spec.name in drivers:
        raise SpecError(
            f"a model cannot be named {spec.name!r} in this firmware",
            where=spec.location("name"),
            why=f"a driver has a header {spec.name}.h",
            next_step=f"choose another name; taken are {', '.join(drivers)}",
        )


def _example_models(example: str) -> Path:
    examples = resources("examples")
    models = examples / example / "models"
    if Path(example).name != example or not models.is_dir():
        known = sorted(path.parent.name for path in examples.glob("*/models"))
        raise UcNnError(f"there is no example {example!r}", where="--example", why=f"there are: {', '.join(known)}")
    return models


def _only_spec(models: Path) -> Path:
    specs = sorted(models.glob("*.yaml"))
    if len(specs) != 1:
        raise UcNnError(
            f"the example's models folder holds {len(specs)} model specs", where=str(models), why="one is needed"
        )
    return specs[0]


def _files_of_spec(spec: ModelSpec) -> list[Path]:
    """What a spec needs, relative to its folder: itself, the files it names, Python files that these may import."""
    folder = spec.path.parent.resolve()
    wanted = [spec.path, *spec.files, *sorted(folder.glob("*.py"))]
    if (folder / SCENE).is_file():
        wanted.append(folder / SCENE)
    relative: dict[Path, None] = {}
    for path in wanted:
        try:
            relative[path.resolve().relative_to(folder)] = None
        except ValueError as error:
            raise SpecError(
                f"the spec names a file outside its folder: {path}",
                where=str(spec.path),
                why="a project holds all that its model needs",
                next_step="copy the file beside the spec",
            ) from error
    return list(relative)


def _has_scene(models: Path, copied: list[Path] | None) -> bool:
    return (models / SCENE).is_file() if copied is None else Path(SCENE) in copied


def _refuse_occupied(dest: Path) -> None:
    if dest.exists() and not dest.is_dir():
        raise UcNnError(f"{dest} is a file", why="a project is a folder", next_step="choose another name")
    if dest.is_dir() and any(dest.iterdir()):
        raise UcNnError(
            f"the folder {dest} is not empty",
            why="nothing of yours is ever overwritten",
            next_step="choose another folder, or empty this one",
        )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8"))
