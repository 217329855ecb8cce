"""The converter as a whole: three ways in, one C; the same input gives the same bytes; nothing unescaped."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from uc_nn_pio.boards import load_board
from uc_nn_pio.converter import convert
from uc_nn_pio.errors import ModelError, PlanError
from uc_nn_pio.report import report_text

PYTHON = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, (3, 2), padding=(1, 0))
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.output = nn.Linear(3 * 4 * 3, 5)

    def forward(self, x):
        return self.output(self.flatten(self.pool(self.relu(self.conv(x)))))
"""
LAYERS = [
    {"Conv2d": {"out_channels": 3, "kernel_size": [3, 2], "padding": [1, 0], "name": "conv"}},
    {"ReLU": {"name": "relu"}},
    {"MaxPool2d": {"kernel_size": 2, "name": "pool"}},
    {"Flatten": {"name": "flatten"}},
    {"Linear": {"out_features": 5, "name": "output"}},
]


def write(folder: Path, name: str = "tiny", **changes: object) -> Path:
    spec = {
        "spec": 1,
        "name": name,
        "model": {"python": "net.py:Net", "weights": "net.pt"},
        "input": {"shape": [1, 8, 7]},
    } | changes
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(spec, allow_unicode=True))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(PYTHON)
    namespace: dict = {}
    exec(PYTHON, namespace)
    torch.manual_seed(3)
    module = namespace["Net"]().eval()
    torch.save(module.state_dict(), tmp_path / "net.pt")
    torch.export.save(torch.export.export(module, (torch.zeros(1, 1, 8, 7),)), tmp_path / "net.pt2")
    return tmp_path


def without_provenance(text: str) -> str:
    return re.sub(r"/\* -- provenance --.*?-- end of provenance -- \*/", "", text, flags=re.S)


def test_python_layers_and_export_give_the_same_c(folder: Path) -> None:
    ways = [
        {"model": {"python": "net.py:Net", "weights": "net.pt"}},
        {"model": {"layers": LAYERS, "weights": "net.pt"}},
        {"model": {"export": "net.pt2"}},
    ]
    texts = [convert(write(folder, **way)).files for way in ways]
    assert texts[0]["tiny.c"] == texts[1]["tiny.c"] == texts[2]["tiny.c"]
    headers = [without_provenance(text["tiny.h"]) for text in texts]
    assert headers[0] == headers[1] == headers[2]
    assert len({text["tiny.h"] for text in texts}) == 3


def test_same_input_same_bytes_wherever_it_lies(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("other place")
    for name in ("net.py", "net.pt"):
        (elsewhere / name).write_bytes((folder / name).read_bytes())
    for model in ({"python": "net.py:Net", "weights": "net.pt"}, {"layers": LAYERS, "weights": "net.pt"}):
        first, second = convert(write(folder, model=model)), convert(write(elsewhere, model=model))
        assert first.files == second.files and first.report == second.report
        assert str(folder) not in json.dumps(dict(first.files)) + json.dumps(first.report)


def test_the_conversion_names_every_file_it_read(folder: Path) -> None:
    (folder / "parts.py").write_text("WIDTH = 5\n")
    (folder / "net.py").write_text("from parts import WIDTH\n" + PYTHON.replace(", 5)", ", WIDTH)"))
    found = convert(write(folder)).dependencies
    assert {path.name for path in found} == {"tiny.yaml", "net.py", "parts.py", "net.pt"}


def test_a_layer_called_as_the_api_is_renamed_in_c(folder: Path) -> None:
    """The fixture's last layer is called ``output``, as tiny_output() is."""
    text = convert(write(folder)).files["tiny.c"]
    assert "tiny_output_layer(" in text


EVIL = ['*/ #include "x"', 'quo"te', "new\nline", "esc\x1b[31mred", "??/"]


def test_labels_and_layer_names_are_escaped_wherever_they_are_written(folder: Path) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module('*/ #include "x"\n\x1b', nn.Linear(4, 5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return next(self.children())(x)

    torch.export.save(torch.export.export(Odd().eval(), (torch.zeros(1, 4),)), folder / "odd.pt2")
    path = write(folder, model={"export": "odd.pt2"}, input={"shape": [4]}, output={"labels": EVIL})
    conversion = convert(path)
    for file, text in conversion.files.items():
        (folder / file).write_text(text)
    (folder / "main.c").write_text(
        '#include <stdio.h>\n#include "tiny.h"\n'
        "int main(void) { for (int i = 0; i < 5; i++) { fputs(tiny_label(i), stdout); putchar(0); } return 0; }\n"
    )
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-Wpedantic"]
    subprocess.run(["gcc", *flags, "main.c", "tiny.c", "-o", "program"], cwd=folder, check=True)
    printed = subprocess.run([folder / "program"], capture_output=True, check=True).stdout
    assert printed.decode().split("\0")[:-1] == EVIL
    header, source = conversion.files["tiny.h"], conversion.files["tiny.c"]
    assert "\x1b" not in header + source and '#include "x"' not in re.sub(
        r'"(\\.|[^"\\])*"', "", source.replace("/*", "")
    )
    assert "\x1b" not in report_text(conversion.design) and "\x1b" not in json.dumps(conversion.report)
    subprocess.run(
        ["g++", "-std=c++11", "-Werror", "-Wall", "-fsyntax-only", "-x", "c++", "tiny.h"], cwd=folder, check=True
    )


def test_the_boards_ram_less_the_reserve_is_the_budget(folder: Path) -> None:
    board = load_board("hifive1")
    assert convert(write(folder), board).report["ram"]["board_bytes"] == 16384
    with pytest.raises(PlanError, match="budget is 84 B"):
        convert(write(folder, memory={"firmware_reserve": 16300}), board)
    with pytest.raises(PlanError, match="budget is 100 B"):
        convert(write(folder, memory={"ram_budget": 100}), board)


def test_labels_must_be_as_many_as_the_outputs(folder: Path) -> None:
    with pytest.raises(ModelError, match="2 labels for 5 outputs") as caught:
        convert(write(folder, output={"labels": ["a", "b"]}))
    assert "tiny.yaml:" in str(caught.value.where)
