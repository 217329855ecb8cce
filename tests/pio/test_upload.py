"""Uploads to real boards: the exact OpenOCD command, and the real OpenOCD with no board."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.pio.conftest import Project
from uc_nn_pio.pio.platform.builder import uc_nn_upload

pytestmark = pytest.mark.pio


def record_openocd(project: Project, tmp_path: Path, code: int = 0) -> Path:
    """An ``openocd`` that comes first on PATH and writes down its arguments."""
    record = tmp_path / "openocd.json"
    stub = tmp_path / "bin" / "openocd"
    stub.parent.mkdir()
    stub.write_text(f'#!/bin/sh\nfor argument in "$@"; do printf "%s\\n" "$argument"; done > "{record}"\nexit {code}\n')
    stub.chmod(0o755)
    project.environment["PATH"] = f"{stub.parent}{os.pathsep}{os.environ['PATH']}"
    return record


def test_the_openocd_command_of_the_hifive1(project: Project, tmp_path: Path) -> None:
    record = record_openocd(project, tmp_path)
    done = project.run("-e", "hifive1", "-t", "upload")
    elf = project.elf("hifive1")
    assert record.read_text().splitlines() == [
        *("-f", "board/sifive-hifive1.cfg"),
        *("-c", "halt"),
        *("-c", "flash protect 0 64 last off"),
        *("-c", f"flash write_image erase {{{elf}}}"),
        *("-c", f"verify_image {{{elf}}}"),
        *("-c", "poll off"),
        *("-c", "ftdi set_signal nSRST 0"),
        *("-c", "sleep 10"),
        *("-c", "ftdi set_signal nSRST z"),
        *("-c", "shutdown"),
    ]
    assert "CURRENT: upload_protocol = ftdi" in done.stdout


def test_the_openocd_command_of_revision_b(project: Project, tmp_path: Path) -> None:
    record = record_openocd(project, tmp_path)
    ini = project.folder / "platformio.ini"
    ini.write_text(ini.read_text() + "upload_flags =\n  -c\n  adapter serial 000123\n")
    project.run("-e", "revb", "-t", "upload")
    elf = project.elf("revb")
    assert record.read_text().splitlines() == [
        *("-c", "adapter serial 000123"),
        *("-f", "board/sifive-hifive1-revb.cfg"),
        *("-c", "halt"),
        *("-c", "flash protect 0 1 last off"),
        *("-c", f"flash write_image erase {{{elf}}}"),
        *("-c", f"verify_image {{{elf}}}"),
        *("-c", "reset run"),
        *("-c", "shutdown"),
    ]


def test_a_failed_upload_fails(project: Project, tmp_path: Path) -> None:
    record_openocd(project, tmp_path, code=1)
    failed = project.pio("run", "-e", "hifive1", "-t", "upload")
    assert failed.returncode != 0
    assert "openocd ended with code 1" in failed.stderr


def test_the_real_openocd_without_a_board(project: Project) -> None:
    failed = project.pio("run", "-e", "hifive1", "-t", "upload")
    assert failed.returncode != 0
    assert "unable to open ftdi device" in failed.stderr
    assert "is the board plugged in" in failed.stderr


def test_an_unknown_protocol_is_refused(project: Project) -> None:
    ini = project.folder / "platformio.ini"
    ini.write_text(ini.read_text().replace("board = hifive1\n", "board = hifive1\nupload_protocol = blackmagic\n"))
    failed = project.pio("run", "-e", "hifive1", "-t", "upload")
    assert failed.returncode != 0
    assert "upload_protocol 'blackmagic' is not known for this board" in failed.stderr


@pytest.mark.parametrize("path", ["/a b/ü.elf", "/odd {brace/x.elf", "/back\\slash [x] $y;z.elf", '/quote"#.elf'])
def test_tcl_reads_any_path_as_one_word(path: str) -> None:
    """OpenOCD's own interpreter is asked."""
    done = subprocess.run(
        ["openocd", "-c", f"echo {uc_nn_upload.tcl_word(path)}", "-c", "shutdown"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert path in done.stderr.splitlines()


def test_boards_data_name_real_openocd_configurations() -> None:
    scripts = Path("/usr/share/openocd/scripts")
    for name in ("hifive1", "hifive1-revb"):
        manifest = json.loads((Path(__file__).parents[2] / "boards" / f"{name}.json").read_text())
        assert (scripts / manifest["upload"]["openocd"]["config"]).is_file()
