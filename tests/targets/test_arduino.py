"""The example that uses a model as a library of an Arduino sketch: its own C++, for a Cortex-M4, run in QEMU."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path

from tests.targets.program import FREESTANDING, SUPPORT, run_tool
from uc_nn_pio.boards import load_board
from uc_nn_pio.converter import convert
from uc_nn_pio.pio.board_files import render_board_files
from uc_nn_pio.resources import resources
from uc_nn_pio.validation.vectors import samples_header

EXAMPLE = resources("examples") / "arduino"
BARE = resources("firmware_template") / "lib" / "bare"
M4 = ("-mcpu=cortex-m4", "-mthumb")


def option(name: str) -> str:
    ini = configparser.ConfigParser()
    ini.read(EXAMPLE / "platformio.ini")
    return ini["env:nucleo_f446re"][name]


def test_the_sketch_runs_its_samples(tmp_path: Path) -> None:
    board = load_board("mps2_an386")
    made = convert(EXAMPLE / option("custom_uc_nn_models"), board)
    files = {**made.files, **render_board_files(board)}
    files["lenet5_samples.h"] = samples_header(made, int(option("custom_uc_nn_samples")))
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    stand_in = SUPPORT / "arduino"
    include = [f"-I{tmp_path}", f"-I{BARE}", f"-I{stand_in}"]
    warnings = ["-Wall", "-Wextra", "-Werror", "-Os", "-ffunction-sections", "-fdata-sections"]
    cpp = ["-std=gnu++17", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"]
    sketch = [EXAMPLE / "src" / "main.cpp", stand_in / "core.cpp"]
    run_tool(tmp_path, "arm-none-eabi-g++", "-c", *M4, *FREESTANDING, *warnings, *cpp, *include, *sketch)
    c = ["lenet5.c", BARE / "bare.c", BARE / "bare_memory.c", BARE / "bare_start_arm.c"]
    run_tool(tmp_path, "arm-none-eabi-gcc", "-c", *M4, *FREESTANDING, *warnings, "-std=c99", *include, *c)
    objects = sorted(path.name for path in tmp_path.glob("*.o"))
    link = ["-nostdlib", "-nostartfiles", "-Wl,--gc-sections", f"-T{tmp_path / 'link.ld'}"]
    run_tool(tmp_path, "arm-none-eabi-gcc", *M4, *link, *objects, "-lgcc", "-o", "sketch.elf")
    command = ["qemu-system-arm", "-M", "mps2-an386", "-semihosting", "-display", "none", "-monitor", "none"]
    done = subprocess.run(
        [*command, "-serial", "stdio", "-kernel", "sketch.elf"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")[:-1]
    assert len(lines) == 10
    for line, digit in zip(lines, "7210414959", strict=True):
        assert re.fullmatch(rf"PREDICTION: {digit}  \d+ us, as the reference says\r?", line)
