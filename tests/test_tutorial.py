"""The tutorial, followed to the letter in an empty folder: its files written, its commands run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pio.conftest import clean_environment

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"


@pytest.mark.pio
def test_the_tutorial(tmp_path: Path) -> None:
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", TUTORIAL.read_text(encoding="utf-8"), re.M | re.S)
    script = ["set -ex"]
    for kind, text in blocks:
        if named := re.match(r"# file: (\S+)\n", text):
            (tmp_path / named[1]).write_text(text, encoding="utf-8")
        else:
            assert kind == "sh"
            script.append(text)
    assert len(script) == 7
    scripts = Path(sys.executable).parent
    environment = clean_environment()
    environment |= {
        "PATH": f"{scripts}{os.pathsep}{environment['PATH']}",
        "VIRTUAL_ENV": str(scripts.parent),
        "CI": "true",
    }
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "shapes, int8, on host: passed" in done.stdout and "shapes, int8, on virtual: passed" in done.stdout
    assert "3 test cases: 3 succeeded" in done.stdout and "lenet5" not in done.stdout
    assert "shapes_alone/src/main.c" in done.stdout and done.stdout.count("virtual        SUCCESS") == 2
