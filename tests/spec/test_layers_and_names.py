"""The tables of layers and of names, held to torch and to the compilers."""

from __future__ import annotations

import inspect
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uc_nn_pio.spec.layers import LAYERS
from uc_nn_pio.spec.names import HEADERS, KEYWORDS, name_problem, suggested_name

INFERRED = {"num_channels", "in_channels", "in_features", "num_features"}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_has_torchs_arguments(name: str) -> None:
    import torch

    parameters = inspect.signature(getattr(torch.nn, name).__init__).parameters
    takes = {key for key, item in parameters.items() if item.kind is item.POSITIONAL_OR_KEYWORD} - {"self"}
    known = set(LAYERS[name].arguments)
    if name == "Flatten":
        assert known == {"start_dim", "end_dim"}
    elif name == "Identity":
        assert known == set()
    else:
        needed = {key for key in takes if parameters[key].default is inspect.Parameter.empty}
        assert known <= takes
        assert takes - known <= {"device", "dtype", "bias"}
        assert set(LAYERS[name].needed) == needed - INFERRED


def _compiles(compiler: list[str], text: str, tmp_path: Path) -> bool:
    source = tmp_path / "x.c"
    source.write_text(text)
    return subprocess.run([*compiler, "-fsyntax-only", str(source)], capture_output=True, timeout=60).returncode == 0


def test_keywords_are_what_the_compilers_refuse(tmp_path: Path) -> None:
    allowed = []
    for word in sorted(KEYWORDS):
        text = f"int {word} = 0;\n"
        if _compiles(["g++", "-x", "c++", "-std=c++20"], text, tmp_path) and _compiles(
            ["gcc", "-std=gnu2x"], text, tmp_path
        ):
            allowed.append(word)
    # Keywords of C23 that gcc 12 does not know yet (ISO/IEC 9899:2024, 6.4.1).
    assert allowed == [word for word in ("typeof_unqual",) if word in allowed]


def test_every_header_of_the_compiler_is_kept(tmp_path: Path) -> None:
    """C17's 29 headers are all there, and each name stands for a file that the host's compiler finds, C23's aside."""
    missing = [name for name in sorted(HEADERS) if not _compiles(["gcc"], f"#include <{name}.h>\n", tmp_path)]
    assert set(missing) <= {"stdbit", "stdckdint"}
    assert len(HEADERS) == 29 + 2


_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True)


@settings(max_examples=8, deadline=None)
@given(names=st.lists(st.one_of(_NAMES, st.sampled_from(sorted(KEYWORDS))), min_size=20, max_size=40, unique=True))
def test_allowed_names_are_identifiers_in_c_and_cpp(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    good = [name for name in names if name_problem(name) is None]
    text = "".join(f"struct s_{i} {{ int {name}; }}; void {name}_run(void);\n" for i, name in enumerate(good))
    folder = tmp_path_factory.mktemp("names")
    assert _compiles(["gcc", "-std=c99", "-Wall", "-Werror"], text, folder)
    assert _compiles(["g++", "-x", "c++", "-std=c++20", "-Wall", "-Werror"], text, folder)


@given(name=st.text(max_size=60))
def test_a_suggested_name_is_allowed(name: str) -> None:
    good = suggested_name(name)
    assert good is None or name_problem(good) is None


def test_what_is_suggested_is_near() -> None:
    assert suggested_name("le-net 5") == "le_net_5"
    assert suggested_name("5net") == "net_5net"
    assert suggested_name("__x__") == "x"
    assert suggested_name("ä") is None
