"""``uc-nn new --blank FILE``: a project around the file that a user holds in hand, which builds and runs at once.

What the file says is not asked for; what it does not say is asked by naming an option, and never guessed. The network
is converted for the board before anything is written: what cannot be converted or does not fit leaves no folder.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from uc_nn_pio.boards import Board, load_board
from uc_nn_pio.errors import ErrorGroup, Location, UcNnError
from uc_nn_pio.escape import visible
from uc_nn_pio.pio.answers import Answers, End, calibration_of, inputs_of
from uc_nn_pio.pio.rendering import (
    board_variables,
    common_files,
    copy,
    driver_files,
    drivers,
    is_fe310,
    model_variables,
    new_folder,
    refuse_occupied,
    rendered,
    write,
)
from uc_nn_pio.pio.update import NOTE, note_text
from uc_nn_pio.spec import FILL_IN, load_spec
from uc_nn_pio.spec.names import suggested_name

if TYPE_CHECKING:
    from uc_nn_pio.capture.own_file import OwnFile
    from uc_nn_pio.converter import Conversion

KIND = "blank"
"""What the note of such a project says that it is."""

_OF_THE_CHIP = ("fe310",)
"""Of the FE310's drivers those that need no camera."""


def render_blank(
    dest: Path, file: str, *, name: str, board: str, answers: Answers, tell: Callable[[str], None] = print
) -> list[Path]:
    """Write a project around ``file`` into ``dest``, and return the files written.

    Args:
        dest: a folder that is empty or does not exist yet.
        file: a ``.pt2`` file, a Python file or one of its classes (``net.py:Net``), a state_dict or a safetensors file.
        name: the project's name, for its README and comments.
        board: id of the board of the default environment; the network has to fit it.
        answers: what the file does not say.
        tell: takes a line for the user: that a Python file is run, a name that was changed, what is left to fill in.

    Raises:
        UcNnError: the destination holds something, the file does not say enough (the message names the option), or the
            network cannot be converted or does not fit the board; nothing is left behind.
    """
    from uc_nn_pio.capture.own_file import read_own_file  # imports torch

    dest, target = Path(dest), load_board(board)
    refuse_occupied(dest)
    board_variables(name, target)  # whether there are drivers for the board, before the network is looked at
    path, attribute = _split(file)
    if path.suffix == ".py" and path.is_file():
        tell(f"note: {path.name} is your own code, and it is run")
    own = read_own_file(path, attribute)
    model = _model_name(path, tell)
    draft = _Draft(own, model, answers, inputs_of(own, answers), *calibration_of(own, answers))
    if draft.gaps:
        conversion = None
        tell(
            f"note: the weights do not say {draft.gaps} things of the network: fill in {FILL_IN} in models/{model}.yaml"
        )
    else:
        conversion = _converted(draft, target)
        draft = draft.settled(conversion)
    copies = _copies(own, answers, conversion)
    texts = _texts(name, target, draft.variables(f"{model}.yaml"))
    how = {"kind": KIND, "name": name, "board": board, "spec": f"models/{model}.yaml"}
    with new_folder(dest) as folder:
        for relative, text in {**texts, NOTE: note_text(how, texts)}.items():
            write(folder / relative, text)
        spec = folder / "models" / f"{model}.yaml"
        write(spec, draft.spec_text())
        for relative, source in {**copies, **draft.data_copies()}.items():
            copy(source, folder / "models" / relative)
        if own.kind == "python":
            _check_copy(spec, own)
    return sorted(path for path in dest.rglob("*") if path.is_file())


def blank_files(*, name: str, board: str, spec: Path) -> dict[str, str]:
    """All files of such a project that come from this package (relative name -> text), for its spec as it is now."""
    loaded = load_spec(spec)
    inputs = [End(each.name, each.shape, each.tokens) for each in loaded.inputs or (replace(loaded.input, name="x"),)]
    variables = {
        **model_variables(
            loaded.name, spec.name, labels=loaded.output.labels is not None, tested=loaded.validate is not None
        ),
        "inputs": inputs,
        "outputs": [End(each) for each in loaded.output.names or ("y0",)],
    }
    return _texts(name, load_board(board), variables)


def _texts(name: str, board: Board, variables: Mapping[str, object]) -> dict[str, str]:
    fe310, tested = is_fe310(board), bool(variables["tested"])
    templates = {
        "platformio.ini": "blank/platformio.ini.j2",
        "README.md": "blank/README.md.j2",
        "src/main.c": "blank/main.c.j2",
    }
    if fe310 and tested:
        templates["test/test_network/test_network.c"] = "test/test_network.c.j2"
    everything = {**board_variables(name, board), **variables, "fe310": fe310}
    folders = [path for path in drivers(fe310=fe310) if not fe310 or path.name in _OF_THE_CHIP]
    return {
        **rendered(templates, everything),
        **common_files(fe310=fe310, tested=tested),
        **driver_files(folders),
    }


