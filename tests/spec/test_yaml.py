"""Files that are no YAML, or YAML of a kind that no spec needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.spec.conftest import BASE
from tests.spec.examples import edit
from uc_nn_pio.errors import Location, UcNnError
from uc_nn_pio.spec import ModelSpec, load_spec

Mistakes = Callable[[str | bytes], list[UcNnError]]

BROKEN: dict[str, tuple[str | bytes, int | None, int | None, str]] = {
    "empty": ("", None, None, "the model spec is empty"),
    "blank": (" \n\n", None, None, "the model spec is empty"),
    "comments only": ("# spec: 1\n", None, None, "the model spec is empty"),
    "BOM only": (b"\xef\xbb\xbf", None, None, "the model spec is empty"),
    "tab indents": (edit("  python", "\tpython"), 4, 1, "a tab is used where YAML allows spaces only"),
    "tab indents later": (edit("  weights", "\tweights"), 5, 1, "a tab is used"),
    "tab after spaces": (edit("  weights", "  \tweights"), 5, 3, "a tab is used"),
    "tab begins a value": (edit("name: small", "name:\tsmall\n\t- x"), 2, 6, "a tab is used"),
    "latin 1": (edit("small", "größe").encode("latin-1"), 2, 9, "not UTF-8"),
    "UTF-16": (BASE.encode("utf-16"), 1, 1, "not UTF-8 but UTF-16"),
    "binary": (b"PK\x03\x04" + bytes(range(256)), 2, 118, "not UTF-8"),
    "two documents": (BASE + "---\n" + BASE, 11, 1, "the file holds two documents"),
    "control character": (edit("small", "sm\x1ball"), 2, 9, "U+001B may not stand in YAML"),
    "NUL character": (edit("small", "sm\0all"), 2, 9, "U+0000 may not stand in YAML"),
    "open quote": (edit("name: small", "name: 'small"), 2, 7, "a quote is opened and never closed"),
    "open bracket": (edit("[3, 8, 9]", "[3, 8, 9"), 8, 13, "it is opened in line 7, column 10"),
    "two colons": (edit("name: small", "name: small: net"), 2, 12, "a colon where no key can be"),
    "indentation": (edit("  weights", "    weights"), 5, 12, "a colon where no key can be"),
    "indentation less": (edit("  weights", " weights"), 5, 2, "the indentation does not fit"),
    "no colon": (edit("name: small", "name small"), 3, 1, "a key without ':'"),
    "alias without anchor": (edit("small", "*small"), 2, 7, "an alias (*) without its anchor"),
    "star": (edit("small", "*"), 2, 8, "a '*' that begins no alias"),
    "at sign": (edit("small", "@net"), 2, 7, "a character that cannot begin a value"),
    "alias in itself": (BASE + "output2: &a [1, *a]\n", 11, 10, "inside the value of its own anchor"),
    "deep": (BASE + "x: " + "[" * 5000 + "\n", None, None, "nested too deeply"),
    "large": (BASE + "#" * (1 << 20), None, None, "larger than 1 MiB"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_is_said_in_words(mistakes: Mistakes, project: Path, name: str) -> None:
    text, line, column, words = BROKEN[name]
    (error,) = mistakes(text)
    assert words in str(error)
    assert error.where == Location(project / "model.yaml", line, column)


def test_nested_aliases_do_not_explode(mistakes: Mistakes) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    start = time.perf_counter()
    (error,) = mistakes(BASE + "\n".join(lines) + "\n")
    assert time.perf_counter() - start < 5
    assert "more than 20000 values" in str(error)


def test_an_explicit_document_is_fine(load: Callable[[str | bytes], ModelSpec]) -> None:
    assert load("%YAML 1.1\n---\n" + BASE + "...\n").name == "small"


_PIECES = st.lists(
    st.sampled_from(
        [*BASE.splitlines(keepends=True), "- ", "  ", "\t", "{", "[", "]", "&a ", "*a", "!!x ", "? ", ": ", '"', "|"]
    ),
    max_size=14,
).map("".join)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(_PIECES, st.text(max_size=60)))
@example(text="? [a]\n: 1\n")
@example(text="!!map [1]\n")
@example(text="!!seq x\n")
@example(text="spec: 1\ninput: {shape: !!seq {a: 1}}\n")
@example(text="spec: 1\nmodel: {layers: [{? [x] : 1}]}\n")
@example(text="spec: 1\nmodel: {layers: [{}]}\n")
@example(text="spec: !!int ''\n")
@example(text="spec: !!int '\u0661'\n")
def test_no_text_makes_anything_but_a_spec_error(project: Path, text: str) -> None:
    path = project / "model.yaml"
    path.write_text(text, encoding="utf-8", errors="replace", newline="")
    try:
        load_spec(path)
    except UcNnError as error:
        assert str(path) in str(error)
