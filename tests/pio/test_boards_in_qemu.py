"""`uc-nn new` for boards that QEMU has, built by the real PlatformIO and run to their end in the real QEMU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pio.conftest import pio_environment
from uc_nn_pio.boards import load_board
from uc_nn_pio.errors import UcNnError
from uc_nn_pio.pio.board_files import render_board_files
from uc_nn_pio.pio.project import render_project
from uc_nn_pio.resources import resources

pytestmark = pytest.mark.pio

BOARDS = ["mps2_an386", "qemu_riscv32"]


def pio(folder: Path, core: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "platformio", *arguments],
        cwd=folder,
        env=pio_environment(core, sys.executable),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("board", BOARDS)
def test_a_new_project_runs_its_samples(board: str, tmp_path: Path, core: Path) -> None:
    folder = tmp_path / "meine Ziffern"
    render_project(folder, name="digits", board=board)
    done = pio(folder, core, "run", "-t", "upload")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"uc_nn: lenet5 on {board}, network RAM" in done.stdout
    assert done.stdout.count(": as the reference says") == 10
    assert "lenet5: 10 of 10 samples as the reference says, 10 labels right" in done.stdout

    edited = folder / "src" / "main.c"
    text = edited.read_text(encoding="utf-8")
    edited.write_text(
        text.replace(
            "        lenet5_run_sample(&network, sample);",
            "        lenet5_run_sample(&network, sample);\n    *(char *)lenet5_output(&network) ^= 1;",
        )
    )
    wrong = pio(folder, core, "run", "-t", "upload")
    assert wrong.returncode != 0 and "lenet5: 0 of 10 samples as the reference says" in wrong.stdout
    assert "error: the program ended with code 1" in wrong.stderr

    address = "0x60000000" if board == "mps2_an386" else "0x00000000"
    edited.write_text(
        text.replace("        lenet5_run_sample(&network, sample);", f"    *(volatile int *){address}u = 1;")
    )
    fault = pio(folder, core, "run", "-t", "upload")
    assert fault.returncode != 0 and "PREDICTION" not in fault.stdout

    float_spec = folder / "models" / "lenet5.yaml"
    float_spec.write_text(float_spec.read_text(encoding="utf-8").replace("precision: int8", "precision: float32"))
    edited.write_text(text)
    floating = pio(folder, core, "run", "-t", "upload")
    assert floating.returncode == 0, floating.stdout + floating.stderr
    assert "10 of 10 samples as the reference says" in floating.stdout


def test_a_cortex_m_build_uses_smlad(tmp_path: Path, core: Path) -> None:
    render_project(tmp_path / "p", name="digits", board="mps2_an386")
    ini = tmp_path / "p" / "platformio.ini"
    ini.write_text(ini.read_text().replace("; custom_uc_nn_stack = 2048", "custom_uc_nn_stack = 1024"))
    done = pio(tmp_path / "p", core, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    elf = tmp_path / "p" / ".pio" / "build" / "mps2_an386" / "firmware.elf"
    listing = subprocess.run(["arm-none-eabi-objdump", "-d", elf], capture_output=True, text=True, check=True).stdout
    assert listing.count("smlad") > 100
    symbols = subprocess.run(["arm-none-eabi-nm", elf], capture_output=True, text=True, check=True).stdout
    places = {name: int(value, 16) for value, _, name in (line.split() for line in symbols.splitlines())}
    assert places["__stack_top"] - places["__stack_bottom"] == 1024
    manifest = json.loads((tmp_path / "p" / ".pio" / "uc_nn" / "mps2_an386" / "manifest.json").read_text())
    assert "-fno-schedule-insns" in manifest["flags"]["lenet5/lenet5.c"]


def test_a_model_without_test_data_is_refused(tmp_path: Path) -> None:
    spec = tmp_path / "m.yaml"
    render_project(tmp_path / "p", name="digits", board="mps2_an386")
    models = tmp_path / "p" / "models"
    text = (models / "lenet5.yaml").read_text(encoding="utf-8")
    begin = text.index("validate:")
    spec = models / "lenet5.yaml"
    spec.write_text(text[:begin])
    with pytest.raises(UcNnError) as caught:
        render_project(tmp_path / "q", name="digits", board="mps2_an386", spec=spec)
    assert "names no test data" in str(caught.value) and not (tmp_path / "q").exists()


@pytest.mark.parametrize("text", ["ten", "-1"])
def test_a_number_of_samples_that_is_none(text: str, tmp_path: Path, core: Path) -> None:
    render_project(tmp_path / "p", name="digits", board="mps2_an386")
    ini = tmp_path / "p" / "platformio.ini"
    ini.write_text(ini.read_text().replace("custom_uc_nn_samples = 10", f"custom_uc_nn_samples = {text}"))
    done = pio(tmp_path / "p", core, "run")
    assert done.returncode != 0 and "is no number of samples" in done.stderr


@pytest.mark.parametrize("board", BOARDS)
def test_the_start_up_code_has_no_warnings(board: str, tmp_path: Path) -> None:
    found = load_board(board)
    for name, text in render_board_files(found).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    machine = (
        ["arm-none-eabi-gcc", f"-mcpu={found.cpu}", "-mthumb"]
        if found.arch == "arm"
        else ["riscv64-unknown-elf-gcc", f"-march={found.march}_zicsr", f"-mabi={found.mabi}"]
    )
    strict = ["-std=c99", "-Os", "-ffreestanding", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    bare = resources("firmware_template") / "lib" / "bare"
    for source in sorted([*bare.glob("*.c"), *bare.glob("*.S")]):
        command = [*machine, *strict, f"-I{tmp_path}", f"-I{bare}", "-c", source, "-o", tmp_path / "x.o"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
