"""Networks and files that the tests of capture share."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import torch
from torch import nn

from uc_nn_pio import reference
from uc_nn_pio.capture import capture
from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.spec import InputSpec, ModelSource, ModelSpec, load_spec

LENET_PY = '''
from torch import nn

class LeNet5(nn.Module):
    """Section 3 of the paper."""

    def __init__(self, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(400, 120)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(120, 84)
        self.relu4 = nn.ReLU()
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x):
        x = self.pool1(self.relu1(self.conv1(x)))
        x = self.pool2(self.relu2(self.conv2(x)))
        x = self.relu3(self.fc1(self.flatten(x)))
        return self.fc3(self.relu4(self.fc2(x)))
'''

LENET_LAYERS = """
  layers:
    - Conv2d: {name: conv1, out_channels: 6, kernel_size: 5}
    - ReLU: {name: relu1}
    - MaxPool2d: {name: pool1, kernel_size: 2}
    - Conv2d: {name: conv2, out_channels: 16, kernel_size: 5}
    - ReLU: {name: relu2}
    - MaxPool2d: {name: pool2, kernel_size: 2}
    - Flatten: {name: flatten}
    - Linear: {name: fc1, out_features: 120}
    - ReLU: {name: relu3}
    - Linear: {name: fc2, out_features: 84}
    - ReLU: {name: relu4}
    - Linear: {name: fc3, out_features: 10}
"""


def lenet5() -> nn.Module:
    """The paper's LeNet-5 with fixed random weights, in eval mode."""
    torch.manual_seed(5)
    namespace: dict[str, object] = {}
    exec(LENET_PY, namespace)
    return namespace["LeNet5"]().eval()  # type: ignore[operator]


def write_spec(folder: Path, model: str, shape: str = "[1, 32, 32]", name: str = "lenet5") -> ModelSpec:
    """A spec file in ``folder`` with ``model`` under its key ``model``, read as a user's is."""
    path = folder / "model.yaml"
    body = textwrap.dedent(model).strip("\n")
    lines = "\n".join(f"  {line}" for line in body.splitlines())
    path.write_text(f"spec: 1\nname: {name}\nmodel:\n{lines}\ninput:\n  shape: {shape}\n", encoding="utf-8")
    return load_spec(path)


def python_spec(folder: Path, source: str, entry: str = "Net", shape: str = "[1, 8, 8]", **extra: str) -> ModelSpec:
    """A spec for ``net.py`` with ``source`` and weights in ``net.pt`` (which the test has written)."""
    (folder / "net.py").write_text(textwrap.dedent(source), encoding="utf-8")
    lines = [f"python: net.py:{entry}", "weights: net.pt", *(f"{key}: {value}" for key, value in extra.items())]
    if not (folder / "net.pt").exists():
        torch.save({"fc.weight": torch.zeros(1)}, folder / "net.pt")
    return write_spec(folder, "\n".join(lines), shape, "net")


def export_spec(path: Path, shape: tuple[int, ...]) -> ModelSpec:
    """A spec that names an exported program."""
    return ModelSpec(path.with_suffix(".yaml"), "net", ModelSource(export=path), InputSpec(shape))


def save_export(
    module: nn.Module, shape: tuple[int, ...], path: Path, *, core: bool = False, strict: bool = False
) -> Path:
    """``module`` as torch.export.save writes it; with ``core`` decomposed to core ATen first."""
    program = torch.export.export(module.eval(), (torch.zeros(1, *shape),), strict=strict)
    torch.export.save(program.run_decompositions() if core else program, path)
    return path


def capture_export(module: nn.Module, shape: tuple[int, ...], path: Path, *, core: bool = False) -> Graph:
    """The graph of ``module`` by way of an exported program."""
    return capture(export_spec(save_export(module, shape, path, core=core), shape)).graph


def nodes_of(graph: Graph, kind: str) -> list[Node]:
    """The graph's nodes of one kind of operator."""
    return [node for node in graph.nodes if node.op.kind == kind]


def summary(graph: Graph) -> list[tuple[object, ...]]:
    """Everything of a graph that shapes the C: names, operators, shapes, layers; not the user's file and line."""
    rows: list[tuple[object, ...]] = [(graph.name, graph.inputs, graph.outputs)]
    rows += [(n.name, n.op, n.inputs, n.outputs, n.source.layer, dict(n.constants)) for n in graph.nodes]
    return rows + [(tensor.name, tensor.shape, tensor.dtype) for tensor in graph.tensors.values()]


def assert_same_graph(a: Graph, b: Graph) -> None:
    """Equal names, operators, shapes and constants, to the bit."""
    assert summary(a) == summary(b)
    assert list(a.constants) == list(b.constants)
    for name, array in a.constants.items():
        assert array.dtype == b.constants[name].dtype
        np.testing.assert_array_equal(array, b.constants[name])


def assert_computes(graph: Graph, module: nn.Module, shape: tuple[int, ...], count: int = 2) -> None:
    """The graph's outputs are the module's, on random inputs."""
    x = torch.randn(count, *shape)
    with torch.no_grad():
        wanted = module(x).numpy()
    found = reference.outputs_batch(graph, x.numpy())[graph.outputs[0]]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
