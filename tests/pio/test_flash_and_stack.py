"""LeNet-5 in the demo firmware as PlatformIO builds it: flash settings, tables in RAM, stack and RAM as a whole."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tests.pio.conftest import Project, make_project
from uc_nn_pio.bench.record import recorded
from uc_nn_pio.pio.project import render_project
from uc_nn_pio.pio.stack_need import stack_need
from uc_nn_pio.virtual.board import VirtualBoard

pytestmark = [pytest.mark.pio, pytest.mark.slow]

ENVS = {
    "plain": ("pingpong", ""),
    "dual": ("pingpong", "custom_uc_nn_flash = dual_io"),
    "tables": ("tables", ""),
    "least": ("least", ""),
}
MEMORY = {
    "pingpong": "{schedule: pingpong}",
    "tables": "{schedule: pingpong, ram_weights: auto}",
    "least": "{schedule: streamed, ram_budget: least}",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, core: Path) -> Project:
    scratch = tmp_path_factory.mktemp("lenet5")
    folder = scratch / "project"
    render_project(folder, name="lenet5", board="hifive1_virtual", example="lenet5_camera")
    project = make_project(scratch / "unused", core, scratch)
    project.folder = folder
    project.environment["UC_NN_PYTHON"] = sys.executable
    spec = (folder / "models/lenet5.yaml").read_text()
    for name, memory in MEMORY.items():
        text, count = re.subn(r"^memory:.*\n(  .*\n)*", f"memory: {memory}\n", spec, flags=re.M)
        assert count == 1
        project.write(f"models/{name}.yaml", text)
    ini = (folder / "platformio.ini").read_text()
    for env, (model, option) in ENVS.items():
        ini += f"\n[env:{env}]\nboard = hifive1_virtual\ncustom_uc_nn_models = models/{model}.yaml\n{option}\n"
        ini += "build_flags = -D OV2640_SETTLE_FRAMES=1u\n"
    project.write("platformio.ini", ini)
    project.run(*(part for env in ENVS for part in ("-e", env)))
    return project


@pytest.fixture(scope="module")
def runs(built: Project) -> dict[str, VirtualBoard]:
    """Each firmware, after three predictions."""
    boards = {}
    for env in ENVS:
        board = VirtualBoard(built.elf(env), scene=built.folder / "models/data/digits.npz")
        board.run(max_frames=3, max_seconds=4)
        assert board.text.count("PREDICTION") == 3 and "error" not in board.text
        boards[env] = board
    return boards


def milliseconds(board: VirtualBoard) -> float:
    """Of an inference, as the firmware prints it; the first fills the I-cache."""
    return float(re.findall(r"PREDICTION: \S+  (\d+\.\d) ms", board.text)[-1])


def sections(built: Project, env: str) -> dict[str, int]:
    with built.elf(env).open("rb") as file:
        return {section.name: section["sh_size"] for section in ELFFile(file).iter_sections()}


def test_dual_io_gains_what_the_bench_says(runs):
    rows = recorded()["rows"].values()
    row = next(r for r in rows if (r["network"], r["precision"], r["schedule"]) == ("lenet5", "int8", "pingpong"))
    for env, cycles in (("plain", row["cycles"]), ("dual", row["dual_io"]["cycles"])):
        assert milliseconds(runs[env]) == pytest.approx(cycles / 320e3, rel=0.04), env
    assert "flash: dual I/O" in runs["dual"].text


def test_tables_in_ram_are_copied_and_used(built, runs):
    assert sections(built, "plain").get(".uc_nn_ram", 0) == 0
    assert sections(built, "tables")[".uc_nn_ram"] > 2000
    assert milliseconds(runs["tables"]) < milliseconds(runs["plain"]) - 0.4
    scores = [re.sub(r"  \d+\.\d ms", "", runs[env].text[runs[env].text.index("PREDICTION") :]) for env in ENVS]
    assert len(set(scores)) == 1, "the same integers, wherever the tables lie and however the flash is read"


@pytest.mark.parametrize("env", ENVS)
def test_the_stack_is_what_was_computed(built, runs, env):
    need, _ = stack_need(built.elf(env), built.folder / ".pio/build" / env)
    seen = runs[env].memory_use().stack
    assert 0.75 * need <= seen <= need
    assert sections(built, env)[".stack"] == -(-need // 16) * 16 + 16


def test_the_whole_firmware_is_small(built):
    for env, most in (("plain", 5 * 1024), ("least", 2560)):
        found = sections(built, env)
        assert sum(found.get(name, 0) for name in (".data", ".bss", ".stack", ".uc_nn_ram")) <= most


def test_a_stack_of_the_users_is_checked(built):
    ini = built.folder / "platformio.ini"
    text = ini.read_text()
    try:
        ini.write_text(text.replace("[env:plain]", "[env:plain]\ncustom_uc_nn_stack = 128"))
        refused = built.pio("run", "-e", "plain")
        assert refused.returncode != 0 and not built.elf("plain").exists()
        assert "the stack is too small: custom_uc_nn_stack = 128" in refused.stderr
        assert re.search(r"next: custom_uc_nn_stack = \d+, or auto", refused.stderr)
        ini.write_text(text.replace("[env:plain]", "[env:plain]\ncustom_uc_nn_stack = 1024"))
        assert "stack of 1024 bytes" in built.run("-e", "plain").stdout
        assert sections(built, "plain")[".stack"] == 1024
        ini.write_text(text.replace("[env:plain]", "[env:plain]\ncustom_uc_nn_stack = 1000"))
        assert "is no size of a stack" in built.pio("run", "-e", "plain").stderr
    finally:
        ini.write_text(text)
    main = built.folder / "src" / "main.c"
    whole = main.read_text()
    try:
        deep = "int deep(int n);\nint deep(int n) { volatile int a[9]; a[0] = n; return n ? deep(n - 1) + a[0] : 1; }\n"
        main.write_text(whole.replace("int main(void)\n{", deep + "int main(void)\n{\n    deep(fe310_core_hz() != 0);"))
        refused = built.pio("run", "-e", "plain")
        assert refused.returncode != 0
        assert "recursion: deep > deep" in refused.stderr and "custom_uc_nn_stack = 2048" in refused.stderr
    finally:
        main.write_text(whole)
    assert "needed" in built.run("-e", "plain").stdout
