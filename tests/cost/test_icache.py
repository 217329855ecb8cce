"""Waits for code, in caches small enough to follow by hand."""

from __future__ import annotations

import pytest

from uc_nn_pio.cost.icache import code_waits as waits_of

CACHE = {"size": 128, "ways": 2, "line": 32, "refill_cycles_reset_flash": 10}
"""Two sets of two lines."""


def code_waits(sizes: list[int], order: list[int], icache: dict[str, int]) -> list[float]:
    return waits_of(sizes, order, range(len(sizes)), icache)


def test_code_that_fits_is_never_waited_for() -> None:
    assert code_waits([64, 64], [0, 1, 0, 1], CACHE) == [0, 0]


def test_three_lines_in_turn_in_a_set_of_two() -> None:
    # a miss drops the line that is next (it misses too), or the one behind that (one hit, then a miss): 2 of 3 miss;
    # the other set holds its two lines
    large = {**CACHE, "size": 128 * 64}
    waits = code_waits([160 * 64], [0], large)
    assert waits == [pytest.approx(10 * 64 * 3 * 2 / 3, rel=0.1)]


def test_with_one_way_there_is_nothing_to_choose() -> None:
    direct = {**CACHE, "ways": 1}  # four sets of one line
    # lines 0 and 4 share a set
    assert code_waits([160], [0], direct) == [20]
    assert code_waits([160], [0, 0], direct) == [40]
    # a b a c: b has line 4; a's line 0 comes back once an inference
    assert code_waits([32, 96, 32], [0, 1, 2], direct) == [10, 0, 10]
    assert code_waits([32, 96, 32], [0, 0, 1, 2, 2], direct) == [10, 0, 10]


def test_lines_across_two_functions_belong_to_both() -> None:
    direct = {**CACHE, "ways": 1}
    # lines 0 1 2 | 2 3 4: the second 2 is there, 0 and 4 are not
    assert code_waits([80, 80], [0, 1], direct) == [10, 10]


def test_functions_that_are_the_same_run_the_same_lines() -> None:
    direct = {**CACHE, "ways": 1}
    assert waits_of([160, 160], [0, 1], [0, 1], direct) == [50, 50]
    assert waits_of([160, 0], [0, 1], [0, 0], direct) == [20, 20]
