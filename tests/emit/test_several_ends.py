"""Networks with several inputs and outputs, from PyTorch to C: by class and by export, in float32 and int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.modules import load_module
from uc_nn_pio import validate
from uc_nn_pio.capture import load_model
from uc_nn_pio.converter import Conversion, convert
from uc_nn_pio.errors import PlanError, UcNnError
from uc_nn_pio.graph.quant import to_int8, to_real
from uc_nn_pio.reference import integer
from uc_nn_pio.spec import load_spec
from uc_nn_pio.validation.host import HostModel
from uc_nn_pio.validation.host_target import ends_of

NETWORK = """\
import torch
from torch import nn


class Pilot(nn.Module):
    '''A picture and a speed in; where to go, how sure, and the features behind both out.'''

    def __init__(self):
        super().__init__()
        self.look = nn.Conv2d(1, 4, 3, stride=2)
        self.join = nn.Linear(4 * 4 * 4 + 3, 12)
        self.steer = nn.Linear(12, 5)
        self.sure = nn.Linear(12, 1)

    def forward(self, picture, speed):
        seen = self.look(picture).relu()
        both = self.join(torch.cat([seen.flatten(1), speed], dim=1)).relu()
        return self.steer(both), torch.sigmoid(self.sure(both)), seen
"""
SPEC = """\
spec: 1
name: pilot
model: MODEL
inputs:
  picture: {shape: [1, 9, 10]}
  speed: {shape: [3]}
output: {names: [steer, sure, seen], labels: [left, half left, ahead, half right, right]}
precision: PRECISION
calibration: {file: data.npz}
validate: {file: data.npz, min_accuracy: 0.9}
"""
BY_CLASS, BY_EXPORT = "{python: pilot.py:Pilot, weights: pilot.pt}", "{export: pilot.pt2}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network, its weights, its export and its data; a label is the class that torch finds."""
    folder = tmp_path_factory.mktemp("pilot")
    (folder / "pilot.py").write_text(NETWORK)
    torch.manual_seed(1)
    network = load_module(folder / "pilot.py").Pilot().eval()
    torch.save(network.state_dict(), folder / "pilot.pt")
    given = (torch.zeros(1, 1, 9, 10), torch.zeros(1, 3))
    torch.export.save(torch.export.export(network, given), folder / "pilot.pt2")
    rng = np.random.default_rng(2)
    data = {"picture": rng.normal(size=(40, 1, 9, 10)), "speed": 3 * rng.normal(size=(40, 3))}
    data = {name: values.astype(np.float32) for name, values in data.items()}
    with torch.no_grad():
        labels = network(*(torch.from_numpy(values) for values in data.values()))[0].argmax(dim=1).numpy()
    np.savez(folder / "data.npz", labels=labels, **data)
    return folder


def spec_of(folder: Path, model: str = BY_CLASS, precision: str = "float32") -> Path:
    path = folder / "pilot.yaml"
    path.write_text(SPEC.replace("MODEL", model).replace("PRECISION", precision))
    return path


def data_of(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "data.npz") as data:
        return {name: data[name] for name in ("picture", "speed")}


def host_of(made: Conversion, folder: Path) -> HostModel:
    return HostModel(made.files, made.name, ends_of(made.design), folder)


@pytest.mark.parametrize("model", [BY_CLASS, BY_EXPORT], ids=["class", "export"])
def test_float32(model: str, folder: Path, tmp_path: Path) -> None:
    spec, data = spec_of(folder, model), data_of(folder)
    found = host_of(convert(spec), tmp_path).run_named(data)
    with torch.no_grad():
        expected = load_model(load_spec(spec))(*(torch.from_numpy(values) for values in data.values()))
    assert list(found) == ["steer", "sure", "seen"]
    for values, wanted in zip(found.values(), expected, strict=True):
        assert values.shape == tuple(wanted.shape)
        assert np.abs(values - wanted.numpy()).max() <= 1e-5 * np.abs(wanted.numpy()).max()


