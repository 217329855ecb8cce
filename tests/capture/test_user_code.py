"""The user's Python file: what may be named, what is noted, and how its mistakes are shown."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from tests.capture.helpers import python_spec
from uc_nn_pio.capture import capture, load_model
from uc_nn_pio.errors import ModelError, UcNnError
from uc_nn_pio.spec import ModelSpec

NET = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self, width=2, bias=True):
            super().__init__()
            self.fc = nn.Conv2d(1, width, 1, bias=bias)

        def forward(self, x):
            return self.fc(x)

    def factory(width):
        return Net(width, bias=False)

    ready = Net(4)
    number = 3

    def wrong():
        return "a network"
"""


def weights(folder: Path, width: int = 2, bias: bool = True) -> None:
    state = {"fc.weight": torch.ones(width, 1, 1, 1)}
    torch.save({**state, "fc.bias": torch.zeros(width)} if bias else state, folder / "net.pt")


def error_of(spec: ModelSpec, kind: type[UcNnError] = ModelError) -> str:
    with pytest.raises(kind) as caught:
        capture(spec)
    assert "Traceback" not in str(caught.value)
    return str(caught.value)


def line_of(folder: Path, text: str, file: str = "net.py") -> int:
    lines = (folder / file).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


@pytest.mark.parametrize(
    ("entry", "arguments", "width", "bias"),
    [
        ("Net", "{}", 2, True),
        ("Net", "{width: 3}", 3, True),
        ("factory", "{width: 5}", 5, False),
        ("ready", "{}", 4, True),
    ],
)
def test_classes_functions_and_networks(tmp_path: Path, entry: str, arguments: str, width: int, bias: bool) -> None:
    weights(tmp_path, width, bias)
    spec = python_spec(tmp_path, NET, entry, arguments=arguments)
    graph = capture(spec).graph
    assert graph.tensor(graph.outputs[0]).shape == (width, 8, 8)
    assert (graph.constant(graph.nodes[0], "bias") is not None) == bias


@pytest.mark.parametrize(
    ("entry", "arguments", "says"),
    [
        ("Nett", "{}", "did you mean Net"),
        ("number", "{}", "is a int"),
        ("wrong", "{}", "not a network"),
        ("Net", "{widht: 3}", "widht"),
        ("factory", "{}", "width"),
        ("ready", "{width: 3}", "no arguments"),
    ],
)
def test_names_and_arguments_that_do_not_fit(tmp_path: Path, entry: str, arguments: str, says: str) -> None:
    weights(tmp_path)
    text = error_of(python_spec(tmp_path, NET, entry, arguments=arguments))
    assert says in text
    assert "model.yaml" in text


MISTAKES = {
    "syntax": ("x = (\n", "SyntaxError", "x = ("),
    "import": ("import no_such_module_anywhere\n", "no_such_module_anywhere", "import no"),
    "name": ("from torch import nn\n\nNet = undefined_name\n", "undefined_name", "Net = undefined"),
    "exit": ("import sys\n\nsys.exit(3)\n", "__main__", "sys.exit"),
    "constructor": (
        "from torch import nn\n\nclass Net(nn.Module):\n    def __init__(self):\n        1 / 0\n",
        "ZeroDivisionError",
        "1 / 0",
    ),
    "forward": (
        "from torch import nn\n\nclass Net(nn.Conv2d):\n    def __init__(self):\n        super().__init__(1, 1, 1)\n\n"
        "    def forward(self, x):\n        return x.nonsense()\n",
        "nonsense",
        "x.nonsense()",
    ),
}


