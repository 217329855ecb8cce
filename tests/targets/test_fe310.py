"""int8 models as RV32 code on the virtual HiFive1, against the integer reference: no difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.targets.fe310 import RAM_FOR_CONTEXT, run_on_fe310
from tests.targets.program import branched_cases, differences, lenet5, lenet5_case, operator_cases, random_cases
from uc_nn_pio.emit import compile_flags

BOARD_FLAGS = compile_flags("int8", packed=True)
"""With which a project for the board compiles its models."""


def compare_digits(count: int, folder: Path) -> None:
    cases, expected = lenet5_case(lenet5(), count)
    found = run_on_fe310(cases, folder, lenet5().compile_flags)
    assert not differences(found, expected, cases)
    assert found[0].shape == (count, 10)


def test_lenet5_on_100_digits(tmp_path: Path) -> None:
    compare_digits(100, tmp_path)


@pytest.mark.slow
def test_lenet5_on_1000_digits(tmp_path: Path) -> None:
    compare_digits(1000, tmp_path)


@pytest.mark.parametrize(("seeds", "flags"), [(range(24), BOARD_FLAGS), (range(24, 36), ("-Os",))], ids=["-O2", "-Os"])
def test_random_networks(seeds: range, flags: tuple[str, ...], tmp_path: Path) -> None:
    """Of all sorts of tuning, in the order of products that the board's own flags keep, and as GCC likes it."""
    cases, expected = random_cases(seeds, RAM_FOR_CONTEXT)
    assert len(cases) >= len(seeds) * 5 // 6, "nearly all of them fit the chip"
    assert not differences(run_on_fe310(cases, tmp_path, flags), expected, cases)


def test_networks_with_branches(tmp_path: Path) -> None:
    cases, expected = branched_cases(range(16), RAM_FOR_CONTEXT)
    assert len(cases) >= 12
    assert not differences(run_on_fe310(cases, tmp_path, BOARD_FLAGS), expected, cases)


def test_operators(tmp_path: Path) -> None:
    cases, expected = operator_cases()
    assert not differences(run_on_fe310(cases, tmp_path, BOARD_FLAGS), expected, cases)
