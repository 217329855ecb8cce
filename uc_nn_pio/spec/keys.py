"""Every key of a model spec, in one table: loader, JSON schema and documentation are held to it.

To build a feature that is refused so far: delete its rows in :data:`NOT_BUILT`, and carry the value into the model
(:mod:`uc_nn_pio.spec.model`, :mod:`uc_nn_pio.spec.loader`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from uc_nn_pio.errors import NotBuiltError, SpecError
from uc_nn_pio.spec.document import Value
from uc_nn_pio.spec.files import File, PythonClass
from uc_nn_pio.spec.kinds import (
    BAD,
    Anything,
    Arguments,
    Budget,
    Choice,
    Inputs,
    Kind,
    Labels,
    ListOf,
    Name,
    Number,
    Reader,
    Shape,
    Size,
    SizeOr,
    Switch,
    Version,
    Whole,
    nearest,
)
from uc_nn_pio.spec.layers import Layers


@dataclass(frozen=True)
class Key:
    """One key of a section. ``meaning`` is one line for editors; docs/spec.md says more."""

    name: str
    kind: Kind
    meaning: str
    required: bool = False


@dataclass(frozen=True)
class NotBuilt:
    """A key, or one value of it, whose feature does not exist yet. ``[]`` as value stands for any list.

    With ``spare``, every value but this one is refused.
    """

    key: str
    feature: str
    now: str
    value: str | None = None
    spare: str | None = None

    def refuses(self, value: Value) -> bool:
        if self.spare is not None:
            return value.text != self.spare
        return self.value is None or value.text == self.value or (self.value == "[]" and value.kind == "list")


NOT_BUILT = (
    NotBuilt(
        "flash",
        "setting up the flash interface in a model spec",
        "custom_uc_nn_flash = dual_io in platformio.ini, because it belongs to the firmware (docs/flash.md)",
    ),
)


@dataclass(frozen=True)
class Section(Kind):
    """A mapping with known keys. Reads as a dict of the values that are there and right."""

    keys: tuple[Key, ...]
    expects: str = "a mapping"

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind != "map":
            return self.wrong(value, reader)
        known = {key.name: key for key in self.keys}
        out: dict[str, Any] = {}
        for name, item in value.entries.items():
            if name not in known:
                self._unknown(name, item, reader)
            elif (row := _row(item)) is not None:
                reader.errors.append(_refusal(row, item))
            else:
                result = known[name].kind.read(item, reader)
                if result is not BAD:
                    out[name] = result
        for key in self.keys:
            if key.required and key.name not in value.entries:
                self._missing(key, value, reader)
        return out

    def _unknown(self, name: str, item: Value, reader: Reader) -> None:
        near = nearest(name, [key.name for key in self.keys])
        homes = [path for path in known_keys() if path.rpartition(".")[2] == name and path != item.key]
        if homes:
            next_step = f"{name!r} belongs at {homes[0]}"
        elif near:
            next_step = f"did you mean {near!r}?"
        else:
            next_step = f"known keys here: {', '.join(key.name for key in self.keys)}"
        reader.errors.append(SpecError(f"unknown key {item.key}", where=item.where, next_step=next_step))

    def _missing(self, key: Key, value: Value, reader: Reader) -> None:
        path = ".".join([*map(str, value.path), key.name])
        what = f"the key {path} is missing"
        reader.errors.append(SpecError(what, where=value.where, why=key.meaning, next_step=f"add {key.name}: ..."))

    def schema(self) -> dict[str, Any]:
        raise AssertionError("uc_nn_pio.spec.schema walks sections itself, because it needs the way to each key")


def _row(item: Value) -> NotBuilt | None:
    return next((row for row in NOT_BUILT if row.key == item.key and row.refuses(item)), None)


def _refusal(row: NotBuilt, item: Value) -> NotBuiltError:
    shown = f"{item.key}: {item.text}" if row.value not in (None, "[]") or row.spare else item.key
    return NotBuiltError(
        f"{shown}: {row.feature} is not built yet", where=item.where, next_step=f"what works now: {row.now}"
    )


STAGES = "camera: bytes as the sensor gives them; network: bytes past invert and threshold"
"""What the two stages are, in errors as well."""

_STAGE = Key("stage", Choice(("camera", "network")), STAGES, required=True)
_SAMPLES = Key("samples", Whole(1), "how many of the file's samples to use, from its beginning; all by default")
_DATA = Key("file", File(), "an .npz file with the arrays 'images' and 'labels'", required=True)

MODEL = Section(
    (
        Key("python", PythonClass(), "the network: file.py:Name, a class or function of your own Python file; it runs"),
        Key("arguments", Arguments(), "keyword arguments for the class or function that python names"),
        Key("layers", Layers(), "the network: a list of classes of torch.nn with their arguments"),
        Key("export", File(), "the network: a .pt2 file of torch.export, weights included"),
        Key("weights", File(), "a state_dict (.pt, .pth) or safetensors file, for python and layers"),
    )
)
PREPROCESS = Section(
    (
        Key("invert", Switch(), "replace each byte p by 255 - p, first"),
        Key("threshold", Whole(0, 255), "bytes below this become 0, after invert"),
        Key("scale", Number(above=0, most=1e9, limits="above 0"), "multiplies each byte; 1 by default"),
        Key("mean", ListOf(Number(-1e9, 1e9)), "subtracted after scale, one number a channel"),
        Key("std", ListOf(Number(-1e9, 1e9)), "divided by at last, one number a channel, not 0"),
    )
)
INPUT = Section(
    (
        Key("shape", Shape(), "[C, H, W], or [N] for a vector, without the batch axis", required=True),
        Key("source", Choice(("arducam_ov2640",)), "the camera that delivers the pixels"),
        Key("preprocess", PREPROCESS, "what happens to a byte before it is the network's input"),
    )
)
OUTPUT = Section(
    (
        Key("labels", Labels(), "a text for each element of the (first) output"),
        Key("names", ListOf(Name()), "of several outputs: their names in the C, in the order of forward's"),
    )
)
CALIBRATION = Section(
    (
        Key("file", File(), "an .npz file with the array 'images': samples that show what values the network meets"),
        Key("stage", _STAGE.kind, f"{_STAGE.meaning}; goes with file"),
        _SAMPLES,
        Key("method", Choice(("minmax", "percentile", "mse")), "how ranges follow from the samples; minmax by default"),
        Key("percentile", Number(above=50, most=100, limits="above 50 and at most 100"),
            "for method percentile: how many % of a tensor's values its range holds; 99.99 by default"),
        Key("linear", Choice(("per_tensor", "per_channel")),
            "weight scales of a fully connected layer: one, or one an output; per_tensor by default"),
        Key("ranges", File(), "instead of file and stage: a JSON file with every tensor's range, of uc-nn calibrate"),
    )
)  # fmt: skip
MEMORY = Section(
    (
        Key(
            "schedule",
            Choice(("auto", "pingpong", "arena", "streamed")),
            "how activations share RAM; auto by default",
        ),
        Key(
            "ram_budget",
            Budget(),
            "bytes that the network may use: 6144 or 6K, or least; by default what the board leaves",
        ),
        Key("firmware_reserve", Size(0), "bytes of RAM kept for the rest of the firmware where no budget is given; 4K"),
        Key(
            "ram_weights",
            SizeOr(("none", "auto")),
            "weights to copy into RAM: auto, what the budget leaves; or at most so many bytes; none by default",
        ),
    )
)
VALIDATE = Section(
    (
        _DATA,
        Key("stage", _STAGE.kind, f"{_STAGE.meaning}; goes with the key input"),
        _SAMPLES,
        Key("min_accuracy", Number(0, 1, limits="from 0 to 1"), "the least share of right answers that passes"),
    )
)
ROOT = Section(
    (
        Key("spec", Version(), "the version of this format: 1", required=True),
        Key("name", Name(), "the model's name: a C identifier, begins every name in the C", required=True),
        Key("model", MODEL, "where the network and its weights come from", required=True),
        Key("input", INPUT, "shape and origin of the network's input"),
        Key("inputs", Inputs(Shape()), "in place of input: the inputs by name, in the order of forward's arguments"),
        Key("output", OUTPUT, "what the network's output means"),
        Key("precision", Choice(("float32", "int8")), "the arithmetic of the C; float32 by default"),
        Key(
            "state",
            Choice(("fresh", "carried")),
            "whether recurrent layers begin each run with 0, or where the last ended",
        ),
        Key("calibration", CALIBRATION, "what sets the ranges of int8"),
        Key("memory", MEMORY, "how to use the board's RAM"),
        Key("flash", Anything(), "how to read the flash"),
        Key("validate", VALIDATE, "data to check the network with"),
    )
)


def walk(section: Section = ROOT, above: str = "") -> Iterator[tuple[str, Key]]:
    """Every key with its dotted path, in the order of the table."""
    for key in section.keys:
        path = f"{above}{key.name}"
        yield path, key
        if isinstance(key.kind, Section):
            yield from walk(key.kind, f"{path}.")


def known_keys() -> tuple[str, ...]:
    """Dotted paths of all keys: ``input.preprocess.scale``."""
    return tuple(path for path, _ in walk())
