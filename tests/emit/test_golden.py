"""The C of LeNet-5 in float32 and, for the HiFive1, in int8 and streamed, held word for word. Tables are shortened to
their length and sha256.

``python3 dev.py test tests/emit/test_golden.py --update-golden`` writes the files anew; read the difference before
committing it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from uc_nn_pio.boards import load_board
from uc_nn_pio.converter import convert
from uc_nn_pio.spec import MemorySpec, load_spec

GOLDEN = Path(__file__).parent / "golden"
SPEC = Path(__file__).parents[2] / "examples" / "lenet5_camera" / "models" / "lenet5.yaml"


def shorten(source: str) -> str:
    def table(match: re.Match[str]) -> str:
        values = re.findall(r"[^\s,]+", match[2])
        return f"{match[1]}    /* {len(values)} values, sha256 {hashlib.sha256(match[2].encode()).hexdigest()} */\n}};"

    return re.sub(r"(static const (?:float|uint32_t) \w+\[\d+\] = \{\n)(.*?)\};", table, source, flags=re.S)


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """By the golden file's name."""
    spec = load_spec(SPEC)
    assert spec.memory == MemorySpec("streamed")
    int8 = replace(spec, memory=MemorySpec("pingpong"))
    found = {
        "float32": convert(replace(int8, precision="float32", calibration=None)),
        "int8": convert(int8, load_board("hifive1")),
        "streamed": convert(spec, load_board("hifive1")),
    }
    return {f"{folder}/{file}": text for folder, conversion in found.items() for file, text in conversion.files.items()}


@pytest.mark.parametrize("file", ["lenet5.h", "lenet5.c"])
@pytest.mark.parametrize("folder", ["float32", "int8", "streamed"])
def test_the_c_of_lenet5_is_the_golden_one(
    folder: str, file: str, texts: dict[str, str], request: pytest.FixtureRequest
) -> None:
    name = f"{folder}/{file}"
    text = shorten(texts[name])
    path = GOLDEN / name
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
