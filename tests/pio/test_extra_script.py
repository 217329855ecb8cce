"""The extra script in the real PlatformIO: when the converter runs, and what gets into the build."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tests.pio.conftest import Project, make_project
from uc_nn_pio.pio import extra_script

pytestmark = pytest.mark.pio


def test_the_converter_runs_when_something_changed_and_only_then(project: Project) -> None:
    first = project.run()
    assert project.conversions() == 1
    assert "not converted yet" in first.stdout
    assert b"hello\r\n\0" in project.elf().read_bytes()

    processes = project.processes()
    for name in ("models/tiny.yaml", "models/tiny.bin", "uc_nn.py"):
        os.utime(project.folder / name)
    project.write("src/main.c", (project.folder / "src/main.c").read_text() + "int more;\n")
    project.run(UC_NN_PYTHON="/nowhere/python")  # what is fresh needs no converter at all, and the headers are found
    assert project.processes() == processes

    project.write("models/tiny.bin", "weights changed")
    assert "models/tiny.bin changed" in project.run().stdout
    assert b"weights changed" in project.elf().read_bytes()

    project.generated("tiny/tiny.c").unlink()
    assert "tiny/tiny.c is gone" in project.run().stdout

    project.generated("tiny/tiny.h").write_text("edited")
    assert "tiny/tiny.h was edited" in project.run().stdout

    ini = project.folder / "platformio.ini"
    ini.write_text(ini.read_text().replace("[env]", "[env]\ncustom_uc_nn_core_hz = 16 MHz"))
    assert "options or board changed" in project.run().stdout
    assert "16000000u" in project.generated("uc_nn_board.h").read_text()
    assert project.conversions() == 5

    moved = Project(project.folder.rename(project.folder.with_name("moved")), project.core, project.log)
    moved.environment.update(project.environment)
    moved.run()
    assert project.conversions() == 5


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "request.json"
    }


def test_a_failed_conversion_fails_the_build_and_keeps_the_last_good_output(project: Project) -> None:
    project.run()
    before = contents(project.generated(""))
    project.write("models/tiny.yaml", "name: tiny\nweights: tiny.bin\nbad: 1\n")
    failed = project.pio("run")
    assert failed.returncode != 0
    assert "tiny.yaml:3:1: error: key 'bad' is not known" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert "left as they were" in failed.stderr
    assert contents(project.generated("")) == before
    assert project.pio("run").returncode != 0  # and it does not pass the second time


def test_an_editor_or_a_listing_runs_nothing_of_the_users(project: Project) -> None:
    assert "upload" in project.run("--list-targets").stdout
    for target in ("__idedata", "envdump"):
        assert "pio run makes it" in project.run("-t", target).stderr
    project.run("-t", "clean")
    assert project.processes() == 0
    assert not project.generated("").exists()

    project.run()
    project.run("-t", "clean")
    assert not project.elf().exists()
    assert project.generated("tiny/tiny.c").exists()
    project.run("-t", "__idedata")
    data = json.loads((project.folder / ".pio/build/virtual/idedata.json").read_text())
    assert str(project.generated("tiny")) in data["includes"]["build"]
    assert project.conversions() == 1


def test_compiledb_knows_the_generated_code_and_its_flags(project: Project) -> None:
    project.run("-t", "compiledb")
    entries = json.loads((project.folder / "compile_commands.json").read_text())
    commands = {Path(entry["file"]).name: entry["command"] for entry in entries}
    flags = commands["tiny.c"].split()
    assert "-fno-inline" in flags and "-ffp-contract=off" in flags
    assert flags.index("-O1") > flags.index("-Os"), "the later one counts"
    assert "-march=rv32imac" in flags and "-O1" not in commands["main.c"].split()
    assert "-I.pio/uc_nn/virtual/tiny" in commands["main.c"].split()


def test_several_models(project: Project) -> None:
    ini = project.folder / "platformio.ini"
    text = ini.read_text()
    ini.write_text(text.replace("= models/tiny.yaml", "=\n  models/tiny.yaml\n  other models/tiny.yaml"))
    project.write("other models/tiny.yaml", "name: second\nweights: tiny.bin\n")
    project.write("other models/tiny.bin", "the second one")
    main = (project.folder / "src/main.c").read_text()
    project.write("src/main.c", main.replace("tiny.h", "second.h").replace("tiny_text", "second_text"))
    project.run()
    assert b"the second one" in project.elf().read_bytes()

    project.write("other models/tiny.yaml", "name: tiny\nweights: tiny.bin\n")
    refused = project.pio("run")
    assert refused.returncode != 0
    assert "two models are named 'tiny'" in refused.stderr
    assert str(project.folder / "models/tiny.yaml") in refused.stderr
    assert project.generated("second/second.c").exists(), "the last good output stays"

    ini.write_text(text)
    project.write("src/main.c", main)
    project.run()
    assert not project.generated("second").exists(), "files of a model that is named no more are removed"


def test_every_board_builds_and_the_bars_are_right(project: Project) -> None:
    main = (project.folder / "src/main.c").read_text()
    data = "volatile int cleared[250], initial[25] = {1};\n"
    project.write(
        "src/main.c", main.replace("int main", data + "int main").replace("{ }\n}", "{ cleared[1] = initial[1]; }\n}")
    )
    done = project.run("-e", "virtual", "-e", "hifive1", "-e", "revb")
    for env, size, flash in (
        ("virtual", 12582912, 0x20400000),
        ("hifive1", 12582912, 0x20400000),
        ("revb", 4128768, 0x20010000),
    ):
        with project.elf(env).open("rb") as file:
            image = ELFFile(file)
            sections = [section for section in image.iter_sections() if section["sh_flags"] & 2]
            ram = sum(section["sh_size"] for section in sections if section["sh_addr"] >= 0x80000000)
            assert image["e_entry"] == flash
        assert 32 + 4 * 275 <= ram < 32 + 4 * 275 + 32, "main's 16 bytes of stack with their guard, .bss and .data"
        assert f"used {ram} bytes from 16384 bytes" in done.stdout
        records = project.elf(env).with_suffix(".hex").read_text().splitlines()
        stored = sum(int(record[1:3], 16) for record in records if record[7:9] == "00")
        assert f"used {stored} bytes from {size} bytes" in done.stdout


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        ("custom_uc_nn_model = models/tiny.yaml", "did you mean custom_uc_nn_models?"),
        ("custom_uc_nn_models = models/tiny.yaml\ncustom_uc_nn_core_hz = 500M", "runs at up to 352000000 Hz"),
    ],
)
def test_mistakes_in_platformio_ini(project: Project, replacement: str, expected: str) -> None:
    ini = project.folder / "platformio.ini"
    ini.write_text(ini.read_text().replace("custom_uc_nn_models = models/tiny.yaml", replacement))
    failed = project.pio("run")
    assert failed.returncode != 0
    assert expected in failed.stderr
    assert "Traceback" not in failed.stderr


def test_frequencies() -> None:
    for text in ("320000000", "320000000L", "320M", "320 MHz", "320000 kHz"):
        assert extra_script.frequency(text) == 320_000_000
    assert extra_script.frequency("") is None
    for text in ("fast", "-1", "0", "0.5", "1e400", "M"):
        with pytest.raises(extra_script.BuildError, match="is no frequency"):
            extra_script.frequency(text)


def test_no_interpreter_with_the_converter(project: Project) -> None:
    failed = project.pio("run", UC_NN_PYTHON="/bin/false")
    assert failed.returncode != 0
    assert "$UC_NN_PYTHON = /bin/false has no converter" in failed.stderr
    failed = project.pio("run", UC_NN_PYTHON="/bin/true")
    assert failed.returncode != 0
    assert "the converter made nothing" in failed.stderr


def test_all_that_was_tried_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    conda = project.folder / "conda"
    for python in ("other/bin/python", ".venv/Scripts/python.exe", "conda/python.exe"):
        project.write(python, "")
    monkeypatch.delenv("UC_NN_PYTHON", raising=False)
    monkeypatch.setenv("VIRTUAL_ENV", str(project.folder / "other"))
    monkeypatch.setenv("CONDA_PREFIX", str(conda))
    monkeypatch.setattr(extra_script, "has_converter", lambda command, folder: False)

    class Environment:
        """What the search asks of PlatformIO's build environment."""

        def subst(self, text: str) -> str:
            return {"$PROJECT_DIR": str(project.folder), "$PYTHONEXE": "/pio/python"}[text]

        def PioPlatform(self) -> Environment:  # noqa: N802
            return self

        def get_dir(self) -> str:
            return str(project.core / "platforms" / "uc_nn")

    with pytest.raises(extra_script.BuildError) as raised:
        extra_script.find_python(Environment(), {}, str(project.folder))
    text = str(raised.value)
    expected = ["other/bin/python ($VIRTUAL_ENV)", ".venv/Scripts/python.exe (.venv of the project)", "/pio/python"]
    expected += [
        f"{sys.executable} (the Python that ran uc-nn setup)",
        "conda/python.exe ($CONDA_PREFIX)",
        "custom_uc_nn_python",
    ]
    positions = [text.index(item) for item in expected]
    assert positions == sorted(positions)


