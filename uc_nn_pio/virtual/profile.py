"""What was counted, by function: the blocks' records folded into the ELF's symbols, and how much RAM was used.

``VirtualBoard.profile()`` and ``VirtualBoard.memory_use()`` return these. Generated layers are functions
``<model>_<layer>``; libgcc's soft float shows under its own names (``__mulsf3``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from uc_nn_pio.virtual import native

if TYPE_CHECKING:
    from uc_nn_pio.virtual.cpu import Cpu
    from uc_nn_pio.virtual.firmware import Firmware

UNNAMED = "(no symbol)"


@dataclass(frozen=True)
class FunctionCounts:
    """Counts of one function, without those of the functions that it calls.

    ``instructions`` were executed; ``cycles`` are core cycles, waits that time jumped over and sleep included;
    ``flash_cycles`` and ``icache_cycles`` are the parts of them that the core waited for flash data and for lines of
    code. ``calls``: times its first instruction was reached by a call or jump. The sums over all functions are
    ``RunResult.instructions`` and ``RunResult.cycles``.
    """

    function: str
    address: int
    instructions: int
    cycles: int
    flash_reads: int
    flash_cycles: int
    icache_misses: int
    icache_cycles: int
    mispredicts: int
    calls: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class MemoryUse:
    """Bytes of RAM: ``touched`` words were stored to at least once since power-up (times 4); ``stack`` is the deepest
    the stack pointer went below the highest it was, over the whole run, interrupt handlers included."""

    ram: int
    touched: int
    stack: int
    stack_low: int | None
    stack_high: int | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


_FIELDS = (
    ("cycles", native.R_SPENT),
    ("flash_reads", native.R_FLASH_READS),
    ("flash_cycles", native.R_FLASH_CYCLES),
    ("icache_misses", native.R_ICACHE_MISSES),
    ("icache_cycles", native.R_ICACHE_CYCLES),
    ("mispredicts", native.R_MISPREDICTS),
)


def functions(cpu: Cpu) -> list[FunctionCounts]:
    """Counts by function, the most cycles first."""
    return fold(cpu.hooks.table.counts(), cpu.firmware)


def fold(rows: np.ndarray, firmware: Firmware) -> list[FunctionCounts]:
    """Counts by function of ``rows`` as ``TimingTable.counts`` gives them, the most cycles first."""
    sums: dict[str, dict[str, int]] = {}
    for row in rows.tolist():
        if not row[native.R_RUNS] and not row[native.R_SPENT]:
            continue
        start, name = row[native.R_START], firmware.function(row[native.R_START]) or UNNAMED
        counts = sums.setdefault(
            name, {"address": start, "instructions": 0, "calls": 0, **{field: 0 for field, _ in _FIELDS}}
        )
        address = firmware.addresses.get(name, start)
        counts["address"] = address if name != UNNAMED else min(counts["address"], start)
        counts["instructions"] += row[native.R_RUNS] * row[native.R_INSTRUCTIONS]
        if start == address:
            counts["calls"] += row[native.R_ENTERED]
        for field, index in _FIELDS:
            counts[field] += row[index]
    found = [FunctionCounts(function=name, **counts) for name, counts in sums.items()]
    return sorted(found, key=lambda item: (-item.cycles, item.function))


def memory_use(cpu: Cpu) -> MemoryUse:
    """RAM that the firmware has used so far."""
    low, high = cpu.state[native.STACK_LOW], cpu.state[native.STACK_HIGH]
    return MemoryUse(
        ram=len(cpu.memories[1].data),
        touched=4 * int(cpu.hooks.touched.sum()),
        stack=int(high - low) if high else 0,
        stack_low=int(low) if high else None,
        stack_high=int(high) if high else None,
    )
