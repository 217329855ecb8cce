"""The four networks of MLPerf Tiny: their size is the published one, they convert, and the document shows them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uc_nn_pio import convert, load_board
from uc_nn_pio.bench import models
from uc_nn_pio.resources import resources
from uc_nn_pio.spec import LEAST, MemorySpec, load_spec

PUBLISHED = {"kws": 24_908, "ic": 78_666, "vww": 221_794, "ad": 269_992}
"""Parameters, those of batch norms' statistics counted, as Keras counts them for the benchmark's reference models."""

LEAST_CONTEXT = {"kws": 5968, "ic": 49_556, "vww": 18_600, "ad": 768}
"""Bytes."""

DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its random files."""
    folder = tmp_path_factory.mktemp("mlperf") / "mlperf_tiny"
    shutil.copytree(resources("examples") / "mlperf_tiny", folder, ignore=shutil.ignore_patterns("*.pt", "*.json"))
    subprocess.run([sys.executable, folder / "make_random.py"], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_as_many_as_published(name: str, example: Path) -> None:
    state = torch.load(example / "models" / f"{name}.pt", weights_only=True)
    counted = sum(tensor.numel() for key, tensor in state.items() if "num_batches" not in key)
    assert counted == PUBLISHED[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_they_convert_in_little_ram(name: str, example: Path) -> None:
    spec = load_spec(example / "models" / f"{name}.yaml")
    made = convert(replace(spec, memory=MemorySpec("auto", ram_budget=LEAST)), load_board("hifive1"))
    assert made.design.plan.total_bytes <= LEAST_CONTEXT[name]
    assert {"kws": True, "ad": True}.get(name, False) == (made.design.plan.total_bytes < 14_336)


def test_the_document_has_a_row_for_each_way() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    sections = re.split(r"(?m)^## ", text)[1:]
    assert [section.partition("\n")[0] for section in sections] == list(models.TITLES.values())
    for section in sections:
        rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ") and "---" not in line][1:]
        assert len(rows) >= 2
        for row in rows:
            measured, predicted = (float(cell.strip("| ")) for cell in row[-2:])
            assert predicted == pytest.approx(measured, rel=0.1)


@pytest.mark.slow
def test_the_document_is_what_is_measured(example: Path) -> None:
    (row, *_) = models.rows_of(example, "ad")
    cells = " | ".join(row.cells())
    assert cells in DOCUMENT.read_text(encoding="utf-8")
