"""Bars for people who wait at a terminal, and nothing for anybody else."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.test_converter import folder as folder  # the fixture
from tests.test_converter import write
from uc_nn_pio import cli, progress

SPEC = Path(__file__).parents[1] / "examples" / "lenet5_camera" / "models" / "lenet5.yaml"
AT_ONCE = (
    "import sys; from uc_nn_pio import cli, progress; progress.DELAY_SECONDS = 0; sys.exit(cli.main(sys.argv[1:]))"
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal()
    # not sys.stderr, which pytest sets anew when the test begins
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=terminal))
    monkeypatch.setattr(progress, "DELAY_SECONDS", 0)
    return terminal


def run(*arguments: str) -> tuple[str, str]:
    """Standard output, a pipe, and standard error, a terminal, of a command."""
    master, slave = os.openpty()
    process = subprocess.Popen([sys.executable, "-c", AT_ONCE, *arguments], stdout=subprocess.PIPE, stderr=slave)
    os.close(slave)
    shown = b""
    try:
        while data := os.read(master, 4096):
            shown += data
    except OSError:  # Linux's way to say that the other end is closed
        pass
    os.close(master)
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 0, shown
    return out.decode(), shown.decode()


def test_calibration_shows_how_far_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ranges.json"
    out, shown = run("calibrate", str(SPEC), "-o", str(path))
    assert out == f"{path}\n"
    assert "calibrating: ranges" in shown and "100%" in shown and shown.endswith("\r\n")


def test_with_json_into_a_pipe_nothing_is_shown(folder: Path, terminal: Terminal) -> None:
    """Standard output is none of a terminal here."""
    command = ["report", str(write(folder)), "--board", "hifive1", "--suggest"]
    assert cli.main([*command, "--json"]) == 0
    assert terminal.getvalue() == ""
    assert cli.main(command) == 0
    assert "narrowing layer by layer" in terminal.getvalue()


def test_without_a_terminal_nothing_is_shown(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Terminal, "isatty", lambda self: False)
    with progress.shown():
        assert list(progress.track("abc", "working")) == ["a", "b", "c"]
    assert terminal.getvalue() == ""


def test_from_python_nothing_is_shown(terminal: Terminal) -> None:
    assert list(progress.track(range(5), "working")) == [0, 1, 2, 3, 4]
    assert terminal.getvalue() == ""


def test_one_bar_at_a_time(terminal: Terminal) -> None:
    with progress.shown():
        for _ in progress.track(range(3), "outer"):
            assert list(progress.track("ab", "inner")) == ["a", "b"]
        assert list(progress.track("abc", "next")) == ["a", "b", "c"]
    assert "outer" in terminal.getvalue() and "next" in terminal.getvalue() and "inner" not in terminal.getvalue()


def test_short_work_and_work_of_unknown_length_show_nothing(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress.shown():
        assert list(progress.track(iter("abc"), "working")) == ["a", "b", "c"]
        assert terminal.getvalue() == ""
        assert list(progress.track(iter("abc"), "known", total=3)) == ["a", "b", "c"]
        assert "known" in terminal.getvalue()
        terminal.truncate(0)
        monkeypatch.setattr(progress, "DELAY_SECONDS", 60)
        assert list(progress.track("abc", "working")) == ["a", "b", "c"]
    assert "working" not in terminal.getvalue()


def test_an_error_begins_on_a_line_of_its_own_and_the_next_run_is_not_touched(terminal: Terminal) -> None:
    kept = progress.track(range(9), "working")
    with pytest.raises(ValueError), progress.shown():
        next(kept)
        next(kept)
        raise ValueError  # its traceback may keep the generator
    assert terminal.getvalue().endswith("\n")
    with progress.shown(False):
        kept.close()
        terminal.truncate(0)
        terminal.seek(0)
        assert list(progress.track("abc", "later")) == ["a", "b", "c"]
    assert terminal.getvalue() == ""


def test_what_must_be_fast_imports_neither_torch_nor_click() -> None:
    code = (
        "import sys\nfrom uc_nn_pio import cli, progress\n"
        "try: cli.main(['--version'])\nexcept SystemExit: pass\n"
        "assert not {'torch', 'click'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
