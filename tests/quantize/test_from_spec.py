"""Quantization as a spec asks for it: from samples, and from a file of ranges."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from tests.graph.torch_graph import graph_of, randomize
from uc_nn_pio.errors import SpecError
from uc_nn_pio.graph.ir import DType, Graph
from uc_nn_pio.lower import lower
from uc_nn_pio.preprocess import preprocess
from uc_nn_pio.quantize import Method, calibrate, quantize, signal_to_noise
from uc_nn_pio.quantize.from_spec import BATCH, NOISE_SAMPLES, calibrate_spec, quantize_spec
from uc_nn_pio.quantize.range_file import read_ranges
from uc_nn_pio.spec import CalibrationSpec, InputSpec, ModelSource, ModelSpec, Preprocess

SHAPE = (2, 6, 9)
HOW = Preprocess(invert=True, threshold=30, mean=(10.0, 20.0), std=(50.0, 60.0))
LAYERS = [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 5), nn.Tanh(), nn.Linear(5, 4)]
TENSORS = ["x", "2_MaxPool2d", "4_Linear_sum", "5_Tanh", "6_Linear"]


@pytest.fixture(scope="module")
def lowered() -> Graph:
    return lower(graph_of(randomize(nn.Sequential(*LAYERS)), SHAPE))


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    images = np.random.default_rng(5).integers(0, 256, (BATCH + 9, *SHAPE)).astype(np.uint8)
    np.savez(tmp_path / "cal.npz", images=images)
    calibration = CalibrationSpec(tmp_path / "cal.npz", "camera")
    return ModelSpec(
        tmp_path / "net.yaml", "net", ModelSource(), InputSpec(SHAPE, None, HOW), precision="int8",
        calibration=calibration,
    )  # fmt: skip


def with_calibration(spec: ModelSpec, **changes: object) -> ModelSpec:
    return replace(spec, calibration=replace(spec.calibration, **changes))


def samples(spec: ModelSpec, stage: str = "camera", count: int | None = None) -> np.ndarray:
    with np.load(spec.calibration.file) as data:
        return preprocess(data["images"][:count], HOW, stage)


def same(a: Graph, b: Graph) -> bool:
    equal = all(np.array_equal(a.constants[name], b.constants[name]) for name in a.constants)
    return equal and (a.nodes, a.tensors, set(a.constants)) == (b.nodes, b.tensors, set(b.constants))


def test_it_is_calibration_quantization_and_noise_on_the_preprocessed_samples(lowered: Graph, spec: ModelSpec) -> None:
    found = quantize_spec(spec, lowered)
    x = samples(spec)
    expected = quantize(lowered, calibrate(lowered, [x]))
    assert same(found.graph, expected)
    assert {tensor.dtype for tensor in found.graph.values()} == {DType.INT8}
    assert len(x) <= NOISE_SAMPLES
    noise = signal_to_noise(lowered, expected, [x])
    assert [(layer.layer, layer.kind) for layer in found.noise] == [(layer.layer, layer.kind) for layer in noise]
    assert [layer.db for layer in found.noise] == pytest.approx([layer.db for layer in noise])
    assert found.about == "minmax of 41 samples of cal.npz"


def test_each_key_has_its_effect(lowered: Graph, spec: ModelSpec) -> None:
    def ranges(**changes: object) -> dict[str, Any]:
        return dict(calibrate_spec(with_calibration(spec, **changes), lowered).ranges)

    assert ranges(stage="network") == calibrate(lowered, [samples(spec, "network")])
    assert ranges(samples=5) == calibrate(lowered, [samples(spec, count=5)])
    assert ranges(method="mse") == calibrate(lowered, [samples(spec)], Method.MSE)
    percentile = ranges(method="percentile", percentile=97.0)
    assert percentile == calibrate(lowered, [samples(spec)], Method.PERCENTILE, 97)
    assert percentile != ranges(method="percentile")
    about = calibrate_spec(with_calibration(spec, method="percentile", percentile=97.0), lowered).about
    assert about == "percentile 97 of 41 samples of cal.npz"
    per_channel = quantize_spec(with_calibration(spec, linear="per_channel"), lowered).graph
    assert same(per_channel, quantize(lowered, ranges(), linear_per_channel=True))
    assert not same(per_channel, quantize(lowered, ranges()))


def test_a_vector_is_calibrated_too(tmp_path: Path) -> None:
    lowered = lower(graph_of(randomize(nn.Sequential(nn.Linear(7, 3))), (7,)))
    images = np.random.default_rng(5).integers(0, 256, (20, 7)).astype(np.uint8)
    np.savez(tmp_path / "cal.npz", images=images)
    how = Preprocess(mean=(3.0,))
    spec = ModelSpec(
        tmp_path / "net.yaml", "net", ModelSource(), InputSpec((7,), None, how), precision="int8",
        calibration=CalibrationSpec(tmp_path / "cal.npz", "network"),
    )  # fmt: skip
    assert calibrate_spec(spec, lowered).ranges == calibrate(lowered, [images.astype(np.float32) - 3])


@pytest.fixture
def ranges_file(lowered: Graph, spec: ModelSpec, tmp_path: Path) -> Path:
    path = tmp_path / "ranges.json"
    path.write_text(calibrate_spec(spec, lowered).file_text("net"), encoding="utf-8")
    return path


def test_ranges_of_a_file_give_the_same_network_to_the_bit(lowered: Graph, spec: ModelSpec, ranges_file: Path) -> None:
    direct = quantize_spec(spec, lowered)
    from_file = quantize_spec(replace(spec, calibration=CalibrationSpec(ranges=ranges_file)), lowered)
    assert same(from_file.graph, direct.graph)
    assert from_file.noise == ()
    assert from_file.about == "ranges of ranges.json (minmax, 41 samples)"
    data = json.loads(ranges_file.read_text())
    assert (data["method"], data["samples"], list(data["ranges"])) == ("minmax", 41, TENSORS)
    assert data["about"] == "net: minmax of 41 samples of cal.npz"


def test_a_file_of_ranges_is_written_again_as_it_was(lowered: Graph, ranges_file: Path) -> None:
    assert read_ranges(ranges_file, lowered).text() == ranges_file.read_text()


Change = Callable[[dict[str, Any]], object]

SPOILED: dict[str, tuple[Change, str]] = {
    "key missing": (lambda data: data.pop("samples"), "has no key 'samples'"),
    "key more": (lambda data: data.update(extra=1), "has an unknown key 'extra'"),
    "method": (lambda data: data.update(method="entropy"), '"method" must be one of minmax, percentile, mse'),
    "method a list": (lambda data: data.update(method=["mse"]), '"method" must be one of'),
    "samples": (lambda data: data.update(samples=0), '"samples" must be a whole number'),
    "samples true": (lambda data: data.update(samples=True), '"samples" must be a whole number'),
    "about": (lambda data: data.update(about=None), '"about" must be a text'),
    "ranges a list": (lambda data: data.update(ranges=[]), '"ranges" must be an object'),
    "no pair": (lambda data: data["ranges"].update(x=[1]), "range of tensor 'x' is not [low, high]"),
    "pair a text": (lambda data: data["ranges"].update(x="01"), "range of tensor 'x' is not [low, high]"),
    "bound a text": (lambda data: data["ranges"].update(x=["0", "1"]), "range of tensor 'x' is not [low, high]"),
    "bound true": (lambda data: data["ranges"].update(x=[False, True]), "range of tensor 'x' is not [low, high]"),
    "NaN": (lambda data: data["ranges"].update(x=[0, float("nan")]), "NaN is no bound"),
    "infinite": (lambda data: data["ranges"].update(x=[float("-inf"), 0]), "-Infinity is no bound"),
    "beyond double": (lambda data: data["ranges"].update(x=[0, 10**400]), "range of tensor 'x' is not finite"),
    "backwards": (lambda data: data["ranges"].update(x=[1, -1]), "'x' begins at 1, above its end -1"),
    "tensor missing": (lambda data: data["ranges"].pop("5_Tanh"), "no range for '5_Tanh'"),
    "tensor unknown": (lambda data: data["ranges"].update(y=[0, 1]), "no tensor is called 'y'"),
    "tensor renamed": (
        lambda data: data["ranges"].update({"6_Linea": data["ranges"].pop("6_Linear")}),
        "no range for '6_Linear'; no tensor is called '6_Linea' (near: '6_Linear')",
    ),
    "tensors of another": (lambda data: data.update(ranges={}), "no range for 'x', '2_MaxPool2d', '4_Linear_sum' and"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_file_of_ranges_is_refused(name: str, lowered: Graph, ranges_file: Path) -> None:
    change, says = SPOILED[name]
    data = json.loads(ranges_file.read_text())
    change(data)
    ranges_file.write_text(json.dumps(data))
    text = refusal(ranges_file, lowered)
    assert says in text


NO_RANGES: dict[str, tuple[bytes, str]] = {
    "no JSON": (b'{"about": }', ":1:11: error: the file of ranges is no JSON"),
    "empty": (b"", "is no JSON"),
    "binary": (bytes(range(256)), "is not UTF-8"),
    "a list": (b"[1, 2]", "no JSON object"),
    "key twice": (b'{"about": "", "about": ""}', "'about' stands twice"),
    "infinite by size": (
        b'{"about": "", "method": "mse", "samples": 1, "ranges": {"x": [0, 1e999]}}',
        "'x' is not finite",
    ),
    "deep": (b"[" * 100_000, "is no JSON"),
    "endless number": (b"[" + b"1" * 5000 + b"]", "is no JSON"),
    "large": (b" " * (5 << 20), "larger than 4 MiB"),
}


@pytest.mark.parametrize("name", NO_RANGES)
def test_a_file_that_holds_no_ranges_is_refused(name: str, lowered: Graph, ranges_file: Path) -> None:
    content, says = NO_RANGES[name]
    ranges_file.write_bytes(content)
    assert says in refusal(ranges_file, lowered)


def refusal(path: Path, lowered: Graph) -> str:
    with pytest.raises(SpecError) as caught:
        read_ranges(path, lowered)
    text = str(caught.value)
    assert text.startswith(str(path)) and "uc-nn calibrate SPEC -o FILE" in text
    return text


def test_int8_without_calibration_says_what_to_add(lowered: Graph, spec: ModelSpec) -> None:
    with pytest.raises(SpecError, match="needs the key calibration") as caught:
        quantize_spec(replace(spec, calibration=None), lowered)
    assert "add calibration: {file:" in str(caught.value)


def test_samples_of_another_shape_are_refused_at_the_specs_line(lowered: Graph, spec: ModelSpec) -> None:
    np.savez(spec.calibration.file, images=np.zeros((3, 2, 5, 9), np.uint8))
    with pytest.raises(SpecError, match=r"calibration images in cal.npz are \(3, 2, 5, 9\) uint8") as caught:
        quantize_spec(spec, lowered)
    assert str(caught.value).startswith(str(spec.path))


def test_it_needs_no_torch() -> None:
    code = "import sys, uc_nn_pio.quantize.from_spec; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
