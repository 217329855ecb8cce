"""What the file that a user holds in hand says of the network in it: an exported program, Python code, or weights."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from uc_nn_pio.capture.archive import export_inputs
from uc_nn_pio.capture.archive_program import KnownInput
from uc_nn_pio.capture.formats import FileKind, file_kind
from uc_nn_pio.capture.guess import guessed_network
from uc_nn_pio.capture.user_code import UserCode, module_name, user_code
from uc_nn_pio.errors import Location, ModelError
from uc_nn_pio.spec.names import suggested_name

_WEIGHTS = (FileKind.TORCH_SAVE, FileKind.TORCH_SAVE_OLD, FileKind.SAFETENSORS)


@dataclass(frozen=True)
class OwnFile:
    """A network in a file of the user's. ``example`` is a shape that it could take, ``1x28x28``.

    ``kind`` is ``export``, ``python`` or ``weights``. Of Python: ``attribute`` is the class or function that gives the
    network, ``root`` the folder that the file's imports count from. Of weights: ``layers`` are lines of ``layers:``.
    """

    kind: str
    path: Path
    inputs: tuple[KnownInput, ...]
    example: str = "1x28x28"
    attribute: str = ""
    root: Path | None = None
    layers: tuple[str, ...] = ()


def read_own_file(path: Path, attribute: str = "") -> OwnFile:
    """Read a file. A Python file is the user's own code, and is run; of the others nothing is.

    Args:
        path: a ``.pt2`` file of ``torch.export.save``, a Python file, a state_dict or a safetensors file.
        attribute: of a Python file the class, function or network to take; without it, the one class that there is.

    Raises:
        ModelError: the file is missing, of another kind, or damaged; the class is not clear.
        UnsafeFileError: it would run code when torch loads it.
        UnsupportedError: ``layers:`` does not have its layers.
    """
    if not path.is_file():
        raise ModelError(
            f"there is no file {str(path)!r}" if not path.is_dir() else f"{str(path)!r} is a folder",
            where="--blank",
            next_step="name a .pt2 file, a Python file, a state_dict or a safetensors file",
        )
    if path.suffix == ".py":
        return _python(path, attribute)
    if attribute:
        raise ModelError(
            f"{path.name} is no Python file, so there is no {attribute!r} in it",
            where="--blank",
            why="FILE.py:CLASS names a class of a Python file",
            next_step=f"--blank {path.name}",
        )
    kind = file_kind(path)
    if kind in _WEIGHTS:
        layers, shape = guessed_network(path)
        sizes = tuple(int(size) if size.isdigit() else None for size in re.findall(r"\w+", shape))
        return OwnFile("weights", path, (KnownInput("x", sizes),), _example(sizes), layers=tuple(layers))
    if kind in (FileKind.PT2, FileKind.PT2_OLD):  # the archive's reader says how to export an old one again
        found = export_inputs(path)
        named = zip(_names(each.name for each in found), found, strict=True)
        inputs = tuple(replace(each, name=name) for name, each in named)
        unknown = next((each.shape for each in inputs if None in each.shape), (1, 28, 28))
        return OwnFile("export", path, inputs, _example(unknown))
    raise ModelError(
        f"{path.name} is {kind.value}" if kind is not FileKind.UNKNOWN else f"{path.name} is of no known format",
        where=Location(path),
        why="a network comes as a .pt2 file of torch.export, a Python file (.py), a state_dict or a safetensors file",
        next_step="in PyTorch: torch.export.save(torch.export.export(model.eval(), (x,)), 'net.pt2')",
    )


def _python(path: Path, attribute: str) -> OwnFile:
    with user_code(path) as code:
        attribute = attribute or _only_class(code, path)
        network = code.build(attribute, {}, Location(path))
        parameters = inspect.signature(network.forward).parameters.values()
        taken = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
        needed = [each.name for each in taken if each.default is each.empty]
        found = tuple(map(KnownInput, _names(needed) or ["x"]))
        return OwnFile("python", path, found, _taken(network), attribute, module_name(path.resolve())[1])


def _only_class(code: UserCode, path: Path) -> str:
    """The one class of a network that can be made without arguments."""
    classes = code.networks()
    ready = [name for name, made in classes.items() if made]
    if len(ready) == 1:
        return ready[0]
    if ready:
        raise ModelError(
            f"{path.name} defines {len(ready)} networks: {', '.join(ready)}",
            where=Location(path),
            why="each of them can be made without arguments, and one is taken",
            next_step=f"--blank {path.name}:{ready[-1]}, say",
        )
    raise ModelError(
        f"{path.name} defines no network that can be made without arguments",
        where=Location(path),
        why=f"{', '.join(classes)} need{'s' * (len(classes) == 1)} arguments"
        if classes
        else "it defines no class derived from torch.nn.Module",
        next_step="give the arguments defaults, or write a function that returns the network, and name it: --blank "
        f"{path.name}:my_network",
    )


def _names(given: Iterable[str]) -> list[str]:
    """Names that a spec takes, all different: those that are given, where possible."""
    names: list[str] = []
    for number, name in enumerate(given):
        allowed = suggested_name(name.lower()) or f"x{number}"
        names.append(allowed if allowed not in names else f"{allowed}_{number}")
    return names


def _taken(network: torch.nn.Module) -> str:
    """A shape that the first layer with weights could take."""
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            return _example((module.in_channels, None, None))
        if isinstance(module, torch.nn.Conv1d | torch.nn.ConvTranspose1d):
            return _example((module.in_channels, None))
        if isinstance(module, torch.nn.Linear):
            return _example((module.in_features,))
        if isinstance(module, torch.nn.RNNBase):
            return _example((None, module.input_size))
    return "1x28x28"


def _example(shape: Sequence[int | None]) -> str:
    """A shape with what is not known of it filled in."""
    likely = {1: (10,), 2: (6, 50), 3: (1, 28, 28)}.get(len(shape), (1, 28, 28))
    return "x".join(str(size or other) for size, other in zip(shape or likely, likely, strict=True))
