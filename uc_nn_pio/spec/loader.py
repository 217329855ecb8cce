"""Reads a model spec: the file's values by the table of keys, then what one key says about another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from uc_nn_pio.errors import ErrorGroup, Location, SpecError
from uc_nn_pio.spec.document import Value, read_document
from uc_nn_pio.spec.keys import ROOT, STAGES
from uc_nn_pio.spec.kinds import BAD, FILL_IN, Reader, Version
from uc_nn_pio.spec.model import (
    CalibrationSpec,
    InputSpec,
    MemorySpec,
    ModelSource,
    ModelSpec,
    OutputSpec,
    Preprocess,
    PythonEntry,
    ValidateSpec,
)

_FLOAT32_MAX = 2.0**127


def load_spec(path: Path) -> ModelSpec:
    """Read and check a model spec, and that the files it names exist (they are not opened).

    Raises:
        SpecError: one mistake; :class:`NotBuiltError` for a feature that is not built yet.
        ErrorGroup: several of them, in the order of the file.
    """
    path = Path(path)
    document = read_document(path)
    reader = Reader(path.parent, list(document.errors))
    root = document.root
    for value in _unfilled(root):
        reader.bad(
            value,
            f"{value.key} is still to be filled in",
            f"{FILL_IN} stands where the weights do not say what the network has",
            "put in what it has; for a layer that is not there, delete the line",
        )
    if reader.errors:
        raise _all(reader.errors)
    version = root.entries.get("spec")
    if version is not None and Version().read(version, reader) is BAD:
        # Another version may mean anything by its keys, so nothing else is worth saying.
        raise reader.errors[-1]
    values = ROOT.read(root, reader)
    if values is not BAD:
        _check_model(root, reader)
        _check_input(root, values, reader)
        _check_inputs(root, values, reader)
        _check_calibration(root, reader)
    if reader.errors:
        raise _all(reader.errors)
    return _build(path, values, document.sha256, dict(_locations(root)))


def _unfilled(value: Value) -> Iterator[Value]:
    """Values that are, or layers whose class is, :data:`FILL_IN`."""
    if value.text == FILL_IN or FILL_IN in value.entries:
        yield value
    for inner in (*value.items, *value.entries.values()):
        yield from _unfilled(inner)


def _all(errors: list[Any]) -> Exception:
    def place(error: Any) -> tuple[int, int]:
        where = error.where
        return (where.line or 0, where.column or 0) if isinstance(where, Location) else (0, 0)

    ordered = sorted(errors, key=place)
    return ordered[0] if len(ordered) == 1 else ErrorGroup(ordered)


def _check_model(root: Value, reader: Reader) -> None:
    """One network, and weights where the network is code."""
    model = root.entries.get("model")
    if model is None or model.kind != "map":
        return
    given = [name for name in ("python", "layers", "export") if name in model.entries]
    if len(given) != 1:
        what = "model has none of python, layers and export" if not given else f"model has {' and '.join(given)}"
        at = model if not given else model.entries[given[1]]
        step = "add one of them; docs/spec.md shows each" if not given else "keep one of them"
        reader.bad(at, what, "exactly one of them says what the network is", step)
        return
    source, weights = given[0], model.entries.get("weights")
    if source == "export" and weights is not None:
        reader.bad(
            weights, "model.weights does not go with model.export", "a .pt2 file holds its weights", "delete weights"
        )
    if source != "export" and weights is None:
        why = f"{source} says what the layers are, not what they learned"
        reader.bad(
            model, "the key model.weights is missing", why, "save model.state_dict() with torch.save and name the file"
        )
    arguments = model.entries.get("arguments")
    if arguments is not None and source != "python":
        reader.bad(arguments, "model.arguments goes with model.python only", None, "delete it")


def _check_input(root: Value, values: dict[str, Any], reader: Reader) -> None:
    """mean, std and source fit the shape; float32 can hold what preprocessing gives."""
    given = values.get("input", {})
    shape, how = given.get("shape"), given.get("preprocess", {})
    keys = root.entries["input"].entries if "input" in values else {}
    if shape is not None and len(shape) != 3 and "source" in given:
        reader.bad(keys["source"], "a camera needs the shape [C, H, W]", f"input.shape has {len(shape)} of three axes")
    before = len(reader.errors)
    for name in ("mean", "std"):
        if name not in how:
            continue
        at = keys["preprocess"].entries[name]
        channels = shape[0] if shape is not None and len(shape) > 1 else 1
        if shape is not None and len(how[name]) != channels:
            why = f"input.shape has {channels} channel{'s' * (channels > 1)}; {name} has one number a channel"
            reader.bad(at, f"{at.key} has {len(how[name])} numbers, not {channels}", why)
        if name == "std" and 0 in how[name]:
            reader.bad(at.items[how[name].index(0)], f"{at.key} is 0 for a channel", "it is divided by")
    if len(reader.errors) > before or not how:
        return
    biggest = 255 * how.get("scale", 1) + max((abs(mean) for mean in how.get("mean", ())), default=0)
    if biggest / min((abs(std) for std in how.get("std", ())), default=1) >= _FLOAT32_MAX:
        reader.bad(keys["preprocess"], "input.preprocess gives numbers that float32 cannot hold")


def _check_inputs(root: Value, values: dict[str, Any], reader: Reader) -> None:
    """Either input or inputs; what needs pictures goes with the former."""
    if "input" not in root.entries and "inputs" not in root.entries:
        reader.bad(
            root, "the key input is missing", "it says the shape of the network's input", "input: {shape: [...]}"
        )
    elif "input" in root.entries and "inputs" in root.entries:
        reader.bad(root.entries["inputs"], "input and inputs are both there", "inputs names all of them", "keep one")
    if "input" in root.entries:
        check = root.entries.get("validate")
        if check is not None and check.kind == "map" and "stage" not in check.entries:
            reader.bad(check, "the key validate.stage is missing", STAGES, "add stage: network or stage: camera")
    elif "inputs" in root.entries:
        for name in ("calibration", "validate"):
            stage = root.entries[name].entries.get("stage") if name in root.entries else None
            if stage is not None:
                why = "arrays for named inputs are what the network gets"
                reader.bad(stage, f"{name}.stage does not go with inputs", why, "delete it")


def _check_calibration(root: Value, reader: Reader) -> None:
    """Samples or ranges, and what goes with which; int8 has one of them, but for a network that may bring scales."""
    at = root.entries.get("calibration")
    if at is None:
        precision, model = root.entries.get("precision"), root.entries.get("model")
        exported = model is not None and "export" in model.entries
        if precision is not None and precision.text == "int8" and not exported:
            reader.errors.append(no_calibration(precision.where))
        return
    if at.kind != "map":
        return
    keys = at.entries
    if "ranges" in keys:
        for name in ("file", "stage", "samples", "method", "percentile"):
            if name in keys:
                why = "a file of ranges was made of samples already"
                reader.bad(keys[name], f"calibration.{name} does not go with ranges", why, "keep one of the two")
        return
    if "file" not in keys:
        reader.bad(at, "calibration has neither file nor ranges", None, f"add file: ... and stage: ...; {_IMAGES}")
    elif "stage" not in keys and "inputs" not in root.entries:
        reader.bad(at, "the key calibration.stage is missing", STAGES, "add stage: network or stage: camera")
    if "percentile" in keys and not ("method" in keys and keys["method"].text == "percentile"):
        why = "the other methods do not use it"
        reader.bad(keys["percentile"], "calibration.percentile goes with method: percentile only", why, "delete it")


_IMAGES = "the file is an .npz with the array 'images' (N, C, H, W) uint8, some 200 of the training data"


def no_calibration(where: Location | str) -> SpecError:
    """The error of a spec that asks for int8 and does not say from which data."""
    return SpecError(
        "precision: int8 needs the key calibration",
        where=where,
        why="the scales of int8 follow from the values that the network meets on real samples",
        next_step=f"add calibration: {{file: data/calibration.npz, stage: network}}; {_IMAGES}",
    )


def _locations(value: Value) -> Iterator[tuple[tuple[str | int, ...], Location]]:
    if value.path:
        yield value.path, value.where
    for child in (*value.items, *value.entries.values()):
        yield from _locations(child)


def _build(path: Path, values: dict[str, Any], sha256: str, locations: dict[Any, Location]) -> ModelSpec:
    """Checked values as the model. Every key that is there has the right type by now."""
    source = values["model"]
    entry = source.get("python")
    if entry is not None:
        entry = PythonEntry(entry.file, entry.attribute, source.get("arguments", {}))
    inputs = tuple(
        InputSpec(shape, name=name, tokens=tokens) for name, (shape, tokens) in values.get("inputs", {}).items()
    )
    given = values.get("input", {})
    how = dict(given.get("preprocess", {}))
    for name in ("mean", "std"):
        if name in how:
            how[name] = tuple(float(number) for number in how[name])
    calibration = dict(values["calibration"]) if "calibration" in values else None
    if calibration is not None and "percentile" in calibration:
        calibration["percentile"] = float(calibration["percentile"])
    memory = dict(values.get("memory", {}))
    validate = dict(values["validate"]) if "validate" in values else None
    if validate is not None and "min_accuracy" in validate:
        validate["min_accuracy"] = float(validate["min_accuracy"])
    return ModelSpec(
        path=path,
        name=values["name"],
        model=ModelSource(entry, source.get("layers"), source.get("export"), source.get("weights")),
        input=inputs[0] if inputs else InputSpec(given["shape"], given.get("source"), Preprocess(**how)),
        output=OutputSpec(**values.get("output", {})),
        precision=values.get("precision", "float32"),
        state=values.get("state", "fresh"),
        inputs=inputs,
        calibration=CalibrationSpec(**calibration) if calibration is not None else None,
        memory=MemorySpec(**memory),
        validate=ValidateSpec(**validate) if validate is not None else None,
        text_sha256=sha256,
        locations=locations,
    )
