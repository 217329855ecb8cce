"""Which tables go to RAM: an exact choice, within the bytes given."""

from __future__ import annotations

import itertools
import random

import pytest

from uc_nn_pio.place import TableUse, place_constants


def best_by_trying(tables: list[TableUse], ram_bytes: int) -> int:
    """The most cycles that any subset within the bytes saves."""
    subsets = itertools.chain.from_iterable(itertools.combinations(tables, n) for n in range(len(tables) + 1))
    return max(sum(t.saved_cycles for t in s) for s in subsets if sum(t.bytes for t in s) <= ram_bytes)


@pytest.mark.parametrize("seed", range(40))
def test_the_choice_is_the_best_of_all_subsets(seed: int) -> None:
    rng = random.Random(seed)
    tables = [
        TableUse(f"t{i}", 4 * rng.randint(1, 40), rng.choice((0, rng.randint(0, 9000), rng.randint(0, 300))))
        for i in range(rng.randint(0, 9))
    ]
    ram_bytes = rng.choice((0, 3, 4, rng.randint(0, 600), 10**6))
    placed = place_constants(tables, ram_bytes)
    chosen = [t for t in tables if placed.in_ram(t.name)]
    assert placed.ram_bytes == sum(t.bytes for t in chosen) <= ram_bytes
    assert sum(placed.saved_cycles.values()) == sum(t.saved_cycles for t in chosen)
    assert sum(t.saved_cycles for t in chosen) == best_by_trying(tables, ram_bytes)
    assert set(placed.region) == {t.name for t in tables}


def test_a_table_that_saves_nothing_stays_in_flash() -> None:
    placed = place_constants([TableUse("known", 8, 10), TableUse("unknown", 8, 0)], 1000)
    assert dict(placed.region) == {"known": "ram", "unknown": "flash"} and placed.ram_bytes == 8


def test_of_two_that_save_the_same_the_smaller_is_taken() -> None:
    placed = place_constants([TableUse("large", 80, 10), TableUse("small", 40, 10)], 80)
    assert placed.in_ram("small") and placed.ram_bytes == 40
