"""`-t upload` to the virtual board, and the monitor that finds it."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pio.conftest import Project, on_a_terminal
from uc_nn_pio.pio.platform.builder import uc_nn_upload

pytestmark = pytest.mark.pio


@pytest.fixture
def board(project: Project) -> Iterator[Project]:
    """A project whose virtual boards are stopped at the end."""
    ini = project.folder / "platformio.ini"
    ini.write_text(ini.read_text() + "\n[env:short]\nboard = hifive1_virtual\ncustom_uc_nn_idle_exit = 1\n")
    yield project
    for env in ("virtual", "short"):
        uc_nn_upload.stop_virtual(str(state(project, env).parent))


def state(project: Project, env: str = "virtual") -> Path:
    return project.generated("virtual/board.json", env)


def running(pid: int) -> bool:
    return uc_nn_upload.VIRTUAL_MODULE in uc_nn_upload.command_line(pid)


def test_upload_and_monitor_in_one_command_lose_nothing(board: Project) -> None:
    output, code = on_a_terminal(board, "run", "-t", "upload", "-t", "monitor", until="hello")
    assert code == 0, output
    assert output.count("hello") == 1
    facts = json.loads(state(board).read_text())
    assert f"--- Terminal on {facts['url']} | 115200" in output
    assert facts["url"].startswith("socket://127.0.0.1:")

    # A monitor opened later finds the same board, and hears what it said since reset.
    output, code = on_a_terminal(board, "device", "monitor", until="hello")
    assert code == 0, output
    assert facts["url"] in output

    # A new upload replaces the board and keeps the port, so that an open monitor can reconnect.
    board.write("models/tiny.bin", "good bye")
    board.run("-t", "upload")
    again = json.loads(state(board).read_text())
    assert again["pid"] != facts["pid"] and again["port"] == facts["port"]
    assert not running(facts["pid"]) and running(again["pid"])

    # The port of a board that is gone may be somebody else's by now.
    uc_nn_upload.stop_virtual(str(state(board).parent))
    assert not running(again["pid"])
    output, code = on_a_terminal(board, "device", "monitor", until="never", timeout=30)
    assert code != 0
    assert "no virtual board runs for 'virtual'. Start one: pio run -e virtual -t upload" in output
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", again["port"]))
        taken.listen()
        board.run("-t", "upload")
        assert json.loads(state(board).read_text())["port"] != again["port"]


def test_a_board_that_nobody_listens_to_ends_by_itself(board: Project) -> None:
    board.run("-e", "short", "-t", "upload")
    pid = json.loads(state(board, "short").read_text())["pid"]
    deadline = time.monotonic() + 20
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not running(pid)


def test_an_upload_that_cannot_start_says_why(board: Project) -> None:
    ini = board.folder / "platformio.ini"
    ini.write_text(ini.read_text().replace("[env:virtual]", "[env:virtual]\ncustom_uc_nn_scene = no such folder/x.npz"))
    failed = board.pio("run", "-t", "upload")
    assert failed.returncode != 0
    assert "no such folder" in failed.stderr
    assert re.search(r"the virtual board ended with code \d", failed.stderr)
    assert not state(board).exists()


def test_a_port_that_the_user_names_is_kept(board: Project) -> None:
    ini = board.folder / "platformio.ini"
    ini.write_text(ini.read_text().replace("[env:virtual]", "[env:virtual]\nmonitor_port = socket://127.0.0.1:9"))
    output, code = on_a_terminal(board, "device", "monitor", until="never", timeout=20)
    assert code != 0
    assert "127.0.0.1:9" in output and "no virtual board" not in output


def test_a_reused_process_id_is_left_alone(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (tmp_path / "board.json").write_text(json.dumps({"pid": process.pid, "port": 1}))
        uc_nn_upload.stop_virtual(str(tmp_path))
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
