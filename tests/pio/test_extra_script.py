"""The extra script in the real PlatformIO: when the converter runs, and what gets into the build."""

from __future__ import annotations

import pytest

from tests.pio.conftest import Project

pytestmark = pytest.mark.pio


def test_a_build_converts_once_and_then_never_starts_the_converter(project: Project) -> None:
    first = project.run()
    assert project.conversions() == 1
    assert "not converted yet" in first.stdout
    assert b"hello\r\n\0" in project.elf().read_bytes()
    processes = project.processes()
    project.run(UC_NN_PYTHON="/nowhere/python")  # fresh outputs need no converter at all
    assert project.processes() == processes
