"""dev.py on machines that lack this and that. Programs are stand-ins that write down how they were called."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.modules import load_module

ROOT = Path(__file__).parents[2]


class Machine:
    """A checkout and a PATH of their own; ``calls`` is every program that was run, with its arguments."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.record = folder / "calls.txt"
        self.bin.mkdir()
        self.checkout = folder / "check out"
        self.checkout.mkdir()
        for name in ("dev.py", "pyproject.toml"):
            shutil.copy(ROOT / name, self.checkout)
        for name in ("env", "sh", "touch", "chmod"):
            (self.bin / name).symlink_to(shutil.which(name))
        monkeypatch.setenv("PATH", str(self.bin))
        self.dev = load_module(self.checkout / "dev.py")
        monkeypatch.setattr(self.dev.os, "geteuid", lambda: 0)
        monkeypatch.setattr(self.dev.sys, "stdin", open(os.devnull))  # noqa: SIM115  no terminal to ask at
        self.monkeypatch = monkeypatch

    def program(self, name: str, body: str = "", where: Path | None = None) -> Path:
        path = (where or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!{self.bin / "sh"}\necho "{name} $*" >> "{self.record}"\n{body}\n')
        path.chmod(0o755)
        return path

    def programs(self, *names: str) -> None:
        for name in names:
            self.program(name)

    def apt(self) -> None:
        """An apt-get that installs a stand-in for the compiler."""
        compiler = self.bin / "riscv64-unknown-elf-gcc"
        self.program("apt-get", f'case "$*" in *install*) touch "{compiler}"; chmod +x "{compiler}";; esac')

    def venv(self) -> None:
        """A virtual environment that is there already."""
        self.program("python", where=self.checkout / ".venv" / "bin")

    def calls(self) -> list[str]:
        lines = self.record.read_text().splitlines() if self.record.exists() else []
        self.record.unlink(missing_ok=True)
        return [line for line in lines if line != "python -c import pip"]

    def run(self, *arguments: str) -> int:
        return self.dev.main(list(arguments))


ALL_PROGRAMS = (
    *("riscv64-unknown-elf-gcc", "gcc", "g++", "clang"),
    *(
        "qemu-system-riscv32",
        "arm-none-eabi-gcc",
        "qemu-system-arm",
        "cmake",
        "chromium",
        "openocd",
        "cppcheck",
        "gdb-multiarch",
    ),
)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_only_what_is_missing_is_installed_and_only_once(machine: Machine) -> None:
    machine.apt()
    machine.venv()
    assert machine.run("demo") == 0
    checkout = machine.checkout
    assert machine.calls() == [
        "apt-get -qq update",
        "apt-get -qq install --yes --no-install-recommends gcc-riscv64-unknown-elf",
        "python -m pip --disable-pip-version-check install --quiet torch==2.13.0",
        f"python -m pip --disable-pip-version-check install --quiet --editable {checkout}[virtual,dev]",
        f"python -m uc_nn_pio setup --offline --core-dir {checkout / '.pio-core'}",
        "python -m uc_nn_pio demo",
    ]


def test_a_second_run_asks_no_network(machine: Machine) -> None:
    machine.programs(*ALL_PROGRAMS, "apt-get")
    machine.venv()
    assert machine.run("setup") == 0
    assert any("pip --disable" in call for call in machine.calls())
    assert machine.run("demo", "--timeout", "9") == 0
    later = machine.calls()
    assert not [call for call in later if "apt-get" in call or "pip --disable" in call]
    assert later[-1] == "python -m uc_nn_pio demo --timeout 9"

    with (machine.checkout / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    machine.run("setup")
    assert any("torch==2.13.0" in call for call in machine.calls())


def test_all_tools_of_the_tests_by_sudo(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.dev.os, "geteuid", lambda: 1000)
    links = "".join(f'touch "{machine.bin}/{name}"; chmod +x "{machine.bin}/{name}";' for name in ALL_PROGRAMS)
    machine.program("apt-get", f'case "$*" in *install*) {links} esac')
    machine.program("sudo", 'if [ "$1" = -n ]; then exit 0; fi\nexec "$@"')
    machine.venv()
    assert machine.run("test") == 0
    calls = machine.calls()
    install = next(call for call in calls if call.startswith("apt-get") and " install " in call)
    wanted = "gcc-riscv64-unknown-elf gcc libc6-dev g++ clang qemu-system-misc gcc-arm-none-eabi qemu-system-arm"
    wanted += " cmake chromium openocd cppcheck gdb-multiarch"
    assert install.endswith(f"--no-install-recommends {wanted}")
    assert "sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq update" in calls


@pytest.mark.parametrize("apt", [True, False])
def test_elsewhere_the_list_of_what_is_missing(
    machine: Machine, apt: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No root and no sudo, or root without apt-get; and a Python whose ensurepip was left out."""
    if apt:
        machine.apt()
        monkeypatch.setattr(machine.dev.os, "geteuid", lambda: 1000)
    real = importlib.util.find_spec
    without: Callable[[str], object] = lambda name: None if name == "ensurepip" else real(name)  # noqa: E731
    monkeypatch.setattr(machine.dev.importlib.util, "find_spec", without)
    machine.programs("gcc", "clang")
    assert machine.run("setup") == 2
    assert machine.calls() == []
    assert not (machine.checkout / ".venv").exists()
    text = capsys.readouterr().err
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for package in (
        f"python{version}-venv",
        "gcc-riscv64-unknown-elf",
        "g++",
        "qemu-system-misc",
        "gcc-arm-none-eabi",
        "qemu-system-arm",
        "cmake",
        "chromium",
        "openocd",
        "cppcheck",
        "gdb-multiarch",
    ):
        assert f"apt install {package}\n" in text
    assert "brew install riscv64-elf-gcc" in text
    assert "apt install gcc libc6-dev" not in text and "apt install clang" not in text, "these are there"


def test_ensurepip_comes_from_debians_package(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.dev.importlib.util, "find_spec", lambda name: None)
    machine.programs(*ALL_PROGRAMS)
    machine.apt()
    created = []

    def make_venv(fresh: bool) -> None:
        created.append(fresh)
        machine.venv()

    monkeypatch.setattr(machine.dev, "install_python_packages", make_venv)
    assert machine.run("setup") == 0
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert f"apt-get -qq install --yes --no-install-recommends python{version}-venv" in machine.calls()
    assert created == [True]


def test_a_failed_step_is_told_and_done_again(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.programs(*ALL_PROGRAMS)
    machine.program("python", 'case "$*" in *torch*) exit 7;; esac', where=machine.checkout / ".venv" / "bin")
    assert machine.run("demo") == 1
    assert "failed with code 7" in capsys.readouterr().err
    machine.venv()
    machine.calls()
    assert machine.run("demo") == 0
    assert any("torch==2.13.0" in call for call in machine.calls())


def test_verbs_and_what_they_run(machine: Machine) -> None:
    machine.programs(*ALL_PROGRAMS)
    environment = machine.folder / "environment.txt"
    body = f'echo "$PLATFORMIO_CORE_DIR|$PLATFORMIO_SETTING_ENABLE_TELEMETRY" > "{environment}"'
    machine.program("python", body, where=machine.checkout / ".venv" / "bin")
    for arguments, expected in (
        (["test"], "python -m pytest -m not slow"),
        (["test", "tests/pio", "-k", "x"], "python -m pytest -m not slow tests/pio -k x"),
        (["test", "--all", "-x"], "python -m pytest -x"),
        (["bench", "--quick"], "python -m uc_nn_pio.bench --quick"),
    ):
        assert machine.run(*arguments) == 0
        assert machine.calls()[-1] == expected
    assert environment.read_text() == f"{machine.checkout / '.pio-core'}|no\n"
    machine.program("python", 'case "$*" in "-m pytest "*) exit 5;; esac', where=machine.checkout / ".venv" / "bin")
    assert machine.run("test") == 5


def test_pip_variables_reach_pip(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "file:///somewhere")
    machine.programs(*ALL_PROGRAMS)
    seen = machine.folder / "seen.txt"
    machine.program("python", f'echo "$PIP_INDEX_URL" > "{seen}"', where=machine.checkout / ".venv" / "bin")
    assert machine.run("setup") == 0
    assert seen.read_text() == "file:///somewhere\n"


def test_the_callers_are_one_line() -> None:
    targets, recipe = (ROOT / "Makefile").read_text().split("\n\n")[-1].splitlines()
    assert targets == "setup demo test bench:" and recipe == "\tpython3 dev.py $@"
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1].endswith('exec python3 dev.py test "$@"')
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_it_needs_the_standard_library_alone_and_names_no_host() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(ROOT / "dev.py"), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "demo" in done.stdout
    assert "://" not in (ROOT / "dev.py").read_text()
