"""Wheel and sdist carry boards, firmware template and examples, and nothing that a build left behind."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import uc_nn_pio

ROOT = Path(__file__).parents[1]
SHOW = (
    "import uc_nn_pio; from uc_nn_pio.boards import load_board, board_ids; from uc_nn_pio.resources import resources;"
    "print(uc_nn_pio.__version__, len(board_ids()), load_board('hifive1').ram.size);"
    "[print(resources(name)) for name in ('boards', 'firmware_template', 'examples')]"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True)
    return folder


def show(root: Path, elsewhere: Path) -> list[str]:
    """What the package under ``root`` says of itself, run from a folder that is not the checkout."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {SHOW}"]
    return subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_wheel_finds_its_resources_by_itself(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    root = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(root)
    first, *folders = show(root, tmp_path)
    assert first == f"{uc_nn_pio.__version__} 5 16384"
    assert all(Path(folder).is_relative_to(root) for folder in folders)
    assert {"uc_nn_pio/_resources/firmware_template/board/link.ld.j2", "uc_nn_pio/spec/schema.json"} <= set(names)
    unwanted = (".pio/", ".cache/", "__pycache__", "tests/")
    assert not [name for name in names if any(part in name for part in unwanted)]


def test_the_sdist_finds_its_resources_by_itself(built: Path, tmp_path: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (root,) = (path for path in tmp_path.iterdir() if path.is_dir())
    first, *folders = show(root, tmp_path)
    assert first == f"{uc_nn_pio.__version__} 5 16384"
    assert [Path(folder) for folder in folders] == [root / n for n in ("boards", "firmware_template", "examples")]
    assert (root / "dev.py").is_file() and (root / "tests" / "test_packaging.py").is_file()
