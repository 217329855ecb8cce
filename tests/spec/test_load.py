"""Specs that are right, and what the loader makes of them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from tests.spec.conftest import BASE
from tests.spec.examples import GOOD, edit
from uc_nn_pio.errors import Location
from uc_nn_pio.spec import (
    CalibrationSpec,
    LayerSpec,
    MemorySpec,
    ModelSpec,
    Preprocess,
    PythonEntry,
    ValidateSpec,
    load_spec,
)

Load = Callable[[str | bytes], ModelSpec]


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_right_specs_load(load: Load, text: str) -> None:
    assert load(text).input.shape


def test_every_value_arrives(load: Load, project: Path) -> None:
    spec = load(BASE)
    assert spec.path == project / "model.yaml"
    assert spec.name == "small"
    assert spec.model.python == PythonEntry(project / "net.py", "Net", {})
    assert (spec.model.layers, spec.model.export, spec.model.weights) == (None, None, project / "net.pt")
    assert (spec.input.shape, spec.input.source) == ((3, 8, 9), None)
    assert spec.input.preprocess == Preprocess(False, None, Fraction(1, 255), None, None)
    assert spec.output.labels == ("a", "b")
    assert (spec.precision, spec.calibration) == ("float32", None)
    assert spec.memory == MemorySpec("auto", None, None)
    assert spec.validate == ValidateSpec(project / "test.npz", "network", None, None)
    assert spec.files == (project / "net.py", project / "net.pt", project / "test.npz")


def test_what_is_left_out_has_its_default(load: Load, project: Path) -> None:
    spec = load(GOOD["least"])
    assert (spec.model.export, spec.model.weights) == (project / "net.pt2", None)
    assert (spec.validate, spec.output.labels, spec.memory.schedule) == (None, None, "auto")
    assert spec.input.preprocess == Preprocess()
    assert spec.files == (project / "net.pt2",)


def test_numbers_and_sizes(load: Load) -> None:
    how = load(GOOD["normalize"]).input.preprocess
    assert (how.invert, how.threshold, how.scale) == (True, 0, Fraction(1, 2))
    assert how.mean == (0.0, 0.5, -0.001)
    assert how.std == (1.0, 1 / 3, -2.0)
    assert load(GOOD["memory"]).memory == MemorySpec("pingpong", 6144, 0)
    assert load(GOOD["sizes"]).memory == MemorySpec("auto", 6144, 1048576)
    validate = load(GOOD["validate"]).validate
    assert validate is not None
    assert (validate.stage, validate.samples, validate.min_accuracy) == ("camera", 10, 1.0)


def test_calibration(load: Load, project: Path) -> None:
    spec = load(GOOD["int8"])
    assert spec.precision == "int8"
    assert spec.calibration == CalibrationSpec(
        project / "cal.npz", "network", None, "minmax", 99.99, "per_tensor", ranges=None
    )
    assert spec.files == tuple(project / name for name in ("net.py", "net.pt", "cal.npz", "test.npz"))
    every = load(GOOD["int8, every key"]).calibration
    assert every == CalibrationSpec(project / "cal.npz", "camera", 200, "percentile", 99.9, "per_channel")
    assert every is not None and type(every.percentile) is float
    spec = load(GOOD["int8, ranges"])
    assert spec.calibration == CalibrationSpec(ranges=project / "ranges.json")
    assert project / "ranges.json" in spec.files
    assert load(GOOD["int8 of an export"]).calibration is None


def test_a_spec_may_keep_its_calibration_while_it_is_float32(load: Load) -> None:
    spec = load(GOOD["calibration for later"])
    assert spec.precision == "float32"
    assert spec.calibration is not None and spec.calibration.method == "mse"


def test_the_methods_are_those_of_quantization() -> None:
    from uc_nn_pio.quantize import Method
    from uc_nn_pio.quantize.calibrate import DEFAULT_PERCENTILE
    from uc_nn_pio.spec.keys import CALIBRATION

    method = next(key.kind for key in CALIBRATION.keys if key.name == "method")
    assert method.options == tuple(item.value for item in Method)
    assert CalibrationSpec().method == Method.MINMAX.value
    assert CalibrationSpec().percentile == DEFAULT_PERCENTILE


def test_a_decimal_scale_is_exact(load: Load) -> None:
    assert load(edit("1/255", "0.1")).input.preprocess.scale == Fraction(1, 10)


def test_arguments_are_plain_values(load: Load) -> None:
    entry = load(GOOD["arguments"]).model.python
    assert entry is not None
    assert entry.arguments == {"classes": 3, "deep": [1, {"x": float("inf")}], "flag": True, "nil": None}


def test_layers(load: Load, project: Path) -> None:
    layers = load(GOOD["layers"]).model.layers
    assert layers is not None
    conv = {"out_channels": 4, "kernel_size": (3, 5), "stride": 2, "padding": "same", "bias": False}
    assert layers[0] == LayerSpec("Conv2d", conv, "first", Location(project / "model.yaml", 5, 7))
    assert [(layer.type, layer.arguments) for layer in layers[1:]] == [
        ("BatchNorm2d", {}),
        ("LeakyReLU", {"negative_slope": 0.2}),
        ("MaxPool2d", {"kernel_size": 2, "stride": None, "ceil_mode": True}),
        ("AdaptiveAvgPool2d", {"output_size": (2, None)}),
        ("Dropout", {"p": 0.25}),
        ("Flatten", {"start_dim": 1, "end_dim": -1}),
        ("Linear", {"out_features": 10}),
        ("Unflatten", {"dim": 1, "unflattened_size": (5, 2)}),
        ("Softmax", {"dim": 1}),
        ("ReLU", {}),
    ]
    assert all(layer.name is None for layer in layers[1:])


def test_labels_stay_as_they_are(load: Load) -> None:
    labels = load(GOOD["labels"]).output.labels
    assert labels == ("*/ #include", '"', "\n", "\x1b[31m", "ä", "a", "007", "\U0001f600")


def test_locations(load: Load, project: Path) -> None:
    spec = load(GOOD["layers"])
    file = project / "model.yaml"
    assert spec.location("name") == Location(file, 2, 1)
    assert spec.location("model", "layers") == Location(file, 4, 3)
    assert spec.location("model", "layers", 1) == Location(file, 6, 7)
    assert spec.location("model", "weights") == Location(file, 16, 3)
    assert spec.location("model", "python") == Location(file, 3, 1), "a missing key: the mapping around it"
    assert spec.location("memory", "ram_budget") == Location(file)


def test_the_hash_is_over_the_text_whatever_the_line_ends(load: Load) -> None:
    plain = load(BASE).text_sha256
    assert plain == hashlib.sha256(BASE.encode()).hexdigest()
    assert load(BASE.replace("\n", "\r\n")).text_sha256 == plain
    assert load(b"\xef\xbb\xbf" + BASE.encode()).text_sha256 == plain
    assert load(BASE + "# a word\n").text_sha256 != plain


def test_two_loads_are_equal_and_frozen(load: Load) -> None:
    spec = load(BASE)
    assert spec == load(BASE)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.name = "other"  # type: ignore[misc]


def test_paths_are_relative_to_the_spec(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "folder" / "model.yaml").write_text(BASE.replace("net.", "../net.").replace("test.", "../test."))
    monkeypatch.chdir(project)
    spec = load_spec(Path("folder/model.yaml"))
    assert spec.model.weights == Path("folder/../net.pt")
    assert load_spec(Path("folder/model.yaml").resolve()).model.weights.is_absolute()


def test_absolute_paths_and_odd_names(project: Path) -> None:
    odd = project / "Größe und: Raum"
    odd.mkdir()
    (odd / "net work.pt").write_text("x")
    weights = odd / "net work.pt"
    text = BASE.replace("net.pt", f'"{weights}"').replace(": net.py", f": {project}/net.py")
    (odd / "model.yaml").write_text(text.replace("test.npz", "../test.npz"))
    assert load_spec(odd / "model.yaml").model.weights == weights
