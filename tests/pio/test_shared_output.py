"""`custom_uc_nn_output`: the generated C in version control, so that a clone builds where there is no converter."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.pio.conftest import Project
from uc_nn_pio import cli
from uc_nn_pio.resources import resources

pytestmark = pytest.mark.pio


@pytest.fixture
def shared(project: Project) -> Project:
    ini = project.folder / "platformio.ini"
    text = ini.read_text()
    ini.write_text(text.replace("custom_uc_nn_models = ", "custom_uc_nn_output = generated\ncustom_uc_nn_models = "))
    return project


def clone(project: Project, folder: Path) -> Project:
    """What version control would hold, elsewhere, on a machine whose Python has no converter."""
    shutil.copytree(project.folder, folder, ignore=shutil.ignore_patterns(".pio"))
    python = folder.parent / "python without converter"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    return Project(folder, project.core, folder.parent / "log", {**project.environment, "UC_NN_PYTHON": str(python)})


def test_a_clone_builds_without_the_converter(shared: Project, tmp_path: Path) -> None:
    shared.run("-e", "virtual")
    assert shared.conversions() == 1
    made = shared.folder / "generated" / "virtual"
    assert (made / "tiny" / "tiny.c").is_file() and not (made / "request.json").exists()
    manifest = (made / "manifest.json").read_text(encoding="utf-8")
    assert "python" not in json.loads(manifest) and str(tmp_path) not in manifest
    other = clone(shared, tmp_path / "clone" / "project")
    for path in (other.folder / "generated").rglob("*.c"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))  # as a checkout on Windows may have it
    other.run("-e", "virtual")
    assert other.elf().is_file() and other.conversions() == 0


def test_a_change_is_converted_again_or_said(shared: Project, tmp_path: Path) -> None:
    shared.run("-e", "virtual")
    other = clone(shared, tmp_path / "clone" / "project")
    for project in (shared, other):
        (project.folder / "models" / "tiny.bin").write_text("changed")
    done = other.pio("run", "-e", "virtual")
    assert done.returncode != 0 and "has no converter" in done.stderr and "models/tiny.bin changed" not in done.stderr
    shared.run("-e", "virtual")
    assert shared.conversions() == 2
    assert "changed" in (shared.folder / "generated" / "virtual" / "tiny" / "tiny.c").read_text()


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = str(resources("examples") / "lenet5_camera" / "models" / "lenet5.yaml")
    out = ["--board", "hifive1", "-o", str(tmp_path)]
    assert cli.main(["convert", spec, *out, "--check"]) == 1
    assert "lenet5.c is missing" in capsys.readouterr().err and not list(tmp_path.iterdir())
    assert cli.main(["convert", spec, *out]) == 0
    path = tmp_path / "lenet5.c"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert cli.main(["convert", spec, *out, "--check"]) == 0
    path.write_text(path.read_text().replace("lenet5", "lenet6", 1))
    assert cli.main(["convert", spec, *out, "--check"]) == 1
    assert "lenet5.c is stale" in capsys.readouterr().err
