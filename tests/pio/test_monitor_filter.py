"""A project's own monitor filter: what a board prints is drawn on any platform, and stays text where it cannot be."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import uc_nn_pio
from tests.pio.conftest import PIO, Project, make_project, on_a_terminal
from uc_nn_pio.pio import monitor_filter
from uc_nn_pio.pio.core_folder import install

pytestmark = pytest.mark.pio

PICTURE = "PICTURE 4 2\r\n0f0f\r\nf0f0\r\n"
LINE = "PREDICTION: 7  20.3 ms  scores 0:-3.00 7:9.25\r\n"
# PlatformIO in a Python of its own, which has no uc_nn_pio: that is what its installer makes.
ALONE = "import sys; sys.modules['uc_nn_pio'] = None; from platformio.__main__ import main; sys.exit(main())"
PIO_ALONE = (sys.executable, "-c", ALONE)
FOREIGN = {
    "platform.json": '{"name": "foreign", "title": "Foreign", "description": "", "version": "1.0.0", "packages": {}}',
    "platform.py": "from platformio.public import PlatformBase\n\n\nclass ForeignPlatform(PlatformBase):\n"
    "    def is_embedded(self):\n        return True\n",
    "boards/theirs.json": '{"name": "Theirs", "url": "-", "vendor": "They", "build": {"mcu": "fe310"}, "upload": {}}',
}
INI = """\
[platformio]
default_envs = board

[env:board]
platform = {platform}
board = {board}
monitor_port = socket://127.0.0.1:{port}
monitor_filters = uc_nn
"""


@pytest.fixture
def port() -> Iterator[int]:
    """Of a board that prints a picture and what it is, twice, to whoever listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def board() -> None:
            line, _ = server.accept()
            with line:
                time.sleep(0.5)  # pyserial drops what is there when it opens a port
                line.sendall((PICTURE + LINE + "no camera\r\n" + PICTURE + LINE + "the end\r\n").encode())
                while line.recv(100):
                    pass

        thread = threading.Thread(target=board, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


@pytest.fixture
def foreign(tmp_path: Path, port: int) -> Project:
    """A project of a platform that is not ours, in a core folder that has no other."""
    project = make_project(tmp_path / "ein Projekt", tmp_path / "core", tmp_path)
    install(project.core, "platforms/foreign", {name: text.encode() for name, text in FOREIGN.items()})
    project.write("platformio.ini", INI.format(platform="foreign", board="theirs", port=port))
    carry_filter(project)
    return project


def carry_filter(project: Project) -> None:
    """As `uc-nn new` gives one to a project."""
    project.write("monitor/filter_uc_nn.py", Path(monitor_filter.__file__).read_text(encoding="utf-8"))
    project.environment |= {"TERM": "xterm", "PYTHONIOENCODING": "utf-8"}


def watched(project: Project, command: tuple[str, ...]) -> str:
    shown, code = on_a_terminal(project, "device", "monitor", until="the end", timeout=30, command=command)
    assert code == 0, shown
    return shown


def is_drawn(shown: str) -> bool:
    """Each frame once, with its picture and bars; no line of the board as it was sent."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", shown)
    return plain.count("▀▀▀▀  PREDICTION: 7  20.3 ms") == 2 and plain.count("100 %") == 2 and "scores" not in plain


def test_the_platform_in_the_core_folder_draws(foreign: Project, core: Path) -> None:
    shutil.copytree(core / "platforms" / "uc_nn", foreign.core / "platforms" / "uc_nn")
    assert is_drawn(watched(foreign, PIO_ALONE))


def test_the_package_draws(foreign: Project) -> None:
    assert is_drawn(watched(foreign, PIO))


def test_the_last_conversion_says_where_the_package_is(foreign: Project) -> None:
    manifest = {"converter": {"roots": [str(Path(uc_nn_pio.__file__).parent)]}}
    foreign.write(".pio/uc_nn/board/manifest.json", json.dumps(manifest))
    assert is_drawn(watched(foreign, PIO_ALONE))


def test_without_the_drawing_code_lines_stay_lines(foreign: Project) -> None:
    shown = watched(foreign, PIO_ALONE)
    assert shown.count(monitor_filter.HINT.strip()) == 1 and "uc-nn setup" in monitor_filter.HINT
    assert shown.replace("\r", "").count((PICTURE + LINE).replace("\r", "")) == 2 and "Traceback" not in shown


def test_beside_our_platform_s_filter_each_frame_is_drawn_once(project: Project, port: int) -> None:
    """Both filters are loaded, and have one name: the platform's takes the place of the project's."""
    project.write("platformio.ini", INI.format(platform="uc_nn", board="hifive1", port=port))
    carry_filter(project)
    assert is_drawn(watched(project, PIO_ALONE))