@pytest.mark.parametrize(("source", "says", "line"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_show_the_users_line(tmp_path: Path, source: str, says: str, line: str) -> None:
    torch.save({"weight": torch.ones(1, 1, 1, 1), "bias": torch.ones(1)}, tmp_path / "net.pt")
    spec = python_spec(tmp_path, source)
    text = error_of(spec)
    assert says in text
    assert f"net.py:{line_of(tmp_path, line)}" in text


def test_a_mistake_in_an_imported_file_shows_that_file(tmp_path: Path) -> None:
    (tmp_path / "blocks.py").write_text("\n\nboom = [][1]\n", encoding="utf-8")
    assert "blocks.py:3" in error_of(python_spec(tmp_path, "import blocks\n"))


def test_every_file_of_the_users_is_a_dependency(tmp_path: Path) -> None:
    weights(tmp_path)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "parts" / "inner.py").write_text("WIDTH = 2\n", encoding="utf-8")
    (tmp_path / "late.py").write_text("", encoding="utf-8")
    (tmp_path / "unused.py").write_text("", encoding="utf-8")
    source = textwrap.dedent(NET).replace(
        "from torch import nn", "import json\nfrom torch import nn\nfrom parts import inner"
    )
    source = source.replace("        return self.fc(x)", "        import late\n        return self.fc(x)")
    captured = capture(python_spec(tmp_path, source))
    found = {path.relative_to(tmp_path).as_posix() for path in captured.dependencies}
    assert found == {"net.pt", "net.py", "parts/__init__.py", "parts/inner.py", "late.py"}


def test_a_folder_that_is_a_package_without_an_init_file_is_gone_behind_it(tmp_path: Path) -> None:
    """Where the next project has a file of its name, that is found."""
    weights(tmp_path)
    (tmp_path / "some_parts").mkdir()
    (tmp_path / "some_parts" / "inner.py").write_text("WIDTH = 2\n", encoding="utf-8")
    source = textwrap.dedent(NET)
    with_folder = source.replace("from torch import nn", "from torch import nn\nfrom some_parts import inner")
    found = {path.name for path in capture(python_spec(tmp_path, with_folder)).dependencies}
    assert found == {"net.pt", "net.py", "inner.py"} and "some_parts" not in sys.modules
    other = tmp_path / "other"
    other.mkdir()
    weights(other)
    (other / "some_parts.py").write_text("WIDTH = 2\n", encoding="utf-8")
    with_file = source.replace("from torch import nn", "from torch import nn\nfrom some_parts import WIDTH")
    found = {path.name for path in capture(python_spec(other, with_file)).dependencies}
    assert found == {"net.pt", "net.py", "some_parts.py"}


def test_two_models_may_have_files_of_one_name(tmp_path: Path) -> None:
    shapes = []
    for width in (2, 3):
        folder = tmp_path / str(width)
        folder.mkdir()
        weights(folder, width)
        (folder / "blocks.py").write_text(f"WIDTH = {width}\n", encoding="utf-8")
        source = (
            textwrap.dedent(NET)
            .replace("width=2", "width=blocks.WIDTH")
            .replace("from torch", "import blocks\nfrom torch")
        )
        graph = capture(python_spec(folder, source)).graph
        shapes.append(graph.tensor(graph.outputs[0]).shape)
    assert shapes == [(2, 8, 8), (3, 8, 8)]


def test_a_file_in_a_package_may_import_its_neighbours(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    folder.mkdir()
    weights(folder)
    (folder / "__init__.py").write_text("", encoding="utf-8")
    (folder / "blocks.py").write_text("WIDTH = 2\n", encoding="utf-8")
    source = textwrap.dedent(NET).replace("from torch", "from .blocks import WIDTH\nfrom torch")
    names = [path.name for path in capture(python_spec(folder, source)).dependencies]
    assert sorted(names) == ["__init__.py", "blocks.py", "net.pt", "net.py"]


def test_an_edit_is_seen_at_once(tmp_path: Path) -> None:
    weights(tmp_path)
    spec = python_spec(tmp_path, NET)
    capture(spec)
    stamp = (tmp_path / "net.py").stat()
    (tmp_path / "net.py").write_text(textwrap.dedent(NET).replace("self.fc(x)", "self.fc(x) "), encoding="utf-8")
    (tmp_path / "net.py").write_text(textwrap.dedent(NET).replace("width=2", "width=3"), encoding="utf-8")
    os.utime(tmp_path / "net.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert "[2" in error_of(spec)


def test_the_process_is_left_as_it_was(tmp_path: Path) -> None:
    weights(tmp_path)
    (tmp_path / "blocks.py").write_text("", encoding="utf-8")
    spec = python_spec(tmp_path, textwrap.dedent(NET).replace("from torch", "import blocks\nfrom torch"))
    path, files = list(sys.path), sorted(tmp_path.rglob("*"))
    capture(spec)
    load_model(spec)
    assert sys.path == path
    assert "blocks" not in sys.modules
    assert "net" not in sys.modules
    assert sorted(tmp_path.rglob("*")) == files, "a folder of the user's is read, never written"


FORWARDS = {
    "a number beside it": ("return self.fc(x), 3", ModelError, "a int in a tuple, not a tensor"),
    "nothing": ("return {}", ModelError, "nothing in a dict, not a tensor"),
    "number": ("return 3", ModelError, "not a tensor"),
    "if": ("return self.fc(x) if x.sum() > 0 else x", ModelError, "values in a tensor"),
    "item": ("return self.fc(x) * x.max().item()", UcNnError, "operator item is not supported"),
    "constant": ("return self.fc.weight", ModelError, "does not depend"),
}


@pytest.mark.parametrize(("statement", "kind", "says"), FORWARDS.values(), ids=FORWARDS)
def test_what_forward_may_not_do(tmp_path: Path, statement: str, kind: type[UcNnError], says: str) -> None:
    weights(tmp_path)
    source = textwrap.dedent(NET).replace("return self.fc(x)", statement)
    assert says in error_of(python_spec(tmp_path, source), kind)


def test_more_inputs_than_the_spec_gives(tmp_path: Path) -> None:
    weights(tmp_path)
    source = textwrap.dedent(NET).replace("def forward(self, x):", "def forward(self, x, y):")
    text = error_of(python_spec(tmp_path, source), ModelError)
    assert "2 inputs (x, y); the spec gives 1" in text and "inputs: {x: {shape: [...]}, y: {shape: [...]}}" in text


@pytest.mark.parametrize(
    ("shape", "says"),
    [("[3, 8, 8]", ("fc", "in_channels is 1, and 3 come in", "[1, 3, 8, 8]")), ("[7]", ("fc", "[1, 7]"))],
)
def test_an_input_shape_that_the_network_cannot_take(tmp_path: Path, shape: str, says: tuple[str, ...]) -> None:
    weights(tmp_path)
    text = error_of(python_spec(tmp_path, NET, shape=shape))
    for part in (*says, shape, f"net.py:{line_of(tmp_path, 'return self.fc(x)')}"):
        assert part in text
