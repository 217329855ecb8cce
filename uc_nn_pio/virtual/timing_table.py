"""The arrays of the cycle model, and the blocks in them: filled by Python once a block, used by the hooks."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from uc_nn_pio.virtual import timing_state as f
from uc_nn_pio.virtual.timing import RESET_QSPI, CycleModel, Qspi
from uc_nn_pio.virtual.timing_blocks import schedule

FIRST_RECORDS = 4096
FIRST_OPERATIONS = 32768
Words = Any  # a ctypes array of c_int64


class TimingTable:
    """State, records and operations of one core. ``code(address, size)`` gives the bytes of a block."""

    def __init__(self, state: Words, model: CycleModel, code: Callable[[int, int], bytes]) -> None:
        self.model = model
        self.state = state
        self._code = code
        self._index: dict[tuple[int, int, bytes], int] = {}
        self.used_records = 0
        self._used_operations = 1  # the first is a stop for blocks that have none
        self._grow_records(FIRST_RECORDS)
        self._grow_operations(FIRST_OPERATIONS)
        self.operations[0] = f.NO_OPERATION
        self._qspi: Qspi | None = None
        self._load_costs()

    def _load_costs(self) -> None:
        state, model = self.state, self.model
        state[f.CURRENT] = -1
        state[f.COST_MISPREDICT] = model.mispredict
        state[f.COST_REPLAY] = model.replay
        state[f.REPLAY_WINDOW] = model.replay_window if model.replay else -1
        state[f.COST_MMIO] = model.mmio
        state[f.FLASH_BUS] = model.flash_bus
        state[f.REFILL_RAM] = model.refill_ram
        state[f.DIV_LOW], state[f.DIV_HIGH] = model.div
        state[f.SETS] = model.icache_sets
        state[f.LINE_SHIFT] = model.icache_line.bit_length() - 1
        state[f.BTB_SIZE], state[f.BHT_SIZE], state[f.RAS_SIZE] = model.btb, model.bht, model.ras
        for slot in range(model.btb):
            state[f.BTB_ADDRESS + slot] = -1
        state[f.RANDOM] = 1
        state[f.NEXT_FLASH] = state[f.LAST_STORE] = -1
        self.empty_icache()
        self.price_flash(RESET_QSPI)

    def price_flash(self, qspi: Qspi) -> None:
        """Reads from flash cost what these settings of QSPI0 make them; a change ends the read that could merge."""
        if qspi == self._qspi:
            return
        self._qspi = qspi
        if self.model.flash_priced:
            self.state[f.FLASH_FIRST] = qspi.first_byte_clocks
            self.state[f.FLASH_BYTE] = qspi.byte_clocks
        self.state[f.NEXT_FLASH] = -1

    def empty_icache(self) -> None:
        """fence.i: every line is fetched anew."""
        for i in range(2 * self.model.icache_sets):
            self.state[f.TAGS + i] = -1
        self.state[f.LINE] = -1

    def redirect(self) -> None:
        """A trap, interrupt or reset moved pc: the pipeline starts anew."""
        if self.state[f.LINKED]:
            self.state[f.LINKED] = 0
            self.state[f.CYCLES] += self.model.mispredict

    # -- blocks ----------------------------------------------------------------------------------------------------

    def record(self, address: int, size: int) -> int:
        """Offset of the record of the block of ``size`` bytes at ``address``."""
        code = self._code(address, size)
        key = (address, size, code)
        if key not in self._index:
            self._index[key] = self._add(address, size, code)
        return self._index[key]

    def _add(self, address: int, size: int, code: bytes) -> int:
        block = schedule(code, address, self.model)
        if (self.used_records + 1) * f.R_WORDS > len(self.records):
            self._grow_records(2 * len(self.records) // f.R_WORDS)
        if self._used_operations + len(block.operations) + 1 > len(self.operations):
            self._grow_operations(2 * len(self.operations))
        start = self._used_operations
        for operation in block.operations:
            self.operations[self._used_operations] = (
                operation.kind | operation.slack << 8 | operation.register << 16 | operation.remaining << 24
            )
            self._used_operations += 1
        self.operations[self._used_operations] = f.NO_OPERATION
        self._used_operations += 1
        base = self.used_records * f.R_WORDS
        self.used_records += 1
        late = sum((register | cycles << 8) << 16 * i for i, (register, cycles) in enumerate(block.pending))
        self.records[base : base + f.R_FIRST_USE] = (
            size, address, block.instructions, block.cycles, start, late, block.end, block.branch, block.target,
            address + size, -1,
        )  # fmt: skip
        uses = bytes(block.first_use).ljust(8 * (f.R_RUNS - f.R_FIRST_USE), b"\xff")
        for i in range(f.R_RUNS - f.R_FIRST_USE):
            word = int.from_bytes(uses[8 * i : 8 * i + 8], "little", signed=True)
            self.records[base + f.R_FIRST_USE + i] = word
        self.records[base + f.R_STACK] = block.stack
        return base

    def _grow_records(self, count: int) -> None:
        old = getattr(self, "records", None)
        self.records = _larger(old, count * f.R_WORDS)
        self.state[f.RECORDS], self.state[f.RECORDS + 1] = ctypes.addressof(self.records), len(self.records)

    def _grow_operations(self, count: int) -> None:
        old = getattr(self, "operations", None)
        self.operations = _larger(old, count)
        self.state[f.OPERATIONS], self.state[f.OPERATIONS + 1] = ctypes.addressof(self.operations), len(self.operations)

    def counts(self) -> np.ndarray:
        """A copy of all records, one a row, with the block under way counted up to now."""
        rows = np.frombuffer(self.records, np.int64).reshape(-1, f.R_WORDS)[: self.used_records].copy()
        current = self.state[f.CURRENT]
        if current >= 0:
            rows[current // f.R_WORDS, f.R_SPENT] += self.state[f.CYCLES] - self.state[f.SINCE]
        return rows

    # -- waits that are jumped over --------------------------------------------------------------------------------

    def habit(self) -> tuple[bytes, int, tuple[int, ...]]:
        """What the next cycles depend on besides registers and memory; equal twice, they will be the same."""
        state = self.state
        now = state[f.CYCLES]
        times = tuple(max(state[i] - now, -self.model.replay_window - 64) for i in range(f.TIMES, f.TIMES_END))
        words = ctypes.string_at(ctypes.addressof(state) + 8 * f.HABIT, 8 * (f.HABIT_END - f.HABIT))
        return words, state[f.ICACHE_MISSES], times

    def skip(self, cycles: int) -> None:
        """Time jumps: what was outstanding stays as far away as it was."""
        state = self.state
        state[f.CYCLES] += cycles
        for i in range(f.TIMES, f.TIMES_END):
            state[i] += cycles


def _larger(old: Words | None, words: int) -> Words:
    new = (ctypes.c_int64 * words)()
    if old is not None:
        ctypes.memmove(new, old, ctypes.sizeof(old))
    return new