def test_long_paths(tmp_path: Path, core: Path) -> None:
    folder = tmp_path
    for _ in range(5):
        folder /= "ein recht langer Name für einen Ordner, " * 3 + "und mehr"
    project = make_project(folder, core, tmp_path)
    project.run()
    assert project.elf().exists()


def test_pio_check_and_pio_test_build(project: Project) -> None:
    project.run()
    checked = project.pio("check", "--skip-packages")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "PASSED" in checked.stdout
    ini = project.folder / "platformio.ini"
    ini.write_text(ini.read_text().replace("[env]", "[env]\ntest_framework = custom\ntest_build_src = no"))
    project.write(
        "test/test_custom_runner.py",
        "from platformio.public import TestRunnerBase\n"
        "class CustomTestRunner(TestRunnerBase):\n    EXTRA_LIB_DEPS = None\n",
    )
    shutil.move(project.folder / "src", project.folder / "test" / "test_hello")
    (project.folder / "src").mkdir()
    tested = project.pio("test", "--without-uploading", "--without-testing", "-v")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert project.conversions() == 1


def test_a_fresh_build_costs_less_than_50_ms(project: Project) -> None:
    project.run()
    output = str(project.generated("").parent / "virtual")
    manifest = json.loads((project.generated("manifest.json")).read_text())
    times = []
    for _ in range(5):
        start = time.perf_counter()
        found = extra_script.read_manifest(output)
        assert extra_script.stale_because(found, manifest["wanted"], str(project.folder), output) is None
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05, times


