"""The demo: the example, the real PlatformIO, the real monitor, ten digits."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.pio.conftest import ROOT, Project, make_project
from uc_nn_pio.pio import demo
from uc_nn_pio.pio.demo import Verdict

pytestmark = pytest.mark.pio


@pytest.fixture
def example(core: Path, tmp_path: Path) -> Project:
    """A copy of the example, so that its scene can be changed."""
    folder = tmp_path / "examples" / "lenet5_camera"
    shutil.copytree(ROOT / "examples" / "lenet5_camera", folder, ignore=shutil.ignore_patterns(".pio"))
    shutil.copytree(ROOT / "firmware_template" / "lib", tmp_path / "firmware_template" / "lib")
    project = make_project(tmp_path / "unused", core, tmp_path)
    project.folder = folder
    return project


def run_demo(example: Project) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "uc_nn_pio", "demo", "--project", str(example.folder), "--timeout", "100"],
        env=example.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def boards_running(example: Project) -> list[str]:
    commands = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended while we looked
            commands.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    assert commands
    return [command for command in commands if str(example.folder) in command]


def test_ten_of_ten_and_a_wrong_one_is_shown_as_wrong(example: Project) -> None:
    done = run_demo(example)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("PREDICTION: ")]
    assert [line.split()[1] for line in lines] == list("0123456789"), "the first of each class, in order"
    assert all(line.endswith("<- right") for line in lines)
    assert "10 of 10 right" in done.stdout
    assert "--- Terminal on socket://127.0.0.1:" in done.stdout, "the real monitor"
    assert boards_running(example) == []

    scene = example.folder / "models/data/digits.npz"
    with np.load(scene) as data:
        arrays = dict(data)
    arrays["labels"][3] = 8
    np.savez(scene, **arrays)
    done = run_demo(example)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "converting" not in done.stdout
    wrong = [line for line in done.stdout.splitlines() if "WRONG" in line]
    assert len(wrong) == 1 and wrong[0].startswith("PREDICTION: 3 ") and wrong[0].endswith("the camera showed 8")
    assert "9 of 10 right" in done.stdout
    assert boards_running(example) == []


def test_what_stops_the_demo(example: Project, tmp_path: Path) -> None:
    example.environment["PLATFORMIO_CORE_DIR"] = str(tmp_path / "empty")
    done = run_demo(example)
    assert done.returncode == 2
    assert "run uc-nn setup first" in done.stderr and "Traceback" not in done.stderr
    example.folder = tmp_path / "empty"
    done = run_demo(example)
    assert done.returncode == 2
    assert "there is no PlatformIO project" in done.stderr and "Traceback" not in done.stderr


def test_fewer_digits_than_ten_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.summary([Verdict("1", "1")] * 9) == 1
    assert "only 9 of 10 digits came in time, 9 right" in capsys.readouterr().err
    assert demo.summary([Verdict("1", "1")] * 10) == 0