@pytest.mark.parametrize("model", [BY_CLASS, BY_EXPORT], ids=["class", "export"])
def test_int8(model: str, folder: Path, tmp_path: Path) -> None:
    data = data_of(folder)
    made = convert(spec_of(folder, model, "int8"))
    graph, host = made.design.graph, host_of(made, tmp_path)
    integers = {name: to_int8(values, graph.tensor(name).quant) for name, values in data.items()}
    expected = integer.outputs_batch(graph, integers)
    found = host.run_named(integers, integers=True)
    for values, name in zip(found.values(), graph.outputs, strict=True):
        np.testing.assert_array_equal(values, expected[name])
    real = host.run_named(data)
    with torch.no_grad():
        exact = load_model(load_spec(spec_of(folder, model)))(*(torch.from_numpy(values) for values in data.values()))
    for values, integers_of, name, wanted in zip(real.values(), found.values(), graph.outputs, exact, strict=True):
        np.testing.assert_array_equal(values, to_real(integers_of, graph.tensor(name).quant))
        assert np.abs(values - wanted.numpy()).max() <= 0.1 * np.ptp(wanted.numpy())


def test_validate(folder: Path) -> None:
    found = validate(spec_of(folder, precision="int8"))
    assert found.passed and found.accuracy >= 0.9 and found.torch_accuracy == 1 and found.integer_differences == 0
    assert found.samples == 40


def test_the_header_says_what_goes_where(folder: Path) -> None:
    header = convert(spec_of(folder, precision="int8")).files["pilot.h"]
    for text in (
        "int8_t *pilot_input_picture(pilot_context *ctx);",
        "int8_t *pilot_input_speed(pilot_context *ctx);",
        "const int8_t *pilot_output_sure(const pilot_context *ctx);",
        "#define PILOT_SIZE_OF_SPEED 3",
        "#define PILOT_SIZE_OF_SEEN 64",
        "#define PILOT_ZERO_POINT_OF_SURE (-128)",
    ):
        assert text in header


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  speed: {shape: [3]}\n", "", "has 2 inputs (picture, speed); the spec gives 1"),
        ("shape: [3]", "shape: [4]", "it breaks in join"),
        ("names: [steer, sure, seen]", "names: [steer, sure]", "2 names for 3 outputs"),
        ("names: [steer, sure, seen]", "names: [steer, sure, sure]", "3 names for 3 outputs"),
        ("precision", "memory: {schedule: streamed}\nprecision", "no room for several inputs"),
        ("speed:", "Speed:", "cannot be an input's name"),
        ("speed: {shape: [3]}", "speed: {shape: [3], source: arducam_ov2640}", "a mapping with shape, and tokens"),
        ("file: data.npz, min", "file: data.npz, stage: network, min", "stage does not go with inputs"),
        ("inputs:", "input: {shape: [1, 9, 10]}\ninputs:", "input and inputs are both there"),
    ],
)
def test_mistakes(old: str, new: str, said: str, folder: Path) -> None:
    path = spec_of(folder)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises((UcNnError, PlanError)) as caught:
        convert(path)
    assert said in str(caught.value)


def test_data_that_do_not_fit(folder: Path) -> None:
    path = spec_of(folder, precision="int8")
    data = data_of(folder)
    for wrong, said in (
        ({"picture": data["picture"]}, "no array 'speed'"),
        ({**data, "speed": data["speed"][:5]}, "of one length"),
        ({**data, "speed": data["speed"][:, :2]}, "'speed' in wrong.npz are (40, 2)"),
    ):
        np.savez(folder / "wrong.npz", **wrong)
        path.write_text(path.read_text().replace("calibration: {file: data.npz}", "calibration: {file: wrong.npz}"))
        with pytest.raises(UcNnError) as caught:
            convert(path)
        assert said in str(caught.value)
