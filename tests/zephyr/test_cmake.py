"""The model in CMake builds: plain CMake with the host's compiler, and Zephyr's way with a stand-in for its package.

The stand-in has what the example uses of Zephyr: ``find_package(Zephyr)`` that enables C, reads ``prj.conf``, takes in
the module's ``CMakeLists.txt`` and has targets ``app`` and ``zephyr_interface``. Zephyr itself is not tried.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "examples" / "lenet5_camera" / "models"

MAIN = """\
#include <stdio.h>
#include "lenet5.h"

static lenet5_context network;

int main(void)
{
    lenet5_run(&network);
    printf("%d %u\\n", (int)lenet5_argmax(&network), (unsigned)sizeof network);
    return 0;
}
"""
LISTS = """\
cmake_minimum_required(VERSION 3.20)
project(digits C)
execute_process(COMMAND "{python}" -m uc_nn_pio cmake-dir OUTPUT_VARIABLE dir OUTPUT_STRIP_TRAILING_WHITESPACE)
include("${{dir}}/uc_nn.cmake")
uc_nn_add_model(net SPEC models/lenet5.yaml BOARD hifive1 PYTHON "{python}")
add_executable(digits main.c)
target_link_libraries(digits PRIVATE net)
"""
STAND_IN = """\
project(Zephyr-Stand-In C)
file(STRINGS "${CMAKE_CURRENT_SOURCE_DIR}/prj.conf" lines REGEX "^CONFIG_[A-Z_]+=y")
foreach(line ${lines})
  string(REGEX REPLACE "=y$" "" name "${line}")
  set(${name} y)
endforeach()
add_library(zephyr_interface INTERFACE)
target_compile_definitions(zephyr_interface INTERFACE IN_ZEPHYR=1)
add_executable(app "")
foreach(module ${EXTRA_ZEPHYR_MODULES})
  add_subdirectory("${module}/zephyr" "${CMAKE_BINARY_DIR}/modules/uc_nn_pio")
endforeach()
"""


def cmake(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "UC_NN_PYTHON": sys.executable}
    command = ["cmake", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def built(folder: Path, *more: object) -> None:
    done = cmake(folder, "-S", ".", "-B", "build", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    done = cmake(folder, "--build", "build")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "ein Projekt"
    shutil.copytree(MODELS, folder / "models", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "main.c").write_text(MAIN)
    (folder / "CMakeLists.txt").write_text(LISTS.format(python=sys.executable))
    return folder


def test_a_library_target(project: Path) -> None:
    built(project)
    done = subprocess.run([project / "build" / "digits"], capture_output=True, text=True, check=True)
    digit, size = map(int, done.stdout.split())
    assert 0 <= digit < 10 and size == 1724  # as `uc-nn report` says for the board
    made = project / "build" / "uc_nn" / "net" / "lenet5.c"
    before = made.stat().st_mtime_ns
    built(project)
    assert made.stat().st_mtime_ns == before  # nothing changed, nothing is made


@pytest.mark.parametrize("name", ["lenet5.yaml", "lenet5.py", "lenet5.pt"])
def test_what_it_is_made_of(project: Path, name: str) -> None:
    built(project)
    made = project / "build" / "uc_nn" / "net" / "lenet5.d"
    before = made.stat().st_mtime_ns
    time.sleep(1.1)  # make compares whole seconds on some file systems
    (project / "models" / name).touch()
    done = cmake(project, "--build", "build")
    assert done.returncode == 0 and "uc_nn: converting" in done.stdout
    assert made.stat().st_mtime_ns >= before


def test_mistakes(project: Path) -> None:
    lists = project / "CMakeLists.txt"
    text = lists.read_text()
    lists.write_text(text.replace("models/lenet5.yaml", "models/none.yaml"))
    assert "there is no model spec" in cmake(project, "-S", ".", "-B", "build").stderr
    lists.write_text(text.replace("SPEC models", "SPECS models"))
    assert "uc_nn_add_model(TARGET SPEC" in cmake(project, "-S", ".", "-B", "build").stderr
    lists.write_text(text)
    spec = project / "models" / "lenet5.yaml"
    spec.write_text(spec.read_text().replace("precision: int8", "precision: int4"))
    assert cmake(project, "-S", ".", "-B", "build").returncode == 0
    done = cmake(project, "--build", "build")
    assert done.returncode != 0 and "int4" in done.stdout + done.stderr


def test_the_zephyr_example(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "zephyr_digits", tmp_path / "zephyr_digits")
    shutil.copytree(MODELS, tmp_path / "lenet5_camera" / "models", ignore=shutil.ignore_patterns("__pycache__"))
    package = tmp_path / "zephyr" / "share" / "zephyr-package" / "cmake"
    package.mkdir(parents=True)
    (package / "ZephyrConfig.cmake").write_text(STAND_IN)
    app = tmp_path / "zephyr_digits"
    main = app / "src" / "main.c"
    main.write_text(main.read_text() + "\n#ifndef IN_ZEPHYR\n#error the library hands Zephyr's flags on\n#endif\n")
    built(app, f"-DZephyr_DIR={package}", f"-DEXTRA_ZEPHYR_MODULES={ROOT}")
    done = subprocess.run([app / "build" / "app"], capture_output=True, text=True, check=True)
    sample = yaml.safe_load((app / "sample.yaml").read_text())
    (pattern,) = sample["common"]["harness_config"]["regex"]
    assert re.fullmatch(pattern, done.stdout.strip())
    (app / "prj.conf").write_text("# CONFIG_UC_NN is not set\n")
    shutil.rmtree(app / "build")
    off = cmake(app, "-S", ".", "-B", "build", f"-DZephyr_DIR={package}", f"-DEXTRA_ZEPHYR_MODULES={ROOT}")
    assert off.returncode != 0 and "uc_nn_add_model" in off.stderr


def test_the_module_s_files() -> None:
    module = yaml.safe_load((ROOT / "zephyr" / "module.yml").read_text())
    assert (ROOT / module["build"]["cmake"] / "CMakeLists.txt").is_file()
    assert "config UC_NN\n" in (ROOT / module["build"]["kconfig"]).read_text()


def test_the_west_command(tmp_path: Path) -> None:
    """In a real west workspace, whose manifest names the command as the example's README says."""
    manifest = tmp_path / "workspace" / "uc_nn_pio"
    shutil.copytree(ROOT / "zephyr", manifest / "zephyr")
    (manifest / "west.yml").write_text("manifest:\n  self:\n    west-commands: zephyr/west-commands.yml\n")

    def west(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "west", *arguments]
        return subprocess.run(command, cwd=manifest, capture_output=True, text=True, timeout=120, check=False)

    assert west("init", "-l", ".").returncode == 0
    listed = west("uc-nn", "ops")
    assert listed.returncode == 0, listed.stderr
    assert "conv2d" in listed.stdout
    assert "costs and checks of neural networks" in west("help", "uc-nn").stdout or "uc-nn" in west("--help").stdout
    assert west("uc-nn", "report", "none.yaml").returncode != 0
