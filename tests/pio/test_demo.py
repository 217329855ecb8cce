"""The demo: the example, the real PlatformIO, the real monitor, ten digits."""

from __future__ import annotations

import contextlib
import dataclasses
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


@pytest.fixture(scope="module")
def example(core: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the example, so that its scene can be changed."""
    scratch = tmp_path_factory.mktemp("example")
    folder = scratch / "examples" / "lenet5_camera"
    shutil.copytree(ROOT / "examples" / "lenet5_camera", folder, ignore=shutil.ignore_patterns(".pio"))
    shutil.copytree(ROOT / "firmware_template" / "lib", scratch / "firmware_template" / "lib")
    project = make_project(scratch / "unused", core, scratch)
    project.folder = folder
    project.environment["UC_NN_PYTHON"] = sys.executable
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


def predictions(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.startswith("PREDICTION: ")]


def test_bare_pio_run_then_a_demo_with_one_label_wrong(example: Project) -> None:
    """Nine digits are right; the fourth is called 8 here, so the board's right answer must be shown as wrong."""
    built = example.run()
    assert "virtual        SUCCESS" in built.stdout
    assert "(not converted yet)" in built.stdout
    again = example.run(UC_NN_PYTHON="/nowhere/python")
    assert "converting" not in again.stdout, "an unchanged model needs no torch"

    scene = example.folder / "models/data/digits.npz"
    with np.load(scene) as data:
        arrays = dict(data)
    true = arrays["labels"].copy()
    assert list(true) == list(range(10)), "the first of each class, in order"
    arrays["labels"][3] = 8
    np.savez(scene, **arrays)
    try:
        done = run_demo(example)
    finally:
        np.savez(scene, **{**arrays, "labels": true})
    assert done.returncode == 1, done.stdout + done.stderr
    lines = predictions(done)
    assert [line.split()[1] for line in lines] == list("0123456789")
    assert [line.endswith("<- right") for line in lines] == [digit != 3 for digit in range(10)]
    assert lines[3].endswith("<- WRONG, the camera showed 8")
    assert "9 of 10 right" in done.stdout
    assert "--- Terminal on socket://127.0.0.1:" in done.stdout, "the real monitor"
    assert boards_running(example) == []


@pytest.mark.slow
def test_ten_of_ten(example: Project) -> None:
    done = run_demo(example)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(line.endswith("<- right") for line in predictions(done))
    assert "10 of 10 right" in done.stdout
    assert boards_running(example) == []


def test_what_stops_the_demo(example: Project, tmp_path: Path) -> None:
    elsewhere = dataclasses.replace(example, environment={**example.environment, "PLATFORMIO_CORE_DIR": str(tmp_path)})
    done = run_demo(elsewhere)
    assert done.returncode == 2
    assert "run uc-nn setup first" in done.stderr and "Traceback" not in done.stderr
    done = run_demo(dataclasses.replace(example, folder=tmp_path))
    assert done.returncode == 2
    assert "there is no PlatformIO project" in done.stderr and "Traceback" not in done.stderr


def test_fewer_digits_than_ten_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.summary([Verdict("1", "1")] * 9) == 1
    assert "only 9 of 10 digits came in time, 9 right" in capsys.readouterr().err
    assert demo.summary([Verdict("1", "1")] * 10) == 0
