"""Real networks, the real converter, the demo firmware: on the virtual board, and with SiFive's own platform."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from elftools.elf.elffile import ELFFile

from tests.pio.conftest import ROOT, Project, make_project
from uc_nn_pio.pio.core_folder import install
from uc_nn_pio.pio.platform.builder import uc_nn_upload
from uc_nn_pio.pio.project import render_project

pytestmark = pytest.mark.pio

SPEC = """\
spec: 1
name: spot
model: {python: spot.py:spot, weights: spot.pt}
input:
  shape: [1, 16, 16]
  source: arducam_ov2640
  preprocess: {invert: true, threshold: 100, scale: 1/255}
output: {labels: ["left", "middle", "right"]}
"""

NETWORK = """\
from torch import nn


def spot():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(98, 3))
"""


@pytest.fixture(scope="module")
def camera_project(tmp_path_factory: pytest.TempPathFactory, core: Path) -> Project:
    """The demo firmware with a small network, as `uc-nn new` renders it, converted by the real converter."""
    scratch = tmp_path_factory.mktemp("camera")
    spec = scratch / "models" / "spot.yaml"
    spec.parent.mkdir()
    spec.write_text(SPEC)
    (spec.parent / "spot.py").write_text(NETWORK)
    names: dict[str, Callable[[], torch.nn.Module]] = {}
    exec(NETWORK, names)
    torch.manual_seed(3)
    torch.save(names["spot"]().state_dict(), spec.parent / "spot.pt")
    folder = scratch / "ein Projekt für µC"
    render_project(folder, name="spot", board="hifive1_virtual", spec=spec)
    project = make_project(scratch / "unused", core, scratch)
    project.folder = folder
    project.environment["UC_NN_PYTHON"] = sys.executable
    return project


def stand_in_for_sifive(core: Path, scratch: Path) -> None:
    """A platform named `sifive` with the flags of platform-sifive's bare builder (5.2.0), and what they need.

    The flags are facts of its builder/frameworks/_bare.py. Its toolchain has newlib, Debian's has none: an empty
    libc, GCC's own stdint.h and an empty nano.specs stand in.
    """
    files = {
        "platform.json": '{"name": "sifive", "title": "SiFive", "description": "", "version": "5.2.0", "packages": '
        '{"toolchain-uc-nn-system": {"type": "toolchain", "version": "*"}}}',
        "platform.py": "from platformio.public import PlatformBase\n\n\nclass SifivePlatform(PlatformBase):\n"
        "    def is_embedded(self):\n        return True\n",
        "boards/hifive1.json": '{"name": "HiFive1", "url": "-", "vendor": "SiFive", "build": {"f_cpu": "320000000L", '
        '"ldscript": "metal.default.lds", "mabi": "ilp32", "march": "rv32imac", "mcmodel": "medlow", "mcu": "fe310"}, '
        '"upload": {"maximum_ram_size": 16384, "maximum_size": 16777216}}',
        "builder/main.py": """
from SCons.Script import AlwaysBuild, Default, DefaultEnvironment

env = DefaultEnvironment()
board = env.BoardConfig()
machine = ["-march=" + board.get("build.march"), "-mabi=" + board.get("build.mabi")]
machine.append("-mcmodel=" + board.get("build.mcmodel"))
prefix = "riscv64-unknown-elf-"
env.Replace(AR=prefix + "gcc-ar", AS=prefix + "as", CC=prefix + "gcc", CXX=prefix + "g++", ARFLAGS=["rc"])
env.Replace(RANLIB=prefix + "gcc-ranlib", SIZETOOL=prefix + "size", PROGSUFFIX=".elf", PROGNAME="firmware")
env.Append(CCFLAGS=["-Os", "-Wall", *machine], LIBS=["c"],
           LINKFLAGS=["-Os", "-nostartfiles", *machine, "--specs=nano.specs", "-Wl,--gc-sections"])
