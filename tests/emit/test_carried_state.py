"""Recurrent layers whose state is carried from run to run: many short runs are one long one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.emit.int8_networks import design_of_int8
from uc_nn_pio.capture import capture_module
from uc_nn_pio.converter import convert
from uc_nn_pio.design import Design
from uc_nn_pio.emit.kernels.tuning import PLAIN, Tuning
from uc_nn_pio.emit.render import render
from uc_nn_pio.errors import PlanError, SpecError
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.ops import Recurrent
from uc_nn_pio.graph.quant import to_int8
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import Method, calibrate, quantize
from uc_nn_pio.reference import integer
from uc_nn_pio.validation.host import HostModel

ROWS, FEATURES = 12, 5
LAYERS = {
    "lstm": lambda: nn.LSTM(FEATURES, 6, num_layers=2, batch_first=True),
    "gru": lambda: nn.GRU(FEATURES, 7, batch_first=True),
    "rnn": lambda: nn.RNN(FEATURES, 4, batch_first=True),
}


class Tagger(nn.Module):
    """A class for every row, from all rows so far."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.fc = nn.Linear(layer.hidden_size, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.layer(x)[0])


def carried(graph: Graph) -> Graph:
    nodes = [replace(n, op=replace(n.op, carried=True)) if isinstance(n.op, Recurrent) else n for n in graph.nodes]
    return replace(graph, nodes=tuple(nodes))


def made(name: str) -> tuple[nn.Module, np.ndarray]:
    torch.manual_seed(3)
    module = Tagger(LAYERS[name]()).eval()
    return module, np.random.default_rng(4).normal(size=(3, ROWS, FEATURES)).astype(np.float32)


def host_of(design: Design, folder: Path) -> HostModel:
    graph = design.graph
    shapes = (graph.tensor(graph.inputs[0]).shape, graph.tensor(graph.outputs[0]).shape)
    return HostModel(render(design), "net", shapes, folder)


def in_parts(host: HostModel, run: object, x: np.ndarray, rows: int) -> np.ndarray:
    """Each sample a few rows at a time, its first after a reset."""
    host.goes_on = True
    samples = []
    for sample in x:
        host.reset_state()
        parts = sample.reshape(-1, rows, FEATURES)
        samples.append(run(parts).reshape(ROWS, -1))
    return np.stack(samples)


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("name", LAYERS)
def test_float32(name: str, rows: int, tmp_path: Path) -> None:
    module, x = made(name)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    graph = carried(lower(capture_module(module, (rows, FEATURES), "net")))
    host = host_of(design_of_int8(graph, PLAIN), tmp_path)
    found = in_parts(host, host.run, x, rows)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("tuning", [PLAIN, Tuning(dual=True)], ids=["plain", "dual"])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("name", LAYERS)
def test_int8(name: str, rows: int, tuning: Tuning, tmp_path: Path) -> None:
    module, x = made(name)
    whole = lower(capture_module(module, (ROWS, FEATURES), "net"))
    ranges = calibrate(whole, [x], Method.MINMAX)
    long = quantize(whole, ranges)
    given = to_int8(x, long.tensor(long.inputs[0]).quant)
    (expected,) = integer.outputs_batch(long, given).values()
    short = quantize(carried(lower(capture_module(module, (rows, FEATURES), "net"))), ranges)
    host = host_of(design_of_int8(short, tuning), tmp_path)
    np.testing.assert_array_equal(in_parts(host, host.run_integers, given, rows), expected)
    host.goes_on = False
    first = host.run_integers(given[:, :rows])
    np.testing.assert_array_equal(first, expected[:, :rows])


def test_the_state_keeps_its_bytes(tmp_path: Path) -> None:
    """Nothing else of the context lies where a state is, at any time."""
    module, _ = made("lstm")
    design = design_of_int8(carried(lower(capture_module(module, (4, FEATURES), "net"))), PLAIN)
    states = [place for place in design.plan.placements if place.name.endswith(".state")]
    assert [place.size for place in states] == [48, 48]
    for state in states:
        others = [place for place in design.plan.placements if place is not state]
        assert all(place.end <= state.offset or place.offset >= state.end for place in others)
    with pytest.raises(PlanError, match="no room for a state"):
        design_of_int8(carried(lower(capture_module(module, (4, FEATURES), "net"))), PLAIN, schedule="pingpong")


SPEC = """\
spec: 1
name: tagger
model:
  python: net.py:Tagger
  weights: net.pt
input: {shape: [1, 5]}
state: carried
"""
NETWORK = """\
from torch import nn

class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.LAYER
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        return self.fc(self.layer(x)[0])
"""


FC = {f"fc.{name}": value for name, value in nn.Linear(6, 3).state_dict().items()}


def write(folder: Path, layer: str, state: dict[str, torch.Tensor]) -> Path:
    (folder / "net.yaml").write_text(SPEC)
    (folder / "net.py").write_text(NETWORK.replace("LAYER", layer))
    torch.save(state, folder / "net.pt")
    return folder / "net.yaml"


def test_from_a_spec(tmp_path: Path) -> None:
    state = Tagger(nn.LSTM(5, 6, batch_first=True)).state_dict()
    conversion = convert(write(tmp_path, "LSTM(5, 6, batch_first=True)", state))
    header = conversion.files["tagger.h"]
    assert "void tagger_reset_state(tagger_context *ctx);" in header and "#define TAGGER_CARRIED 1" in header
    assert next(node.op.title for node in conversion.design.graph.nodes) == "lstm, carried on"


def test_a_layer_that_goes_backwards_cannot_carry(tmp_path: Path) -> None:
    layer = nn.LSTM(5, 3, bidirectional=True, batch_first=True)
    state = {**{f"layer.{name}": value for name, value in layer.state_dict().items()}, **FC}
    with pytest.raises(SpecError, match="goes backwards"):
        convert(write(tmp_path, "LSTM(5, 3, bidirectional=True, batch_first=True)", state))


def test_a_network_without_a_state_cannot_carry(tmp_path: Path) -> None:
    state = {**{f"layer.0.{name}": value for name, value in nn.Linear(5, 6).state_dict().items()}, **FC}
    spec = write(tmp_path, "Sequential(nn.Linear(5, 6))", state)
    text = (tmp_path / "net.py").read_text()
    (tmp_path / "net.py").write_text(text.replace("self.layer(x)[0]", "self.layer(x)"))
    with pytest.raises(SpecError, match="no recurrent layer"):
        convert(spec)
