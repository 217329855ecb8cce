"""Specs that are wrong: where the message points to, and what it says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.spec.conftest import BASE
from tests.spec.examples import WRONG, Wrong, edit
from uc_nn_pio.errors import Location, NotBuiltError, SpecError, UcNnError
from uc_nn_pio.spec import load_spec

Mistakes = Callable[[str | bytes], list[UcNnError]]


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_mistake_is_named_with_its_place(mistakes: Mistakes, project: Path, wrong: Wrong) -> None:
    errors = mistakes(wrong.text)
    assert len(errors) == 1, [str(error) for error in errors]
    assert isinstance(errors[0], SpecError)
    assert errors[0].where == Location(project / "model.yaml", wrong.line, wrong.column)
    for words in wrong.says:
        assert words in str(errors[0])


_NOT_BUILT = ("flash",)


@pytest.mark.parametrize("name", _NOT_BUILT)
def test_a_feature_not_built_is_its_own_error(mistakes: Mistakes, name: str) -> None:
    (error,) = mistakes(WRONG[name].text)
    assert isinstance(error, NotBuiltError)
    assert error.next_step is not None and error.next_step.startswith("what works now:")


def test_all_mistakes_come_at_once_in_the_files_order(mistakes: Mistakes) -> None:
    text = """\
spec: 1
name: int
precision: int4
model:
  layers:
    - Conv2d: {out_channels: x, kernel_size: 0}
    - relu
input:
  shape: [3, 8, 9]
  preprocess: {mean: [1], std: [0, 1, 1]}
output: {labels: [1]}
memry: {}
"""
    errors = mistakes(text)
    assert [error.where.line for error in errors] == [2, 3, 4, 6, 6, 7, 10, 10, 11, 12]  # type: ignore[union-attr]
    for error in errors:
        assert isinstance(error, SpecError)


def test_no_such_spec(project: Path) -> None:
    (project / "lenet5.yaml").write_text(BASE)
    with pytest.raises(SpecError, match="no such model spec") as caught:
        load_spec(project / "lenet.yaml")
    assert "'lenet5.yaml'" in str(caught.value)
    with pytest.raises(SpecError, match="is a folder"):
        load_spec(project / "folder")
    with pytest.raises(SpecError, match="no such model spec"):
        load_spec(project / "nowhere" / "x.yaml")
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(project / ("n" * 300))


def test_a_message_cannot_command_the_terminal(mistakes: Mistakes) -> None:
    for text in (
        edit("net.pt\n", '"\\e[31mx\\u202e.pt"\n'),
        edit("net.py:Net", '"\\e[31m.py"'),
        edit("name: small", '"na\\e[31mme": small'),
        edit("  python: net.py:Net\n", '  layers:\n  - ReLU:\n    "\\e[31m": 1\n'),
        BASE + '!!int "\\e[31m": 3\n',
        edit("[3, 8, 9]", '[!!int "\\e[31m"]'),
        edit('["a", "b"]', '[!!int "\\e[31m\\x9b"]'),
    ):
        shown = "\n".join(str(error) for error in mistakes(text))
        assert "x1b[31m" in shown
        assert not {"\x1b", "\x9b", "\u202e"} & set(shown)


def test_reading_a_spec_needs_no_torch() -> None:
    code = "import sys, uc_nn_pio.spec, uc_nn_pio.preprocess; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
