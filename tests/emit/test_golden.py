"""The C of LeNet-5, held word for word. Tables are shortened to their length and sha256.

``python3 dev.py test tests/emit/test_golden.py --update-golden`` writes the files anew; read the difference before
committing it.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from uc_nn_pio.convert import convert

GOLDEN = Path(__file__).parent / "golden"
SPEC = Path(__file__).parents[2] / "examples" / "lenet5_camera" / "models" / "lenet5.yaml"


def shorten(source: str) -> str:
    def table(match: re.Match[str]) -> str:
        values = re.findall(r"[^\s,]+", match[2])
        return f"{match[1]}    /* {len(values)} values, sha256 {hashlib.sha256(match[2].encode()).hexdigest()} */\n}};"

    return re.sub(r"(static const float \w+\[\d+\] = \{\n)(.*?)\};", table, source, flags=re.S)


@pytest.mark.parametrize("name", ["lenet5.h", "lenet5.c"])
def test_the_c_of_lenet5_is_the_golden_one(name: str, request: pytest.FixtureRequest) -> None:
    text = shorten(convert(SPEC).files[name])
    path = GOLDEN / name
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