env.Append(ASFLAGS=env.get("CCFLAGS", [])[:])
Default(env.Alias("buildprog", env.BuildProgram()))
""",
    }
    install(core, "platforms/sifive", {name: text.encode() for name, text in files.items()})
    (scratch / "newlib").mkdir()
    (scratch / "newlib" / "stdint.h").write_text("#include <stdint-gcc.h>\n")
    subprocess.run(["riscv64-unknown-elf-ar", "rc", str(scratch / "newlib" / "libc.a")], check=True)


def test_the_demo_firmware_builds_as_a_bare_project_of_sifives_platform(
    camera_project: Project, tmp_path: Path
) -> None:
    core = tmp_path / "core"
    shutil.copytree(camera_project.core, core, symlinks=True)
    stand_in_for_sifive(core, tmp_path)
    ini = camera_project.folder / "platformio.ini"
    text = ini.read_text()
    (camera_project.folder / "nano.specs").write_text("\n")
    try:
        ini.write_text(text + "\n[env:bare]\nplatform = sifive\nboard = hifive1\n")
        library = str(tmp_path / "newlib")
        done = camera_project.run(
            *("-e", "bare", "-v"),
            PLATFORMIO_CORE_DIR=str(core),
            C_INCLUDE_PATH=library,
            LIBRARY_PATH=library,
            PLATFORMIO_BUILD_FLAGS=f"-L{library.replace(' ', chr(92) + ' ')}",
        )
    finally:
        ini.write_text(text)
        (camera_project.folder / "nano.specs").unlink()
    link = next(line for line in done.stdout.splitlines() if "firmware.elf" in line and "--specs=nano.specs" in line)
    assert "metal.default.lds" not in link and "link.ld" in link
    assert "-misa-spec" not in done.stdout and "-mcmodel=medlow" in link
    with camera_project.elf("bare").open("rb") as file:
        image = ELFFile(file)
        assert image["e_entry"] == 0x20400000
        names = {symbol.name for symbol in image.get_section_by_name(".symtab").iter_symbols()}
        assert {"spot_run", "main", "_start"} <= names


def test_a_build_says_what_the_model_costs(camera_project: Project) -> None:
    spec = camera_project.folder / "models" / "spot.yaml"
    spec.write_text(spec.read_text() + "# converted anew\n")
    told = camera_project.run().stdout
    costs = r"[\d,]+ B of RAM; [\d,]+ B of weights; \S+ inferences/s at 320 MHz, predicted"
    assert re.search(rf"uc_nn: spot: float32, pingpong; {costs}", told), told


def test_a_mistake_in_a_real_spec_reaches_the_user(camera_project: Project) -> None:
    spec = camera_project.folder / "models" / "spot.yaml"
    text = spec.read_text()
    camera_project.run()
    before = camera_project.generated("spot/spot.c").read_bytes()
    try:
        spec.write_text(text.replace("weights:", "wieghts:"))
        failed = camera_project.pio("run")
    finally:
        spec.write_text(text)
    assert failed.returncode != 0
    assert "spot.yaml:3:" in failed.stderr and "weights" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert camera_project.generated("spot/spot.c").read_bytes() == before


def test_pio_test_runs_on_the_virtual_board(project: Project) -> None:
    ini = project.folder / "platformio.ini"
    ini.write_text(ini.read_text().replace("[env]", "[env]\ntest_framework = custom"))
    (project.folder / "test" / "test_hello").mkdir(parents=True)
    shutil.copy(ROOT / "uc_nn_pio/pio/test_custom_runner.py", project.folder / "test")
    for path in (project.folder / "src").iterdir():
        shutil.move(path, project.folder / "test" / "test_hello")
    main = project.folder / "test" / "test_hello" / "main.c"
    text = main.read_text()
    try:
        lines = "adding\\r\\nPASS adds\\r\\nPASS subtracts\\r\\nFAIL divides: by 0\\r\\nDONE\\r\\n"
        main.write_text(text.replace("tiny_text()", f'"{lines}"'))
        done = project.pio("test")
        assert done.returncode != 0
        assert "by 0" in done.stdout
        assert "3 test cases: 1 failed, 2 succeeded" in done.stderr
    finally:
        uc_nn_upload.stop_virtual(str(project.generated("virtual")))


def test_every_other_example_builds_with_bare_pio_run(core: Path, tmp_path: Path) -> None:
    """The camera example is in test_demo.py; the one that needs the registry, in tests/targets/test_arduino.py."""
    projects = (ROOT / "examples").glob("*/platformio.ini")
    examples = {path.parent for path in projects if "platform = uc_nn" in path.read_text(encoding="utf-8")}
    assert ROOT / "examples" / "lenet5_camera" in examples and ROOT / "examples" / "cifar10_table1" in examples
    shutil.copytree(ROOT / "firmware_template" / "lib", tmp_path / "firmware_template" / "lib")
    for example in sorted(examples - {ROOT / "examples" / "lenet5_camera"}):
        folder = tmp_path / "examples" / example.name
        shutil.copytree(example, folder, ignore=shutil.ignore_patterns(".pio"))
        project = make_project(tmp_path / "unused", core, tmp_path)
        project.folder = folder
        project.environment["UC_NN_PYTHON"] = sys.executable
        assert "virtual        SUCCESS" in project.run().stdout