def test_a_new_converter_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "emit").mkdir()
    (tmp_path / "emit" / "kernel.c.j2").write_text("a")
    first = extra_script.converter_digest([str(tmp_path)])
    assert extra_script.converter_digest([str(tmp_path)]) == first
    (tmp_path / "emit" / "kernel.c.j2").write_text("b")
    second = extra_script.converter_digest([str(tmp_path)])
    (tmp_path / "emit" / "more.py").write_text("")
    assert len({first, second, extra_script.converter_digest([str(tmp_path)])}) == 3


@pytest.mark.parametrize("parts", [("bin", "python"), ("Scripts", "python.exe"), ("python.exe",)])
def test_interpreters_of_every_system_are_found(tmp_path: Path, parts: tuple[str, ...]) -> None:
    assert extra_script.python_in(str(tmp_path)) is None
    python = tmp_path.joinpath(*parts)
    python.parent.mkdir(exist_ok=True)
    python.touch()
    assert extra_script.python_in(str(tmp_path)) == str(python)


def test_the_flash_option_reaches_the_header(project: Project) -> None:
    ini = project.folder / "platformio.ini"
    text = ini.read_text()
    project.run()
    header = project.generated("uc_nn_board.h")
    assert "UC_NN_FLASH" not in header.read_text(), "reset settings are the default"
    ini.write_text(text.replace("[env]", "[env]\ncustom_uc_nn_flash = dual_io"))
    assert "options or board changed" in project.run().stdout
    assert "#define UC_NN_FLASH_FFMT 0x00BB1447u" in header.read_text()
    ini.write_text(text.replace("[env]", "[env]\ncustom_uc_nn_flash = quad"))
    refused = project.pio("run")
    assert refused.returncode != 0
    assert "'quad' is no way to read the flash" in refused.stderr and "custom_uc_nn_flash" in refused.stderr
    assert "Traceback" not in refused.stderr
