"""The page of the commands, their help, and that each exit code which it promises is the one that is given."""

from __future__ import annotations

import argparse
import importlib
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.test_converter import folder as folder  # the fixture
from tests.test_converter import write
from uc_nn_pio import cli, doctor, validation
from uc_nn_pio.commands import DOCUMENT, commands_text, exit_codes, verbs_of
from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.pio import demo, setup

VERBS = verbs_of(cli._parser())
HELPS = {**VERBS, **{f"board {name}": parser for name, parser in verbs_of(VERBS["board"]).items()}}


def test_the_page_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == commands_text(cli._parser()), "python -m uc_nn_pio.commands"


@pytest.mark.parametrize("verb", HELPS)
def test_every_help_has_an_example_that_is_right_and_says_what_everything_means(verb: str) -> None:
    text = HELPS[verb].format_help()
    (example,) = (line for line in text.splitlines() if line.startswith("example: "))
    program, *arguments = shlex.split(example.removeprefix("example: "))
    assert program == "uc-nn" and " ".join(arguments).startswith(verb)
    assert cli._parser().parse_args(arguments).run
    assert "\x1b" not in text
    assert all(action.help for action in HELPS[verb]._actions if action.dest != "board_verb")
    if verb in VERBS:
        assert all(meaning in text for meaning in exit_codes(verb).values())


def of(*arguments: str) -> Callable[..., int]:
    """The exit code of a command in a folder that has a model, ``tiny.yaml``."""
    return lambda monkeypatch: cli.main(arguments)


def _interrupted(verb: str) -> Callable[..., int]:
    def run(monkeypatch: pytest.MonkeyPatch) -> int:
        def stop(args: argparse.Namespace) -> int:
            raise KeyboardInterrupt

        run = VERBS[verb].get_default("run")
        monkeypatch.setattr(importlib.import_module(run.__module__), run.__name__, stop)
        return cli.main(shlex.split(HELPS[verb].epilog.splitlines()[0])[2:])

    return run


def _doctor(state: str) -> Callable[..., int]:
    def run(monkeypatch: pytest.MonkeyPatch) -> int:
        monkeypatch.setattr(doctor, "examine", lambda core, project: [doctor.Finding("torch", state, "so it is")])
        return cli.main(["doctor"])

    return run


def _validate(passed: bool | None) -> Callable[..., int]:
    """The verb alone: tests/validation runs what is behind it. ``None``: the virtual board stops the firmware."""

    def run(monkeypatch: pytest.MonkeyPatch) -> int:
        def validate(*given: object, **more: object) -> SimpleNamespace:
            if passed is None:
                raise VirtualBoardError("the firmware was stopped")
            return SimpleNamespace(passed=passed, text=lambda: "")

        monkeypatch.setattr(validation, "validate", validate)
        return cli.main(["validate", "tiny.yaml"])

    return run


def _demo(right: int) -> Callable[..., int]:
    def run(monkeypatch: pytest.MonkeyPatch) -> int:
        verdicts = [demo.Verdict("1", "1" if index < right else "2") for index in range(demo.DIGITS)]
        monkeypatch.setattr(demo, "_require_platform", lambda: None)
        monkeypatch.setattr(demo, "upload", lambda *given: None)
        monkeypatch.setattr(demo, "watch", lambda *given: verdicts)
        Path("platformio.ini").touch()
        return cli.main(["demo", "--project", "."])

    return run


def _monitor(monkeypatch: pytest.MonkeyPatch) -> int:
    return cli.main(["monitor", "loop://", "--seconds", "0"])


def _setup(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(setup, "set_up", lambda core, offline: [])
    monkeypatch.setattr(setup, "_has_scons", lambda core: True)
    return cli.main(["setup", "--offline", "--core-dir", "core"])


def _board(monkeypatch: pytest.MonkeyPatch) -> int:
    from uc_nn_pio.virtual import cli as board

    monkeypatch.setattr(board._Session, "run", lambda self: 0)
    return cli.main(["board", "run", "firmware.elf"])


def _updated(monkeypatch: pytest.MonkeyPatch) -> int:
    assert cli.main(["new", "project"]) == 0
    return cli.main(["update", "project"])


def _over_budget(monkeypatch: pytest.MonkeyPatch) -> int:
    with Path("tiny.yaml").open("a") as spec:
        spec.write("memory: {ram_budget: 10}\n")
    return cli.main(["report", "tiny.yaml", "--suggest"])


PROVOKED: dict[str, dict[int, Callable[..., int]]] = {
    "new": {0: of("new", "project"), 2: of("new", "net.py")},
    "convert": {
        0: of("convert", "tiny.yaml", "-o", "out"),
        1: of("convert", "tiny.yaml", "-o", "out", "--check"),
        2: of("convert", "nothing.yaml"),
    },
    "report": {0: of("report", "tiny.yaml"), 1: _over_budget, 2: of("report", "nothing.yaml")},
    "explain": {0: of("explain", "tiny.yaml", "conv"), 2: of("explain", "tiny.yaml", "none")},
    "cmake-dir": {0: of("cmake-dir"), 2: of("cmake-dir", "--nothing")},
    "ops": {0: of("ops"), 2: of("ops", "--nothing")},
    "guess": {0: of("guess", "net.pt"), 2: of("guess", "nothing.pt")},
    "calibrate": {0: of("calibrate", "int8.yaml"), 2: of("calibrate", "tiny.yaml")},
    "validate": {0: _validate(True), 1: _validate(False), 2: of("validate", "tiny.yaml"), 3: _validate(None)},
    "setup": {0: _setup, 2: of("setup", "--offline", "--core-dir", "net.py")},
    "update": {0: _updated, 2: of("update", ".")},
    "doctor": {0: _doctor(doctor.WARNS), 1: _doctor(doctor.FAILS), 2: of("doctor", "--nothing")},
    "board": {0: _board, 2: of("board"), 3: of("board", "run", "nothing.elf")},
    "monitor": {0: _monitor, 2: of("monitor", "/nowhere")},
    "demo": {0: _demo(10), 1: _demo(9), 2: of("demo", "--project", ".")},
}


@pytest.mark.parametrize(("verb", "code"), [(verb, code) for verb in VERBS for code in exit_codes(verb)])
def test_the_codes_that_are_said_are_those_that_are_given(
    verb: str, code: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    write(folder)
    if verb == "calibrate":
        _with_samples(folder)
    run = _interrupted(verb) if code == 130 else PROVOKED[verb][code]
    try:
        given = run(monkeypatch)
    except SystemExit as end:  # how argparse says that an argument is wrong
        given = end.code
    assert given == code


def test_no_code_is_left_unsaid() -> None:
    for verb in VERBS:
        assert set(PROVOKED[verb]) == set(exit_codes(verb)) - {130}


def _with_samples(folder: Path) -> None:
    import numpy as np

    images = np.zeros((4, 1, 8, 7), np.uint8)
    images[:, :, 2:5] = 200
    np.savez(folder / "data.npz", images=images)
    write(folder, "int8", precision="int8", calibration={"file": "data.npz", "stage": "network"})
