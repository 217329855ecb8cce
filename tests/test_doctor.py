"""`uc-nn doctor`: what is there is said, what is not has a cure, and only what a build cannot do without fails."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from serial.tools import list_ports

from uc_nn_pio import cli, doctor
from uc_nn_pio.doctor import FAILS, OK, WARNS, Finding, examine
from uc_nn_pio.pio import packages, setup
from uc_nn_pio.pio.project import render_project


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("core") / "private core"
    setup.set_up(folder, offline=True)
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "registry_reachable", lambda: False)


def found(core: Path, project: Path) -> dict[str, Finding]:
    findings = {finding.name: finding for finding in examine(core, project)}
    assert all(finding.cure for finding in findings.values() if finding.state != OK)
    return findings


def test_a_machine_that_has_all(core: Path, tmp_path: Path) -> None:
    seen = found(core, tmp_path)
    assert not [finding for finding in seen.values() if finding.state == FAILS]
    for name in (
        "Python",
        "torch",
        "PlatformIO",
        "platform uc_nn",
        "RISC-V compiler",
        "PlatformIO's registry",
        "board data",
    ):
        assert seen[name].state == OK, seen[name]


def test_nothing_is_set_up(tmp_path: Path) -> None:
    seen = found(tmp_path / "none", tmp_path)
    assert seen["platform uc_nn"].state == FAILS and "uc-nn setup --core-dir" in seen["platform uc_nn"].cure


def test_a_platform_of_another_version_and_one_that_was_edited(core: Path, tmp_path: Path) -> None:
    copy = tmp_path / "core"
    shutil.copytree(core, copy, symlinks=True)
    note = copy / "platforms" / "uc_nn" / "uc_nn_setup.json"
    text = json.loads(note.read_text())
    gone = next(name for name in text["files"] if name.startswith("boards/"))
    del text["files"][gone]
    note.write_text(json.dumps(text))
    assert "another version" in found(copy, tmp_path)["platform uc_nn"].says
    text["python"] = "/gone/python"
    note.write_text(json.dumps(text))
    assert found(copy, tmp_path)["its Python"].state == WARNS
    (copy / "platforms" / "uc_nn" / "platform.py").write_text("edited")
    assert "were changed" in found(copy, tmp_path)["platform uc_nn"].says


def test_platformio_was_upgraded_since_set_up(core: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It wants another SCons; doctor says so, and its cure brings it."""
    copy = tmp_path / "core"
    shutil.copytree(core, copy, symlinks=True)
    assert found(copy, tmp_path)["SCons"].state == OK
    package = copy / "packages" / "tool-scons" / "package.json"
    text = package.read_text()
    now = json.loads(text)["version"]
    package.write_text(text.replace(now, "4.40801.0+pip.4.8.1"))
    seen = found(copy, tmp_path)["SCons"]
    assert seen.state == WARNS and "4.8.1" in seen.says and f"asks for {now}" in seen.says
    assert cli.main(seen.cure.split()[1:]) == 0
    assert found(copy, tmp_path)["SCons"].state == OK and json.loads(package.read_text())["version"] == now
    package.write_text("{")
    assert "is damaged" in found(copy, tmp_path)["SCons"].says
    monkeypatch.setattr(packages, "_requirement", lambda name: "~9")
    package.write_text(text)
    assert "names no SCons version" in found(copy, tmp_path)["SCons"].says


def test_a_machine_that_has_little(core: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor, "_distribution", lambda name: None)
    seen = found(core, tmp_path)
    assert {name for name, finding in seen.items() if finding.state == FAILS} == {"torch", "PlatformIO"}
    for name in ("RISC-V compiler", "Arm compiler", "C compiler", "openocd", "qemu-system-arm", "qemu-system-riscv32"):
        assert seen[name].state == WARNS, name


@pytest.mark.parametrize("allowed", [True, False])
def test_a_board_is_plugged_in(core: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: bool) -> None:
    class Port(SimpleNamespace):
        def __lt__(self, other: Port) -> bool:
            return self.device < other.device

    ports = [Port(device=f"/dev/ttyUSB{n}", vid=0x0403, pid=0x6010) for n in (1, 0)]
    monkeypatch.setattr(list_ports, "comports", lambda: [*ports, Port(device="/dev/ttyS0", vid=None, pid=None)])
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: allowed)
    board = found(core, tmp_path)["HiFive1"]
    assert "UART /dev/ttyUSB1 (JTAG is /dev/ttyUSB0)" in board.says
    assert (board.state == OK) == allowed and (board.cure is None) == allowed


def test_udev_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "UDEV_RULES", (str(tmp_path / "*.rules"),))
    missing = doctor._udev()
    assert missing.state == WARNS and 'ATTR{idVendor}=="0403"' in missing.cure
    (tmp_path / "60-openocd.rules").write_text('ATTRS{idVendor}=="0403", ATTRS{idProduct}=="6010", MODE="660"\n')
    assert doctor._udev().state == OK


def test_a_project_with_an_old_script(core: Path, tmp_path: Path) -> None:
    project = tmp_path / "p"
    render_project(project, name="p", board="hifive1_virtual")
    assert found(core, project)["project"].state == OK
    (project / "uc_nn.py").write_text("# of long ago\n")
    old = found(core, project)["project"]
    assert old.state == WARNS and "uc-nn update" in old.cure


def test_the_command(
    core: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["doctor", "--core-dir", str(core), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"name", "state", "says", "cure"} == set(listed[0])
    assert cli.main(["doctor", "--core-dir", str(tmp_path / "none")]) == 1
    text = capsys.readouterr().out
    assert "FAIL  platform uc_nn" in text and "next: uc-nn setup" in text