@dataclass(frozen=True)
class _Draft:
    """The spec that is being made. ``named``: its inputs stand under ``inputs:``."""

    own: OwnFile
    model: str
    answers: Answers
    inputs: tuple[End, ...]
    named: bool
    scale: str | None
    outputs: tuple[End, ...] = (End("y0"),)
    output_size: int | None = None
    precision: str | None = None

    @property
    def gaps(self) -> int:
        """Places that the weights leave to be filled in."""
        return sum(line.partition("#")[0].count(FILL_IN) for line in self.own.layers)

    def settled(self, conversion: Conversion) -> _Draft:
        """With what the converted network says: its outputs, and that it is quantized, if PyTorch has done that."""
        design = conversion.design
        count = len(design.graph.outputs)
        first = design.graph.tensor(design.graph.outputs[0]).elements
        return replace(
            self,
            outputs=tuple(End(f"y{number}") for number in range(count)),
            output_size=first,
            precision=design.precision,
        )

    def variables(self, spec: str) -> dict[str, object]:
        return {
            **model_variables(self.model, spec, labels=False, tested=False),
            "inputs": self.inputs if self.named else (replace(self.inputs[0], name="x"),),
            "outputs": self.outputs,
        }

    def spec_text(self, *, check: bool = False) -> str:
        """The spec, to stand in the project's ``models``; for ``check``, with the files where the user has them, and
        without what :meth:`settled` finds out."""

        def quoted(path: Path, copy: str) -> str:
            return json.dumps(str(path.absolute()) if check else copy, ensure_ascii=False)

        own, answers = self.own, self.answers
        given = own.path if own.kind == "weights" else answers.weights
        weights = [f"weights: {quoted(given, given.name)}"] if given is not None else []
        if own.kind == "export":
            source = [f"export: {quoted(own.path, own.path.name)}"]
        elif own.kind == "python":
            source = [f"python: {quoted(Path(f'{own.path}:{own.attribute}'), self._entry)}", *weights]
        else:
            source = ["layers:", *(line.removeprefix("  ") for line in own.layers), *weights]
        data = answers.calibration
        precision = self.precision or ("int8" if data else "float32")
        text = rendered(
            {"spec": "blank/model.yaml.j2"},
            {
                "origin": visible(" and ".join(path.name for path in (own.path, answers.weights) if path)),
                "fill_in": self.gaps,
                "model": self.model,
                "source": source,
                "inputs": self.inputs,
                "named": self.named,
                "scale": self.scale,
                "outputs": self.outputs,
                "output_size": self.output_size,
                "precision": precision,
                "calibration": quoted(data, f"data/{data.name}") if data else None,
            },
        )["spec"]
        # what PyTorch has quantized is int8 unless the spec insists on float32
        return text.replace("precision: float32\n", "") if check else text

    @property
    def _entry(self) -> str:
        """``model.python`` in the project."""
        assert self.own.root is not None
        return f"{self.own.path.resolve().relative_to(self.own.root).as_posix()}:{self.own.attribute}"

    def data_copies(self) -> dict[str, Path]:
        data = self.answers.calibration
        return {f"data/{data.name}": data} if data else {}


def _split(file: str) -> tuple[Path, str]:
    """``net.py:Net`` as the file and the name in it."""
    before, colon, attribute = file.rpartition(":")
    if colon and before.endswith(".py") and attribute.isidentifier():
        return Path(before), attribute
    return Path(file), ""


def _model_name(path: Path, tell: Callable[[str], None]) -> str:
    """The file's name, made one that C, the spec and the drivers' headers leave to it."""
    name = suggested_name(path.stem) or "network"
    taken = {file.stem for fe310 in (True, False) for folder in drivers(fe310=fe310) for file in folder.iterdir()}
    if name in {*taken, "main"}:
        name = f"{name}_net"
    if name != path.stem:
        tell(f"note: the model is called {name}: {visible(path.stem)!r} cannot be a name in its C")
    return name


# The network --------------------------------------------------------------------------------------------------------


def _converted(draft: _Draft, board: Board) -> Conversion:
    """The network with the user's files where they are: errors name those."""
    from uc_nn_pio.converter import convert

    with tempfile.TemporaryDirectory(prefix="uc_nn_new_") as folder:
        spec = Path(folder) / f"{draft.model}.yaml"
        write(spec, draft.spec_text(check=True))
        try:
            return convert(spec, board)
        except UcNnError as error:
            for each in error.errors if isinstance(error, ErrorGroup) else (error,):
                if each.where is not None and str(each.where).startswith(folder):
                    each.where = Location(draft.own.path)  # the spec is gone when this is read
            raise


def _copies(own: OwnFile, answers: Answers, conversion: Conversion | None) -> dict[str, Path]:
    """The user's files by their places in ``models``: of Python, all that the network imports.

    Raises:
        UcNnError: a Python file that is imported from elsewhere.
    """
    copies = {path.name: path for path in (own.path, answers.weights) if path and path.suffix != ".py"}
    if own.kind != "python" or conversion is None or own.root is None:
        return copies
    for path in conversion.dependencies:
        if path.suffix != ".py":
            continue
        if not path.is_relative_to(own.root):
            raise UcNnError(
                f"{own.path.name} imports {path.name} from outside its folder",
                where=Location(path),
                why="a project holds all that its model needs",
                next_step=f"copy it beside {own.path.name}",
            )
        copies[path.relative_to(own.root).as_posix()] = path
    return copies


def _check_copy(spec: Path, own: OwnFile) -> None:
    """The network is made from the project's own copies, as a build will do it.

    Raises:
        UcNnError: it reads a file that is no Python.
    """
    from uc_nn_pio.capture import load_model

    try:
        with contextlib.chdir(spec.parent.parent):
            load_model(load_spec(spec))
    except UcNnError as error:
        raise UcNnError(
            f"{own.path.name} cannot be made from copies of its Python files and weights alone: {error.what}",
            where=Location(own.path),
            why="a project holds all that its model needs, and only what is imported is known",
            next_step="put what it reads into a Python file, or export it: torch.export.save(...), --blank net.pt2",
        ) from None
