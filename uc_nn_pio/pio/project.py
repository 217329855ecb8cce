"""Renders a PlatformIO project from ``firmware_template/``: what ``uc-nn new`` does.

Boards with a camera get the demo firmware; for others, ``firmware_template/samples`` is a program that runs the model's
test samples. The examples with a camera are rendered by the same templates (:func:`example_files`), and take the
drivers from ``firmware_template/lib`` where a project of the user's gets its own copy.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from uc_nn_pio.boards import Board, load_board
from uc_nn_pio.errors import SpecError, UcNnError
from uc_nn_pio.pio.rendering import (
    BARE,
    board_variables,
    common_files,
    copy,
    driver_files,
    drivers,
    is_fe310,
    model_variables,
    new_folder,
    rendered,
    write,
)
from uc_nn_pio.pio.update import NOTE, note_text
from uc_nn_pio.resources import resources
from uc_nn_pio.spec import ModelSpec, load_spec

DEFAULT_EXAMPLE = "lenet5_camera"
CAMERA_PIXELS = 64
"""Width and height of the camera's picture (ov2640.h)."""

CAMERA_SOURCE = "arducam_ov2640"
SCENE = "data/digits.npz"
"""Where in a models folder the pictures for the virtual camera lie, if there are any."""

_SAMPLES = 10
_NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


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
    ours = _own_files(name, load_board(board), loaded, _has_scene(models, copied))
    how = {"name": name, "board": board, "spec": f"models/{loaded.path.name}"}
    with new_folder(dest) as folder:
        for relative, text in {**ours, NOTE: note_text(how, ours)}.items():
            write(folder / relative, text)
        if copied is None:
            shutil.copytree(models, folder / "models", ignore=_NOT_COPIED)
        else:
            for relative in copied:
                copy(models / relative, folder / "models" / relative)
    return sorted(path for path in dest.rglob("*") if path.is_file())


def project_files(*, name: str, board: str, spec: Path) -> dict[str, str]:
    """All files of a project that come from this package (relative name -> text), for a spec that is in it already."""
    return _own_files(name, load_board(board), load_spec(spec), (spec.parent / SCENE).is_file())


def _own_files(name: str, board: Board, spec: ModelSpec, scene: bool) -> dict[str, str]:
    """With a copy of the drivers."""
    texts = _texts(name=name, board=board, spec=spec, shared_drivers=False, scene=scene)
    return {**texts, **driver_files(drivers(fe310=is_fe310(board)))}


def example_files(example: str) -> dict[str, str]:
    """Return the files of an example that the templates make (relative name -> text): all but its models, and what an
    editor wants of a project of the user's."""
    spec = load_spec(_only_spec(_example_models(example)))
    scene = _has_scene(_example_models(example), None)
    texts = _texts(name=example, board=load_board("hifive1_virtual"), spec=spec, shared_drivers=True, scene=scene)
    return {name: text for name, text in texts.items() if not name.startswith(".vscode/")}


def _texts(*, name: str, board: Board, spec: ModelSpec, shared_drivers: bool, scene: bool) -> dict[str, str]:
    camera, tested = is_fe310(board), spec.validate is not None
    if camera:
        _check_camera_model(spec)
    else:
        _check_samples(spec)
    variables = {
        **board_variables(name, board),
        **model_variables(spec.name, spec.path.name, labels=spec.output.labels is not None, tested=tested),
        "samples": _SAMPLES,
        "scene": f"models/{SCENE}" if scene else None,
        "lib_extra_dirs": "../../firmware_template/lib" if shared_drivers else None,
    }
    templates = {
        "platformio.ini": "platformio.ini.j2" if camera else "samples/platformio.ini.j2",
        "README.md": "README.md.j2" if camera else "samples/README.md.j2",
        "src/main.c": "src/main.c.j2" if camera else "samples/main.c.j2",
    }
    if camera and tested:
        templates["test/test_network/test_network.c"] = "test/test_network.c.j2"
    return {**rendered(templates, variables), **common_files(fe310=camera, tested=tested)}


def _check_samples(spec: ModelSpec) -> None:
    if spec.validate is None:
        raise SpecError(
            f"the model {spec.name!r} names no test data",
            where=spec.location("name"),
            why="the program for a board without a camera runs test samples",
            next_step="add validate: {file: data/test.npz, stage: network}",
        )
    if spec.name == BARE:
        raise SpecError(
            f"a model cannot be named {BARE!r} in this program",
            where=spec.location("name"),
            why=f"it has a header {BARE}.h of its own",
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
    taken = [path.name for path in drivers(fe310=True)]
    if spec.name in taken:
        raise SpecError(
            f"a model cannot be named {spec.name!r} in this firmware",
            where=spec.location("name"),
            why=f"a driver has a header {spec.name}.h",
            next_step=f"choose another name; taken are {', '.join(taken)}",
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
