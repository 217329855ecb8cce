"""The virtual board's own counts between the marks of the measuring program, and which words of flash it reads there.

Marks are calls of an empty function: one begins a window, the next ends it. Looking changes no count (the same hooks
as those of ``uc_nn_pio.virtual.layers``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from elftools.elf.elffile import ELFFile
from unicorn import unicorn_const as uc_const

if TYPE_CHECKING:
    from uc_nn_pio.virtual import VirtualBoard

MARK = "bench_mark"


@dataclass(frozen=True)
class Costs:
    """What the core did in a span of time. Cycles are core cycles; ``flash_cycles`` and ``icache_cycles`` are those
    that it waited for data from flash and for lines of code; ``flash_reads`` are data reads of any size."""

    instructions: int = 0
    cycles: int = 0
    flash_reads: int = 0
    flash_cycles: int = 0
    icache_misses: int = 0
    icache_cycles: int = 0
    mispredicts: int = 0
    replays: int = 0

    def __add__(self, other: Costs) -> Costs:
        return Costs(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Costs)))

    def __sub__(self, other: Costs) -> Costs:
        return Costs(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(Costs)))

    def times(self, count: int) -> Costs:
        return Costs(*(count * getattr(self, f.name) for f in fields(Costs)))


@dataclass(frozen=True)
class TableReads:
    """Reads of one constant table in one inference: its size, how many of its words were read, and how often the one
    that was read most. Words of 4 bytes."""

    words: int
    words_read: int
    most: int


class Watch:
    """Counts one run of the measuring program.

    Args:
        machine: the board, before it runs.
        reads_of: the windows (counted from 0) whose data reads from flash are noted word by word.
    """

    def __init__(self, machine: VirtualBoard, reads_of: range) -> None:
        self.windows: list[Costs] = []
        self.reads: Counter[int] = Counter()
        self.read_bytes = 0
        self._machine = machine
        self._reads_of = reads_of
        self._from: Costs | None = None
        uc, at = machine.cpu.uc, machine.firmware.symbol(MARK)
        uc.hook_add(uc_const.UC_HOOK_CODE, self._marked, begin=at, end=at)
        flash = machine.board.flash
        uc.hook_add(uc_const.UC_HOOK_MEM_READ, self._read, begin=flash.origin, end=flash.end - 1)

    def _marked(self, uc: object, at: int, size: int, user: object) -> None:
        if self._machine.cpu.squashing:
            return
        now = self._now()
        if self._from is None:
            self._from = now
        else:
            self.windows.append(now - self._from)
            self._from = None

    def _now(self) -> Costs:
        result = self._machine.result()
        names = {f.name: f.name for f in fields(Costs)} | {"flash_cycles": "flash_read_cycles"}
        return Costs(**{name: getattr(result, theirs) for name, theirs in names.items()})

    def _read(self, uc: object, kind: int, at: int, size: int, value: int, user: object) -> None:
        if self._from is None or len(self.windows) not in self._reads_of or self._machine.cpu.squashing:
            return
        self.reads[at & ~3] += 1
        self.read_bytes += size

    def tables(self, elf: Path, names: Iterable[str]) -> dict[str, TableReads]:
        """Reads of the ELF's tables with these symbols."""
        found = {}
        for name, (at, size) in _symbols(elf, frozenset(names)).items():
            counts = [self.reads[word] for word in range(at, at + size, 4)]
            found[name] = TableReads(len(counts), sum(count > 0 for count in counts), max(counts, default=0))
        return found


def _symbols(elf: Path, names: frozenset[str]) -> dict[str, tuple[int, int]]:
    with elf.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {s.name: (s["st_value"], s["st_size"]) for s in table.iter_symbols() if s.name in names}
