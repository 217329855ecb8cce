"""Builds firmware and drivers for the tests of this folder, with the compilers of the machine."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

from uc_nn_pio.boards import load_board
from uc_nn_pio.pio.board_files import render_board_files
from uc_nn_pio.pio.project import render_project
from uc_nn_pio.resources import resources

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STAND_IN = HERE / "stand_in"
DRIVERS = resources("firmware_template") / "lib"
GCC = "riscv64-unknown-elf-gcc"
COMPILE = ["-Os", "-g", "-ffreestanding", "-ffunction-sections", "-fdata-sections"]
STRICT = ["-Wall", "-Wextra", "-Wconversion", "-Werror", "-std=c99"]
MACHINE = ["-march=rv32imac", "-mabi=ilp32"]


def run(command: list[object]) -> str:
    """Run a command, and fail with what it wrote if it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def stand_in_spec(folder: Path) -> Path:
    """A model spec with the stand-in's name, and files that exist."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(STAND_IN / "tiny.yaml", folder / "tiny.yaml")
    (folder / "tiny.pt").write_bytes(b"not read by the template")
    return folder / "tiny.yaml"


def driver_sources(*suffixes: str) -> list[Path]:
    folders = camera_drivers()
    return sorted(
        path for suffix in suffixes or (".c", ".S") for path in DRIVERS.glob(f"*/*{suffix}") if path.parent in folders
    )


def camera_drivers() -> list[Path]:
    """Of the FE310 and the camera; ``bare`` is for other boards."""
    return sorted(path for path in DRIVERS.iterdir() if path.is_dir() and path.name != "bare")


def includes(*folders: Path) -> list[str]:
    return [f"-I{folder}" for folder in (*folders, *camera_drivers())]


@functools.cache
def driver_objects(mcmodel: str) -> tuple[Path, ...]:
    """The drivers, compiled once: they know nothing of board and model."""
    folder = Path(tempfile.mkdtemp(prefix="uc_nn_drivers_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    flags = [*COMPILE, *MACHINE, f"-mcmodel={mcmodel}", *includes()]
    run(["env", "-C", folder, GCC, "-c", *flags, *driver_sources()])
    return tuple(sorted(folder.glob("*.o")))


def build_firmware(
    folder: Path,
    *,
    board: str = "hifive1",
    main: Path | None = None,
    core_hz: int | None = None,
    flash: str = "reset",
    flags: tuple[str, ...] = (),
    model: Path = STAND_IN,
) -> Path:
    """Link the demo program (or ``main``) with the drivers and the C files of ``model``; return the ELF."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in render_board_files(load_board(board), core_hz=core_hz, flash=flash).items():
        (folder / name).write_text(text)
    if main is None:
        project = folder / "project"
        render_project(project, name="demo", board=board, spec=stand_in_spec(folder / "spec"))
        main = project / "src" / "main.c"
    elf = folder / "firmware.elf"
    mcmodel = load_board(board).mcmodel
    sources = [main, *sorted(model.glob("*.c")), *driver_objects(mcmodel)]
    link = ["-nostdlib", "-nostartfiles", "-Wl,--gc-sections", "-T", folder / "link.ld"]
    compile_flags = [*COMPILE, *STRICT, *MACHINE, f"-mcmodel={mcmodel}", *flags, *includes(folder, model)]
    run([GCC, *compile_flags, *sources, *link, "-lgcc", "-o", elf])
    return elf
