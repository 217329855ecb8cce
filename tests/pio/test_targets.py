"""The targets that the extra script adds: shown by PlatformIO, and doing what they say."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.pio.test_boards_in_qemu import pio
from uc_nn_pio.pio.project import render_project

pytestmark = pytest.mark.pio

ALWAYS = {"uc_nn_report", "uc_nn_map", "uc_nn_suggest", "uc_nn_validate", "uc_nn_clean"}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("targets") / "meine Ziffern"
    render_project(folder, name="digits", board="hifive1_virtual")
    return folder


def test_they_are_listed_without_a_conversion(digits: Path, core: Path) -> None:
    done = pio(digits, core, "run", "--list-targets")
    assert done.returncode == 0, done.stderr
    listed = {}
    for line in done.stdout.splitlines():
        if found := re.match(r"(\S+)\s+Custom\s+(uc_nn_\w+)\s+Network: ", line):
            listed.setdefault(found[1], set()).add(found[2])
    assert listed == {
        "hifive1": {*ALWAYS, "uc_nn_validate_board"},
        "hifive1-revb": {*ALWAYS, "uc_nn_validate_board"},
        "virtual": {*ALWAYS, "uc_nn_profile", "uc_nn_validate_virtual"},
    }
    assert not (digits / ".pio" / "uc_nn" / "virtual" / "manifest.json").exists()


def test_what_they_say(digits: Path, core: Path) -> None:
    report = pio(digits, core, "run", "-e", "hifive1", "-t", "uc_nn_report")
    assert report.returncode == 0, report.stdout + report.stderr
    assert "lenet5: int8, schedule streamed, board hifive1" in report.stdout and "inferences/s" in report.stdout
    shown = pio(digits, core, "run", "-e", "hifive1", "-t", "uc_nn_map")
    assert "memory over time" in shown.stdout and "predicted" not in shown.stdout.partition("memory over time")[2]
    checked = pio(digits, core, "run", "-e", "hifive1", "-t", "uc_nn_validate")
    assert checked.returncode == 0 and "lenet5, int8, on host: passed" in checked.stdout


def test_a_validation_that_fails_fails_the_target(digits: Path, core: Path) -> None:
    spec = digits / "models" / "lenet5.yaml"
    text = spec.read_text(encoding="utf-8")
    spec.write_text(text.replace("min_accuracy: 0.98", "min_accuracy: 1.0"), encoding="utf-8")
    try:
        done = pio(digits, core, "run", "-e", "hifive1", "-t", "uc_nn_validate")
    finally:
        spec.write_text(text, encoding="utf-8")
    assert done.returncode != 0 and "FAILED" in done.stdout


def test_validation_on_the_virtual_board(digits: Path, core: Path) -> None:
    done = pio(digits, core, "run", "-t", "uc_nn_validate_virtual")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lenet5, int8, on virtual: passed" in done.stdout and "0 of 200 outputs differ" in done.stdout


UPLOAD = """
import pathlib, subprocess, sys, time
port = pathlib.Path(__file__).with_name("port")
port.unlink(missing_ok=True)
command = [sys.executable, "-m", "uc_nn_pio.virtual", "run", sys.argv[1], "--board", "hifive1_virtual"]
command += ["--uart", "tcp:PORT", "--port-file", str(port), "--no-camera"]
command += ["--speed", "max", "--idle-exit", "100", "--stall-limit", "off"]
quiet = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}
port.with_name("pid").write_text(str(subprocess.Popen(command, **quiet).pid))
while not (port.is_file() and port.read_text().strip()):
    time.sleep(0.05)
"""


def test_validation_on_a_real_board(digits: Path, core: Path) -> None:
    """The board is a virtual one behind an upload command and a port, as a real one would be."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (digits / "upload.py").write_text(UPLOAD.replace("PORT", str(port)), encoding="utf-8")
    options = f"""
[env:desk]
board = hifive1
upload_protocol = custom
upload_command = "{sys.executable}" "{digits / "upload.py"}" $SOURCE
monitor_port = socket://127.0.0.1:{port}
"""
    ini = digits / "platformio.ini"
    text = ini.read_text(encoding="utf-8")
    ini.write_text(text + options, encoding="utf-8")
    try:
        done = pio(digits, core, "run", "-e", "desk", "-t", "uc_nn_validate_board")
    finally:
        ini.write_text(text, encoding="utf-8")
        if (digits / "pid").is_file():
            os.kill(int((digits / "pid").read_text()), signal.SIGTERM)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"lenet5, int8, on serial:socket://127.0.0.1:{port}: passed" in done.stdout
    assert "100 samples" in done.stdout and "0 of 1000 outputs differ" in done.stdout


def test_the_first_pio_test(digits: Path, core: Path) -> None:
    passes = pio(digits, core, "test", "-e", "virtual")
    assert passes.returncode == 0, passes.stdout + passes.stderr
    assert passes.stdout.count("PASSED") == 5 and "3 test cases: 3 succeeded" in passes.stdout
    program = digits / "test" / "test_network" / "test_network.c"
    text = program.read_text(encoding="utf-8")
    call = "        lenet5_run_sample(&network, &lenet5_samples[n]);"
    assert call in text
    program.write_text(text.replace(call, f"{call}\n    *(char *)lenet5_output(&network) ^= 1;"), encoding="utf-8")
    try:
        fails = pio(digits, core, "test", "-e", "virtual")
    finally:
        program.write_text(text, encoding="utf-8")
    assert fails.returncode != 0 and "the output is not the reference's" in fails.stdout


def test_editors_find_the_schema(digits: Path) -> None:
    settings = json.loads((digits / ".vscode" / "settings.json").read_text())
    ((schema, specs),) = settings["yaml.schemas"].items()
    assert specs == "models/*.yaml" and json.loads((digits / schema).read_text())["properties"]["model"]


def test_profile_and_clean(digits: Path, core: Path) -> None:
    done = pio(digits, core, "run", "-t", "uc_nn_profile")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lenet5_conv2_row" in done.stdout and "PREDICTION: " in done.stdout
    page = digits / ".pio" / "build" / "virtual" / "profile.html"
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    output = digits / ".pio" / "uc_nn" / "virtual"
    assert json.loads((output / "manifest.json").read_text())["outputs"]
    gone = pio(digits, core, "run", "-t", "uc_nn_clean")
    assert gone.returncode == 0 and not output.exists()


def test_clean_takes_nothing_that_is_the_user_s(digits: Path, core: Path) -> None:
    assert pio(digits, core, "run").returncode == 0
    output = digits / ".pio" / "uc_nn" / "virtual"
    (output / "lenet5" / "lenet5.c").write_text("/* mine */")
    (output / "notes.txt").write_text("mine")
    assert pio(digits, core, "run", "-t", "uc_nn_clean").returncode == 0
    left = sorted(path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file())
    assert left == ["lenet5/lenet5.c", "notes.txt"]
