"""Whole numbers in networks: argmax as an operator, embeddings of tokens; from PyTorch to C in both precisions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.emit.harness import Case, run_sanitized
from tests.emit.int8_networks import design_of_int8
from tests.modules import load_module
from uc_nn_pio import validate
from uc_nn_pio.capture import capture_module, load_model
from uc_nn_pio.converter import convert
from uc_nn_pio.emit.kernels.tuning import PLAIN
from uc_nn_pio.emit.render import render
from uc_nn_pio.errors import UcNnError, UnsupportedError
from uc_nn_pio.graph.quant import to_int8
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import Method, calibrate, quantize
from uc_nn_pio.reference import integer
from uc_nn_pio.spec import load_spec
from uc_nn_pio.validation.host import HostModel
from uc_nn_pio.validation.host_target import ends_of


class Places(nn.Module):
    def __init__(self, layer: nn.Module, dim: int, keep: bool) -> None:
        super().__init__()
        self.layer, self.dim, self.keep = layer, dim, keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).argmax(self.dim, self.keep)


PLACES = {
    "class": (Places(nn.Linear(6, 9), 1, False), (6,)),
    "class, kept axis": (Places(nn.Linear(6, 9), -1, True), (6,)),
    "segmentation": (Places(nn.Conv2d(2, 5, 3), 1, False), (2, 7, 6)),
    "along a row": (Places(nn.Conv2d(2, 5, 3), 3, True), (2, 7, 6)),
    "of a signal": (Places(nn.Conv1d(3, 4, 3), 1, False), (3, 11)),
}


@pytest.mark.parametrize("name", PLACES)
def test_argmax(name: str, tmp_path: Path) -> None:
    module, shape = PLACES[name]
    x = np.random.default_rng(5).normal(size=(6, *shape)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    graph = lower(capture_module(module, shape, "net"))
    result = graph.tensor(graph.outputs[0]).shape
    assert result == (expected.shape[1:] or (1,))
    design = design_of_int8(graph, PLAIN, "net0")
    made = quantize(graph, calibrate(graph, [x], Method.MINMAX))
    given = to_int8(x, made.tensor(made.inputs[0]).quant)
    cases = [
        Case("net0", render(design), x, result),
        Case("net1", render(design_of_int8(made, PLAIN, "net1")), given, result),
    ]
    floats, integers = run_sanitized(cases, tmp_path)
    np.testing.assert_array_equal(floats.ravel(), expected.ravel())
    (wanted,) = integer.outputs_batch(made, given).values()
    np.testing.assert_array_equal(integers, wanted)
    same = (integers.ravel().astype(int) + 128) == expected.ravel()
    assert same.mean() > 0.8  # of values that are nearly alike, int8 may choose another


def test_more_places_than_an_int8_has() -> None:
    module = Places(nn.Linear(3, 300), 1, False)
    graph = lower(capture_module(module, (3,), "net"))
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(UnsupportedError, match="argmax of 300 in int8"):
        quantize(graph, calibrate(graph, [x], Method.MINMAX))


@pytest.mark.parametrize("dim", [0, None])
def test_argmax_over_the_batch(dim: int | None) -> None:
    with pytest.raises(UcNnError, match="argmax over the batch axis"):
        capture_module(Places(nn.Linear(3, 4), dim, False), (3,), "net")


NETWORK = """\
import torch
from torch import nn


class Words(nn.Module):
    def __init__(self, words=50, width=6):
        super().__init__()
        self.table = nn.Embedding(words, width, padding_idx=0)
        self.tell = nn.GRU(width, 8, batch_first=True)
        self.fc = nn.Linear(8, 3)

    def forward(self, words):
        _, state = self.tell(self.table(words))
        return self.fc(state[-1])
"""
SPEC = """\
spec: 1
name: words
model: MODEL
inputs: {words: {shape: [7], tokens: 50}}
precision: PRECISION
calibration: {file: data.npz}
validate: {file: data.npz, min_accuracy: 0.9}
"""
BY_CLASS, BY_EXPORT = "{python: words.py:Words, weights: words.pt}", "{export: words.pt2}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    (folder / "words.py").write_text(NETWORK)
    torch.manual_seed(1)
    network = load_module(folder / "words.py").Words().eval()
    torch.save(network.state_dict(), folder / "words.pt")
    torch.export.save(torch.export.export(network, (torch.zeros(1, 7, dtype=torch.int64),)), folder / "words.pt2")
    words = np.random.default_rng(2).integers(0, 50, (60, 7))
    with torch.no_grad():
        labels = network(torch.from_numpy(words)).argmax(dim=1).numpy()
    np.savez(folder / "data.npz", words=words, labels=labels)
    return folder


def spec_of(folder: Path, model: str, precision: str) -> Path:
    path = folder / "words.yaml"
    path.write_text(SPEC.replace("MODEL", model).replace("PRECISION", precision))
    return path


@pytest.mark.parametrize("model", [BY_CLASS, BY_EXPORT], ids=["class", "export"])
def test_embedding_in_float32(model: str, folder: Path, tmp_path: Path) -> None:
    path = spec_of(folder, model, "float32")
    made = convert(path)
    words = np.load(folder / "data.npz")["words"]
    found = HostModel(made.files, made.name, ends_of(made.design), tmp_path).run(words.astype(np.float32))
    with torch.no_grad():
        expected = load_model(load_spec(path))(torch.from_numpy(words)).numpy()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("model", [BY_CLASS, BY_EXPORT], ids=["class", "export"])
def test_embedding_in_int8(model: str, folder: Path) -> None:
    found = validate(spec_of(folder, model, "int8"))
    assert found.passed and found.integer_differences == 0 and found.torch_accuracy == 1


def test_a_token_that_is_in_no_table(folder: Path, tmp_path: Path) -> None:
    """The C reads nothing behind the table: the last row stands for whatever is beyond."""
    for precision in ("float32", "int8"):
        made = convert(spec_of(folder, BY_CLASS, precision))
        host = HostModel(made.files, made.name, ends_of(made.design), tmp_path / precision)
        last, beyond, below = (host.run(np.full((1, 7), token, np.float32)) for token in (49, 90, -3))
        np.testing.assert_array_equal(last, beyond)
        np.testing.assert_array_equal(below, host.run(np.zeros((1, 7), np.float32)))


def test_more_rows_than_an_int8_has(folder: Path) -> None:
    path = spec_of(folder, BY_CLASS, "int8")
    path.write_text(path.read_text().replace("words.py:Words,", "words.py:Words, arguments: {words: 300},"))
    torch.manual_seed(1)
    state = torch.load(folder / "words.pt", weights_only=True)
    torch.save({**state, "table.weight": torch.randn(300, 6)}, folder / "more.pt")
    path.write_text(path.read_text().replace("words.pt}", "more.pt}"))
    with pytest.raises(UnsupportedError, match="embedding of 300 in int8"):
        convert(path)
