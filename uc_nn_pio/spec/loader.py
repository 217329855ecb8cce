"""Reads a model spec: the file's values by the table of keys, then what one key says about another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from uc_nn_pio.errors import ErrorGroup, Location
from uc_nn_pio.spec.document import Value, read_document
from uc_nn_pio.spec.keys import ROOT
from uc_nn_pio.spec.kinds import BAD, Reader, Version
from uc_nn_pio.spec.model import (
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
    version = root.entries.get("spec")
    if version is not None and Version().read(version, reader) is BAD:
        # Another version may mean anything by its keys, so nothing else is worth saying.
        raise reader.errors[-1]
    values = ROOT.read(root, reader)
    if values is not BAD:
        _check_model(root, reader)
        _check_input(root, values, reader)
    if reader.errors:
        raise _all(reader.errors)
    return _build(path, values, document.sha256, dict(_locations(root)))


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
        reader.bad(keys["source"], "a camera needs the shape [C, H, W]", f"input.shape has {len(shape)} axis")
    before = len(reader.errors)
    for name in ("mean", "std"):
        if name not in how:
            continue
        at = keys["preprocess"].entries[name]
        channels = shape[0] if shape is not None and len(shape) == 3 else 1
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
    given = values["input"]
    how = dict(given.get("preprocess", {}))
    for name in ("mean", "std"):
        if name in how:
            how[name] = tuple(float(number) for number in how[name])
    memory = {key: value for key, value in values.get("memory", {}).items() if key != "ram_weights"}
    validate = dict(values["validate"]) if "validate" in values else None
    if validate is not None and "min_accuracy" in validate:
        validate["min_accuracy"] = float(validate["min_accuracy"])
    return ModelSpec(
        path=path,
        name=values["name"],
        model=ModelSource(entry, source.get("layers"), source.get("export"), source.get("weights")),
        input=InputSpec(given["shape"], given.get("source"), Preprocess(**how)),
        output=OutputSpec(values.get("output", {}).get("labels")),
        precision=values.get("precision", "float32"),
        memory=MemorySpec(**memory),
        validate=ValidateSpec(**validate) if validate is not None else None,
        text_sha256=sha256,
        locations=locations,
    )
