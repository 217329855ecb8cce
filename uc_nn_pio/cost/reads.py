"""How often a kernel reads each word of its constant tables in one inference, and what a region makes that cost.

Kernels copy their weights to scratch, or use each word once, so most tables are read once and in order. A layer whose
output rows are computed one by one (*rows apart*) begins its tables anew with each. Tables that a kernel looks values
up in are read where the values say: as often as there are elements, at random.
"""

from __future__ import annotations

from dataclasses import dataclass

from uc_nn_pio.boards import Region
from uc_nn_pio.emit.kernels import Kernel, Table
from uc_nn_pio.emit.kernels.elementwise_int8 import ActivationInt8, LogSoftmaxInt8, SoftmaxInt8
from uc_nn_pio.emit.kernels.indices import EmbeddingF32
from uc_nn_pio.emit.kernels.recurrent import RecurrentInt8


@dataclass(frozen=True)
class TableReads:
    """Reads of one table in one inference. ``sequential`` words follow the word read before them, ``random`` do not."""

    table: Table
    sequential: int
    random: int

    @property
    def total(self) -> int:
        return self.sequential + self.random

    @property
    def per_word(self) -> float:
        """How often each word is read, on average."""
        return self.total * 4 / self.table.bytes


def reads_of(kernel: Kernel) -> tuple[TableReads, ...]:
    """Reads of all tables of a kernel."""
    return tuple(_reads(kernel, table, kernel.passes) for table in kernel.tables())


def _reads(kernel: Kernel, table: Table, begins: int) -> TableReads:
    words = table.bytes // 4
    if isinstance(kernel, LogSoftmaxInt8) and table.name.endswith("_logarithms"):
        vectors = kernel.variables()["vectors"]
        return TableReads(table, sequential=vectors, random=vectors)
    if isinstance(kernel, ActivationInt8 | SoftmaxInt8) and not kernel.staged:
        return TableReads(table, sequential=0, random=kernel.output.elements)
    if isinstance(kernel, EmbeddingF32):
        begins, words = kernel.input.elements, kernel.row_words
    if isinstance(kernel, RecurrentInt8) and table.name.endswith("_gates"):
        return TableReads(table, sequential=0, random=kernel.look_ups)
    return TableReads(table, sequential=begins * (words - 1), random=begins)


def wait_cycles(reads: TableReads, region: Region) -> int | None:
    """Core cycles until the words of ``reads`` are there, one after the other; None where the board's data do not say.

    What a kernel computes meanwhile is not taken off.
    """
    if region.sequential_word_cycles is None or region.random_word_cycles is None:
        return None
    return reads.sequential * region.sequential_word_cycles + reads.random * region.random_word_cycles
