"""Which constants go to flash and which to RAM. So far all stay in flash, as the paper's section 3.3 says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from uc_nn_pio.boards import Board


@dataclass(frozen=True)
class ConstantPlacement:
    """The region ("flash" or "ram") of every table, by the table's C name. ``ram_bytes`` counts in every RAM figure."""

    region: Mapping[str, str]
    ram_bytes: int = 0


def place_constants(tables: Mapping[str, int], board: Board | None, ram_bytes: int = 0) -> ConstantPlacement:
    """Place tables (C name -> bytes), given the board's read costs and ``ram_bytes`` that the budget leaves for them.

    With no RAM to give, or a board whose costs are unknown, every table stays in flash.
    """
    return ConstantPlacement({name: "flash" for name in tables})
