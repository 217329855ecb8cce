"""The calls of one inference in their order, and what moving rows between streamed layers takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from uc_nn_pio.emit.kernels import Kernel

CHECK = (8, 11)
"""Instructions and cycles of asking whether a layer's next row can be made: two counters, a product, a branch."""

PASS_ON = (24, 34)
"""Of a call: where its rows are and where they go to, and counting it."""

MOVED = (5, 7)
"""Of moving a word, or an element where rows are no whole words, to the front of a window."""


@dataclass(frozen=True)
class Calls:
    """``order`` has the kernels' indices; ``instructions`` and ``cycles`` are those between the kernels."""

    order: tuple[int, ...]
    instructions: int
    cycles: int


def calls_of(kernels: Sequence[Kernel]) -> Calls:
    """As ``push_row`` makes them: the last streamed layer whose rows have come goes first."""
    needs = [kernel.row_need for kernel in kernels if kernel.rows_apart]
    order: list[int] = []
    rows = [0] * (len(needs) + 1)  # as the context's counters: rows[i + 1] counts the calls of layer i
    checks = moved = 0
    while needs and rows[0] < needs[0].size:
        rows[0] += 1
        at = len(needs) - 1
        while at >= 0:
            need, made = needs[at], rows[at + 1]
            come = rows[at] // (needs[at - 1].calls if at else 1)
            checks += 1
            if made < need.out and need.last_of(made) < come:
                order.append(at)
                rows[at + 1] += 1
                if need.moves:
                    moved += max(0, come - need.first_of(made + 1)) * _units(kernels[at])
                at = len(needs) - 1
            else:
                at -= 1
    instructions, cycles = (CHECK[way] * checks + PASS_ON[way] * len(order) + MOVED[way] * moved for way in range(2))
    return Calls((*order, *range(len(needs), len(kernels))), instructions, cycles)


def _units(kernel: Kernel) -> int:
    """Moves for a row of the kernel's input."""
    row, height = kernel.input.bytes, kernel.input.shape[1]
    return row // height // 4 if row // height % 4 == 0 else kernel.input.elements // height
