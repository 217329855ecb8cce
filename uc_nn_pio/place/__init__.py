"""Which constant tables go to flash and which to RAM, by what reading them costs on the board.

A table in RAM is copied there once, at start-up, and its words are never read from flash again. The tables chosen are
those that save the most cycles an inference within the bytes given: an exact knapsack over words, since a network has
few tables and a microcontroller little RAM. Tables are placed whole.

Without a budget, or on a board whose read costs are not known, all tables stay in flash, as the paper's section 3.3 has
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

WORD = 4


@dataclass(frozen=True)
class TableUse:
    """A table by its C name: its bytes, and the core cycles that an inference saves when it lies in RAM (0 where that
    is not known)."""

    name: str
    bytes: int
    saved_cycles: int


@dataclass(frozen=True)
class ConstantPlacement:
    """The region ("flash" or "ram") of every table, by the table's C name. ``ram_bytes`` counts in every RAM figure;
    ``saved_cycles`` are those of the tables in RAM, an inference."""

    region: Mapping[str, str]
    ram_bytes: int = 0
    saved_cycles: Mapping[str, int] = field(default_factory=dict)

    def in_ram(self, name: str) -> bool:
        return self.region.get(name) == "ram"


def place_constants(tables: Sequence[TableUse], ram_bytes: int = 0) -> ConstantPlacement:
    """Place tables, given the ``ram_bytes`` that they may take.

    Of choices that save the same, the one with the fewest bytes is taken, and of those the one with the later tables in
    flash.
    """
    chosen = _most_saving([use for use in tables if use.saved_cycles > 0], ram_bytes // WORD)
    return ConstantPlacement(
        {use.name: "ram" if use.name in chosen else "flash" for use in tables},
        sum(_words(use) * WORD for use in tables if use.name in chosen),
        {use.name: use.saved_cycles for use in tables if use.name in chosen},
    )


def _words(use: TableUse) -> int:
    return -(-use.bytes // WORD)


def _most_saving(tables: Sequence[TableUse], capacity: int) -> frozenset[str]:
    """0/1 knapsack by dynamic programming: ``best[w]`` is the most that the tables so far save in w words or fewer."""
    tables = [use for use in tables if _words(use) <= capacity]
    capacity = min(capacity, sum(map(_words, tables)))
    best = [0] * (capacity + 1)
    taken: list[list[bool]] = []
    for use in tables:
        size = _words(use)
        better = [w >= size and best[w - size] + use.saved_cycles > best[w] for w in range(capacity + 1)]
        best = [best[w - size] + use.saved_cycles if better[w] else best[w] for w in range(capacity + 1)]
        taken.append(better)
    chosen, left = set(), best.index(best[capacity]) if tables else 0
    for use, better in zip(reversed(tables), reversed(taken), strict=True):
        if better[left]:
            chosen.add(use.name)
            left -= _words(use)
    return frozenset(chosen)
