"""The list of operators: what the code says, and nothing else."""

from __future__ import annotations

import pytest

from uc_nn_pio.capture.rules import RULES
from uc_nn_pio.cli import main
from uc_nn_pio.emit.kernels import KERNELS
from uc_nn_pio.graph.ir import DType
from uc_nn_pio.operators import DOCUMENT, operators_text
from uc_nn_pio.reference.activation import FUNCTIONS


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == operators_text(), "python -m uc_nn_pio.operators"


def test_every_call_kernel_and_function_is_in_it() -> None:
    text = operators_text()
    for call in RULES:
        assert f"`{call.rpartition('.')[0].rpartition('.')[2]}`" in text
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    for op, dtype in KERNELS:
        cells = [cell.strip() for cell in lines[f"`{op.kind}`"].split("|")]
        assert cells[3 if dtype is DType.FLOAT32 else 4] == "yes"
    assert all(f"`{name}`" in text for name in FUNCTIONS)


def test_rules_and_operators_say_what_they_are() -> None:
    assert all(rule.__doc__ for rule in RULES.values())
    assert all(op.__doc__ for op, _ in KERNELS)


def test_the_verb_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ops"]) in (0, None)
    assert capsys.readouterr().out == operators_text()
