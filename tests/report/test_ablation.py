"""The paper's memory figures, from the real networks of the examples."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from tests.modules import load_module
from tests.networks import design_of
from tests.table1 import Table1Net
from uc_nn_pio.report import ablation, ablation_text, report, report_text
from uc_nn_pio.spec import MemorySpec

EXAMPLES = Path(__file__).parents[2] / "examples"


def network(path: str, attribute: str) -> nn.Module:
    return getattr(load_module(EXAMPLES / path), attribute)()


@pytest.fixture(scope="module")
def lenet5():
    module = network("lenet5_camera/models/lenet5.py", "LeNet5")
    return design_of(module, (1, 32, 32), "lenet5", memory=MemorySpec("pingpong"))


@pytest.fixture(scope="module")
def table1():
    return design_of(Table1Net(), (3, 32, 32), "table1", memory=MemorySpec("pingpong"))


def test_lenet5_reaches_the_papers_three_figures(lenet5) -> None:
    """Paper, sections 3.1 and 3.2: 36,472, 11,256 and 8,800 bytes; 69, 22 and 76 %."""
    found = ablation(lenet5)
    assert (found["unfused_bytes"], found["fused_bytes"], found["planned_bytes"]) == (36472, 11256, 8800)
    percents = found["fused_saves_percent"], found["schedule_saves_percent"], found["total_saves_percent"]
    assert [round(p) for p in percents] == [69, 22, 76]


def test_table1_takes_11264_bytes_at_one_byte_an_element(table1) -> None:
    """Paper, section 5: 11.2 KB."""
    assert ablation(table1)["planned_bytes"] / 4 == 11264


def test_macs_and_weights_are_the_published_ones(lenet5, table1) -> None:
    """416,520 MAC and 61,706 parameters; 6,558,720 MAC and, with its biases, 33,120 + 90 parameters."""
    assert (report(lenet5)["macs"], report(lenet5)["flash"]["weight_bytes"]) == (416520, 4 * 61706)
    assert (report(table1)["macs"], report(table1)["flash"]["weight_bytes"]) == (6558720, 4 * (33120 + 90))


def test_the_texts_say_the_same_figures(lenet5) -> None:
    assert all(figure in ablation_text(lenet5) for figure in ("36,472", "11,256", "8,800", "69 %", "22 %", "76 %"))
    text = report_text(lenet5)
    assert "8,900 B context = 8,800 activations + 100 scratch" in text
    assert [line.split()[0] for line in text.splitlines()[3:8]] == ["conv1", "conv2", "fc1", "fc2", "fc3"]
