"""Every text that the troubleshooting page quotes is one that the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (`.*?) \|", PAGE, re.M)


def sources() -> str:
    files = [*(ROOT / "uc_nn_pio").rglob("*.py"), *(ROOT / "firmware_template").rglob("*.[cj]*")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    # texts that go over lines of the source: "... of this " "project ..."
    return re.sub(r'"\s*\n\s*f?"', "", text)


TEXT = sources()


@pytest.mark.parametrize("row", ROWS)
def test_the_code_says_it(row: str) -> None:
    for quoted in re.findall(r"`([^`]+)`", row):
        assert quoted in TEXT, quoted


def test_there_are_rows() -> None:
    assert len(ROWS) > 15
