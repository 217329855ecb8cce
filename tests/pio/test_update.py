"""`uc-nn update`: what the package has newer comes into a project; what was edited stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from uc_nn_pio import cli
from uc_nn_pio.pio.project import render_project
from uc_nn_pio.pio.update import NOTE, digest, update

NAMES = ("uc_nn.py", "monitor/filter_uc_nn.py", "lib/fe310/fe310_uart.c")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "mydigit"
    render_project(folder, name="mydigit", board="hifive1_virtual")
    return folder


def of_long_ago(project: Path, name: str, text: str = "/* of long ago */\n") -> None:
    """As if the project had been made by a version whose file was ``text``."""
    (project / name).write_text(text)
    note = json.loads((project / NOTE).read_text())
    note["files"][name] = digest(text)
    (project / NOTE).write_text(json.dumps(note))


def test_a_new_project_is_up_to_date(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["update", str(project)]) == 0
    assert "is up to date" in capsys.readouterr().out


def test_old_copies_are_brought_up(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = {name: (project / name).read_text() for name in NAMES}
    for name in wanted:
        of_long_ago(project, name)
    assert cli.main(["update", str(project), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "would bring up uc_nn.py" in shown and "-/* of long ago */" in shown
    assert (project / "uc_nn.py").read_text() == "/* of long ago */\n"
    assert cli.main(["update", str(project), "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"brought up {name}" for name in NAMES]
    assert {name: (project / name).read_text() for name in wanted} == wanted
    assert update(project, write=False) == ([], [])


def test_a_project_made_before_there_was_a_filter_gets_one(project: Path) -> None:
    note = json.loads((project / NOTE).read_text())
    del note["files"]["monitor/filter_uc_nn.py"]
    (project / NOTE).write_text(json.dumps(note))
    wanted = (project / "monitor" / "filter_uc_nn.py").read_text()
    (project / "monitor" / "filter_uc_nn.py").unlink()
    update(project, write=True)
    assert (project / "monitor" / "filter_uc_nn.py").read_text() == wanted


def test_what_was_edited_stays(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = project / "src" / "main.c"
    mine = main.read_text() + "/* mine */\n"
    main.write_text(mine)
    of_long_ago(project, "uc_nn.py")
    assert cli.main(["update", str(project)]) == 0
    shown = capsys.readouterr().out
    assert "edited, left alone: src/main.c" in shown and "-/* mine */" in shown and "brought up uc_nn.py" in shown
    assert main.read_text() == mine


def test_other_line_ends_are_no_edit(project: Path) -> None:
    path = project / "src" / "main.c"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert update(project, write=True) == ([], [])


def test_what_was_taken_away_stays_away(project: Path) -> None:
    (project / "README.md").unlink()
    assert update(project, write=True) == ([], [])
    assert not (project / "README.md").exists()


def test_a_folder_without_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["update", str(tmp_path)]) == 2
    assert "has no note of uc-nn new" in capsys.readouterr().err
