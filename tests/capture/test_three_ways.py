"""python, layers and export give one graph for one network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.capture.helpers import (
    LENET_LAYERS,
    LENET_PY,
    assert_same_graph,
    export_spec,
    lenet5,
    save_export,
    write_spec,
)
from uc_nn_pio.capture import capture, capture_module, load_model
from uc_nn_pio.errors import UnsafeFileError
from uc_nn_pio.spec import ModelSpec


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelSpec]:
    """The paper's LeNet-5, by every way in."""
    folder = tmp_path_factory.mktemp("ways")
    model = lenet5()
    (folder / "lenet5.py").write_text(LENET_PY, encoding="utf-8")
    torch.save(model.state_dict(), folder / "lenet5.pt")
    save_file(model.state_dict(), folder / "lenet5.safetensors")
    save_export(model, (1, 32, 32), folder / "lenet5.pt2")
    save_export(model, (1, 32, 32), folder / "core.pt2", core=True)
    save_export(model, (1, 32, 32), folder / "strict.pt2", strict=True)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(model, (torch.zeros(2, 1, 32, 32),), dynamic_shapes=({0: batch},))
    torch.export.save(program, folder / "batch.pt2")
    texts = {
        "python": "python: lenet5.py:LeNet5\nweights: lenet5.pt",
        "safetensors": "python: lenet5.py:LeNet5\nweights: lenet5.safetensors",
        "layers": f"{LENET_LAYERS.strip()}\nweights: lenet5.pt".replace("\n  ", "\n"),
        **{key: f"export: {key}.pt2" for key in ("lenet5", "core", "strict", "batch")},
    }
    return {key: write_spec(folder, text) for key, text in texts.items()}


def test_lenet5_is_one_graph_whichever_way_it_comes(specs: dict[str, ModelSpec]) -> None:
    graphs = {way: capture(spec).graph for way, spec in specs.items()}
    for way, graph in graphs.items():
        if way != "python":
            assert_same_graph(graphs["python"], graph)


def test_lenet5_is_the_papers() -> None:
    """Layers and buffer sizes as section 3 lists them: 61,706 parameters there counts the first linear layer twice over
    (16*5*5*400 + 400); what its listed layers hold is torch's own count."""
    model = lenet5()
    graph = capture_module(model, (1, 32, 32), "lenet5")
    titles = " ".join(node.op.title for node in graph.nodes)
    assert titles == "conv2d relu max_pool2d conv2d relu max_pool2d reshape linear relu linear relu linear"
    sizes = [graph.tensor(node.output).elements for node in graph.nodes if node.op.title != "relu"]
    assert sizes == [6 * 28 * 28, 6 * 14 * 14, 16 * 10 * 10, 16 * 5 * 5, 16 * 5 * 5, 120, 84, 10]
    assert sum(array.size for array in graph.constants.values()) == sum(p.numel() for p in model.parameters())
    assert [node.name for node in graph.nodes] == [name for name, _ in model.named_children()]


@pytest.mark.parametrize("way", ["python", "layers", "lenet5", "core", "batch"])
def test_load_model_computes_what_the_network_computes(specs: dict[str, ModelSpec], way: str) -> None:
    images = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    loaded = load_model(specs[way])
    assert not loaded.training
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), lenet5()(images), rtol=1e-5, atol=1e-6)


def test_dependencies_are_the_files_that_were_read(specs: dict[str, ModelSpec]) -> None:
    names = {way: [path.name for path in capture(spec).dependencies] for way, spec in specs.items()}
    assert names["python"] == ["lenet5.pt", "lenet5.py"]
    assert names["layers"] == ["lenet5.pt"]
    assert names["lenet5"] == ["lenet5.pt2"]


def test_constants_are_the_weights_and_read_only() -> None:
    model = lenet5()
    graph = capture_module(model, (1, 32, 32), "lenet5")
    for name, tensor in model.state_dict().items():
        array = graph.constants[name.replace(".", "_")]
        np.testing.assert_array_equal(array, tensor.numpy())
        assert not array.flags.writeable


def test_the_module_is_left_as_it_was() -> None:
    model = lenet5().double().train()
    capture_module(model, (1, 32, 32), "lenet5")
    assert model.training
    assert model.conv1.weight.dtype is torch.float64
    assert not model.conv1._forward_hooks


def test_open_height_and_width_are_refused_with_the_cure(tmp_path: Path) -> None:
    """torch writes products of symbols as constructor calls, which it evaluates; only static shapes do without."""
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.ReLU()).eval()
    sides = {2: torch.export.Dim("height", min=4, max=64), 3: torch.export.Dim("width", min=4, max=64)}
    program = torch.export.export(model, (torch.zeros(1, 1, 8, 9),), dynamic_shapes=(sides,))
    torch.export.save(program, tmp_path / "open.pt2")
    with pytest.raises(UnsafeFileError, match="static shapes"):
        capture(export_spec(tmp_path / "open.pt2", (1, 10, 12)))
