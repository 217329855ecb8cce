"""The example's network on 1,000 real digits: the generated C against torch, and through the whole camera path.

The example is int8; the same spec in float32 is held against torch and the float reference.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from uc_nn_pio.capture import load_model
from uc_nn_pio.capture.inference import run_module
from uc_nn_pio.converter import convert
from uc_nn_pio.preprocess import preprocess
from uc_nn_pio.reference import outputs
from uc_nn_pio.spec import load_spec
from uc_nn_pio.validation import load_samples, validate
from uc_nn_pio.validation.host import HostModel
from uc_nn_pio.virtual.scene import fit_picture

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "examples" / "lenet5_camera" / "models" / "lenet5.yaml"
RAW_DIGITS = ROOT / "tests" / "data" / "mnist_test_1000.npz"


@pytest.fixture(scope="module")
def float32():
    return replace(load_spec(SPEC), precision="float32")


@pytest.fixture(scope="module")
def conversion(float32):
    return convert(float32)


@pytest.fixture(scope="module")
def host(conversion, tmp_path_factory: pytest.TempPathFactory) -> HostModel:
    return HostModel(conversion.files, "lenet5", ((1, 32, 32), (10,)), tmp_path_factory.mktemp("host"))


def test_int8_on_1000_digits_is_the_integer_reference_and_within_a_tenth_of_a_point_of_torch() -> None:
    result = validate(SPEC)
    assert (result.samples, result.outputs, result.integer_differences) == (1000, 10000, 0)
    assert result.same_class >= 970
    assert result.accuracy >= result.torch_accuracy - 0.001
    assert result.passed


def test_the_c_equals_torch_on_1000_digits(float32) -> None:
    """Within 1e-4 of the largest logit, and the same class on all."""
    result = validate(float32)
    assert result.samples == 1000
    assert result.same_class == 1000
    assert result.worst_difference <= 1e-4
    assert result.accuracy == result.torch_accuracy >= 0.98
    assert result.passed


def test_the_c_equals_the_numpy_reference_to_the_bit(conversion, host: HostModel) -> None:
    spec = load_spec(SPEC)
    raw, _ = load_samples(spec)
    inputs = preprocess(raw[:50], spec.input.preprocess, "network")
    for image, found in zip(inputs, host.run(inputs), strict=True):
        expected = outputs(conversion.design.graph, image)
        expected = next(iter(expected.values())) if isinstance(expected, dict) else expected
        assert np.array_equal(found, expected)


def test_the_cs_preprocessing_equals_pythons_to_the_bit(host: HostModel) -> None:
    """All 256 bytes in every column, through set_row and through the NumPy definition."""
    spec = load_spec(SPEC)
    raw = (np.arange(8 * 1024) % 256).astype(np.uint8).reshape(8, 1, 32, 32)
    expected = host.run(preprocess(raw, spec.input.preprocess, "camera"))
    assert np.array_equal(host.run_pixels(raw), expected)


def test_int8_preprocessing_equals_pythons_to_the_bit(tmp_path: Path) -> None:
    """All 256 bytes in every column, through set_row, and quantized from what the NumPy definition gives."""
    spec, converted = load_spec(SPEC), convert(SPEC)
    host = HostModel(converted.files, "lenet5", ((1, 32, 32), (10,)), tmp_path)
    raw = (np.arange(8 * 1024) % 256).astype(np.uint8).reshape(8, 1, 32, 32)
    expected = host.run(preprocess(raw, spec.input.preprocess, "camera"))
    assert np.array_equal(host.run_pixels(raw), expected)


def camera_sees(digit: np.ndarray) -> np.ndarray:
    """What the firmware hands to the network of a 28x28 digit on paper: the sensor's 64x64, every second pixel."""
    return fit_picture(255 - digit, 64, 64)[::2, ::2]


def test_accuracy_through_the_whole_camera_path_on_1000_digits(host: HostModel) -> None:
    with np.load(RAW_DIGITS, allow_pickle=False) as data:
        images, labels = data["images"], data["labels"]
    frames = np.stack([camera_sees(image)[None] for image in images])
    accuracy = (host.run_pixels(frames).argmax(axis=1) == labels).mean()
    print(f"camera path: {100 * accuracy:.1f} % of {len(labels)}")
    assert len(labels) == 1000 and accuracy >= 0.95


def test_argmax_is_that_of_the_outputs_and_a_tie_goes_to_the_lowest(host: HostModel) -> None:
    spec = load_spec(SPEC)
    raw, _ = load_samples(spec)
    for image in preprocess(raw[:20], spec.input.preprocess, "network"):
        assert host.argmax() in range(10)
        assert host.run(image[None])[0].argmax() == host.argmax()
    module = load_model(spec)
    assert run_module(module, np.zeros((1, 1, 32, 32), np.float32)).shape == (1, 10)
