"""What a kernel does, in counts that no board is needed for, and what a board makes of them in cycles."""

from __future__ import annotations

from collections.abc import Sequence

from uc_nn_pio.boards import Board
from uc_nn_pio.cost.reads import TableReads, reads_of, wait_cycles
from uc_nn_pio.emit.kernels import Kernel
from uc_nn_pio.place import TableUse


def table_uses(kernels: Sequence[Kernel], board: Board | None) -> list[TableUse]:
    """What placing each table in RAM would save, in the kernels' order; see :func:`reads_of`."""
    uses = []
    for kernel in kernels:
        for reads in reads_of(kernel):
            regions = [board.regions.get(name) for name in ("flash", "ram")] if board else [None]
            costs = [wait_cycles(reads, region) if region else None for region in regions]
            saved = costs[0] - costs[1] if None not in costs else 0
            uses.append(TableUse(reads.table.name, reads.table.bytes, saved))
    return uses


__all__ = ["TableReads", "reads_of", "table_uses", "wait_cycles"]
