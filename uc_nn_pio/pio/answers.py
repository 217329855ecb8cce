"""What the user says beside a network's file, checked against what the file says by itself.

Nothing is guessed: what neither says is an error that names the option.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from uc_nn_pio.errors import ErrorGroup, SpecError, UcNnError

if TYPE_CHECKING:
    from uc_nn_pio.capture.own_file import KnownInput, OwnFile

_INPUT = re.compile(r"(?:(\w+)=)?(\d+(?:x\d+)*)")
_TOKENS = re.compile(r"(?:(\w+)=)?(\d+)")
_SHAPE = "an input's shape is 1 to 3 sizes without the batch axis: channels x height x width, or a vector's length"


@dataclass(frozen=True)
class Answers:
    """What the user says beside the file, as the options' texts: ``--input``, ``--tokens``, ``--weights``,
    ``--calibration`` and ``--scale``."""

    inputs: Sequence[str] = ()
    tokens: Sequence[str] = ()
    weights: Path | None = None
    calibration: Path | None = None
    scale: str | None = None


@dataclass(frozen=True)
class End:
    """An input or output, as the templates take it."""

    name: str
    shape: tuple[int | str, ...] = ()
    tokens: int | None = None

    @property
    def upper(self) -> str:
        return self.name.upper()


def inputs_of(own: OwnFile, answers: Answers) -> tuple[End, ...]:
    """The inputs with their shapes: the file's, else the user's.

    Raises:
        SpecError, ErrorGroup: something is missing or does not fit; all of it is said at once.
    """
    errors: list[UcNnError] = []
    shapes = _by_name("--input", answers.inputs, _INPUT, own, errors)
    tokens = _by_name("--tokens", answers.tokens, _TOKENS, own, errors)
    if own.kind == "python" and answers.weights is None:
        errors.append(
            SpecError(
                f"{own.path.name} says what the network is, not what it has learned",
                where="--weights",
                why="weights are in a state_dict or a safetensors file: torch.save(net.state_dict(), "
                f"'{own.path.stem}.pt')",
                next_step=f"--weights {own.path.stem}.pt",
            )
        )
    if own.kind != "python" and answers.weights is not None:
        errors.append(
            SpecError(
                f"{own.path.name} holds its weights",
                where="--weights",
                why="weights of their own go with a Python file",
                next_step="leave --weights out",
            )
        )
    found = []
    for each in own.inputs:
        shape = _shape(each, shapes.get(each.name), own, errors)
        count = tokens.get(each.name)
        if each.whole and each.tokens is None and count is None:
            errors.append(
                SpecError(
                    f"{own.path.name} takes whole numbers as {each.name}, and does not say how many there are",
                    where="--tokens",
                    why="the C has to know their range, as an embedding has it",
                    next_step=f"--tokens {each.name}=100, say",
                )
            )
        found.append(End(each.name, shape, int(count) if count else each.tokens))
    if errors:
        raise errors[0] if len(errors) == 1 else ErrorGroup(errors)
    return tuple(found)


def _by_name(
    option: str, given: Sequence[str], form: re.Pattern[str], own: OwnFile, errors: list[UcNnError]
) -> dict[str, str]:
    """An option's values by the names of inputs; those without one in the order of ``forward``'s arguments."""
    names = [each.name for each in own.inputs]
    found: dict[str, str] = {}
    value = own.example if option == "--input" else "100"
    for text in given:
        match = form.fullmatch(text)
        name = (match[1] or next((name for name in names if name not in found), None)) if match else None
        if match is None:
            why, what = (
                _SHAPE if option == "--input" else "it is how many different ones there are",
                f"{text!r} is wrong",
            )
        elif name not in names or name in found:
            what = f"{text!r} is for no input" if name not in found else f"{name} is given twice"
            why = f"{own.path.name} has {len(names)} input{'s' * (len(names) > 1)}: {', '.join(names)}"
        else:
            found[name] = match[2]
            continue
        example = f"{names[0]}={value}" if len(names) > 1 else value
        errors.append(SpecError(what, where=option, why=why, next_step=f"{option} {example}, say"))
    return found


def _shape(each: KnownInput, given: str | None, own: OwnFile, errors: list[UcNnError]) -> tuple[int, ...]:
    known = each.shape if each.shape is not None else (None,)
    if given is None:
        if None not in known:
            return tuple(size for size in known if size is not None)
        says = "" if each.shape is None else f" ({' x '.join('?' if size is None else str(size) for size in known)})"
        option = f"{each.name}={own.example}" if len(own.inputs) > 1 else own.example
        errors.append(
            SpecError(
                f"{own.path.name} does not say the shape of its input {each.name}{says}",
                where="--input",
                why=_SHAPE,
                next_step=f"--input {option}, say",
            )
        )
        return ()
    shape = tuple(map(int, given.split("x")))
    fits = each.shape is None or (
        len(shape) == len(known) and all(want in (None, size) for want, size in zip(known, shape, strict=True))
    )
    if not fits or len(shape) > 3 or not all(0 < size < 65536 for size in shape):
        batch = len(shape) == 4 and shape[0] == 1
        errors.append(
            SpecError(
                f"{given} cannot be the shape of {each.name}",
                where="--input",
                why=_SHAPE
                if fits
                else f"{own.path.name} takes {' x '.join('?' if size is None else str(size) for size in known)}",
                next_step=f"--input {'x'.join(map(str, shape[1:]))}" if batch else f"--input {own.example}, say",
            )
        )
    return shape


def calibration_of(own: OwnFile, answers: Answers) -> tuple[bool, str | None]:
    """Whether the inputs have names in the spec, and the scale of a byte.

    Raises:
        SpecError: calibration data that cannot be read, or bytes whose scale is not said.
    """
    named = len(own.inputs) > 1 or any(each.whole or each.tokens for each in own.inputs) or bool(answers.tokens)
    scale, data = answers.scale, answers.calibration
    if scale is not None:
        with contextlib.suppress(ValueError, ZeroDivisionError):
            if Fraction(scale) > 0 and data is not None and not named:
                return named, scale
        raise SpecError(
            f"--scale {scale} does not go here",
            where="--scale",
            why="it is what a byte of the pictures in --calibration is multiplied by, a number above 0",
            next_step="--calibration pictures.npz --scale 1/255, say; else leave it out",
        )
    if data is None:
        return named, None
    held = _arrays_in(data)
    if named or "images" not in held:
        return True, None
    raise SpecError(
        f"{data.name} holds pictures as bytes, and what the network takes for a byte is not said",
        where="--scale",
        why="a byte times it is what the network was trained on: 1/255 after torchvision's ToTensor",
        next_step="--scale 1/255, say; or store floats as the network takes them, in an array called "
        f"{own.inputs[0].name!r}",
    )


def _arrays_in(path: Path) -> list[str]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as data:
            return list(data.files)
    except Exception as error:  # NumPy and zipfile raise what they like on files of other kinds
        raise SpecError(
            f"cannot read calibration data from {path.name}: {error}",
            where="--calibration",
            why="expected: an .npz file, with 'images' (N, C, H, W) uint8 or an array for each input",
            next_step="write it with numpy.savez_compressed(file, images=...)",
        ) from None
