"""Puts the cycle hooks into Unicorn: those that numba compiled, or the same in plain Python."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np
from unicorn import riscv_const as rv
from unicorn import unicorn_const as uc_const
from unicorn.unicorn_py3 import unicorn as binding

from uc_nn_pio.virtual import jit, native, timing_core
from uc_nn_pio.virtual.timing import CycleModel, Qspi
from uc_nn_pio.virtual.timing_table import TimingTable

if TYPE_CHECKING:
    from uc_nn_pio.virtual.cpu import Cpu

_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
_BLOCK = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)
_MEMORY = ctypes.CFUNCTYPE(
    None, ctypes.c_int64, ctypes.c_int32, ctypes.c_uint64, ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p
)
MEMORY_KINDS = uc_const.UC_HOOK_MEM_READ | uc_const.UC_HOOK_MEM_WRITE


class CycleHooks:
    """The cycle model of one core at work. ``compiled`` is false for plain Python."""

    def __init__(self, cpu: Cpu, model: CycleModel, compiled: bool) -> None:
        self._cpu = cpu
        self.compiled = compiled and jit.NUMBA
        self._state = state = cpu._state
        self._error: BaseException | None = None
        self._blocks = [np.zeros(len(memory.data) // 2, np.int32) for memory in cpu.memories]
        self.touched = np.zeros(len(cpu.memories[1].data) // 4, np.uint8)  # words of RAM ever stored to
        for number, memory in enumerate(cpu.memories):
            field = native.REGION + number * native.REGION_FIELDS
            state[field : field + native.REGION_FIELDS] = (
                memory.base, len(memory.data), memory.data.ctypes.data, self._blocks[number].ctypes.data,
                int(not memory.writable), self.touched.ctypes.data if number == 1 else 0,
            )  # fmt: skip
        state[native.MMIO_END] = min(memory.base for memory in cpu.memories if memory.base >= 0x2000_0000)
        self.table = TimingTable(state, model, self._code)
        self._qspi = next((p for p in cpu.bus.peripherals if p.name == "QSPI0"), None)
        self._install()

    def _install(self) -> None:
        lib, state = binding.uclib, self._state
        analyse, misaligned = _CALLBACK(self._analyse), _CALLBACK(self._cpu._on_misaligned)
        self._keep: list[object] = [analyse, misaligned]
        state[native.EMU_STOP] = _address(lib.uc_emu_stop)
        state[native.REG_READ] = _address(lib.uc_reg_read)
        state[native.ANALYSE] = _address(analyse)
        state[native.MISALIGNED] = _address(misaligned)
        if self.compiled:
            on_block, on_memory, on_division = (
                hook.address for hook in (native.on_block, native.on_memory, native.on_division)
            )
        else:
            self._core = jit.plain(timing_core)
            words = len(self.touched)
            self._touched_words = (ctypes.c_uint8 * words).from_buffer(self.touched)
            hooks = _BLOCK(self._on_block), _MEMORY(self._on_memory), _BLOCK(self._on_division)
            self._keep.extend(hooks)
            on_block, on_memory, on_division = (_address(hook) for hook in hooks)
        self._hook(uc_const.UC_HOOK_BLOCK, on_block)
        self._hook(MEMORY_KINDS, on_memory)
        for segment in self._cpu.firmware.segments:
            for address in find_divisions(segment.data, segment.run_address):
                self._hook(uc_const.UC_HOOK_CODE, on_division, address, address)

    def _hook(self, kind: int, function: int, begin: int = 1, end: int = 0) -> None:
        handle = ctypes.c_size_t()
        error = binding.uclib.uc_hook_add(
            self._cpu._handle, ctypes.byref(handle), kind, ctypes.c_void_p(function),
            ctypes.c_void_p(ctypes.addressof(self._state)), ctypes.c_uint64(begin), ctypes.c_uint64(end),
        )  # fmt: skip
        self._cpu._check(error)

    # -- blocks ----------------------------------------------------------------------------------------------------

    def _code(self, address: int, size: int) -> bytes:
        for memory in self._cpu.memories:
            if memory.base <= address < memory.base + len(memory.data):
                return memory.data[address - memory.base :][:size].tobytes()
        return b""

    def _analyse(self, address: int, size: int) -> int:
        return self.table.record(address, size)

    def forget_blocks(self) -> None:
        """Code in RAM has changed, and is fetched anew."""
        self.look_again()
        self.table.empty_icache()

    def look_again(self) -> None:
        """Code in RAM may have changed, by a hand that the core does not see."""
        for memory, blocks in zip(self._cpu.memories, self._blocks, strict=True):
            if memory.writable:
                blocks[:] = 0

    def price_flash(self) -> None:
        """Follow the registers of QSPI0."""
        if self._qspi is not None:
            values = self._qspi.values
            self.table.price_flash(Qspi(*(values[name] for name in ("sckdiv", "ffmt", "delay0", "delay1"))))

    # -- the hooks in plain Python ---------------------------------------------------------------------------------

    def _on_block(self, engine: int, address: int, size: int, user: int) -> None:
        state = self._state
        if state[native.CYCLES] >= state[native.STOP_AT] or (
            state[native.INSTRUCTIONS] >= state[native.INSTRUCTION_LIMIT]
        ):
            binding.uclib.uc_emu_stop(self._cpu._handle)
            return
        for memory, blocks in zip(self._cpu.memories, self._blocks, strict=True):
            offset = address - memory.base
            if 0 <= offset < len(memory.data):
                block = (int(blocks[offset >> 1]) - 1) * native.R_WORDS
                if block < 0 or self.table.records[block + native.R_SIZE] != size:
                    block = self.table.record(address, size)
                    blocks[offset >> 1] = block // native.R_WORDS + 1
                moved = self._core.moved_stack(state, self.table.records)
                if moved:
                    pointer = self._cpu.uc.reg_read(rv.UC_RISCV_REG_X2) & 0xFFFF_FFFF
                    self._core.note_stack(state, pointer)
                    self._core.note_stack(state, pointer - moved + 1)
                self._core.enter_block(state, self.table.records, address, block)
                return

    def _on_memory(self, engine: int, kind: int, address: int, size: int, value: int, user: int) -> None:
        state = self._state
        write = kind == native.UC_MEM_WRITE
        if address & (size - 1) and state[native.SQUASH] == 0:
            self._cpu._on_misaligned(address, kind)
        if state[native.SQUASH] != 0:
            if write:
                for at in {address, address + size - 1}:
                    self._cpu.log_old_word(at)
            return
        if write and address >= 0x2000_0000:
            mixed = state[native.STORE_HASH] ^ (address * 0x9E3779B1 + value + size)
            state[native.STORE_HASH] = mixed * 0x100000001B3
        table = self.table
        self._core.access(state, table.records, table.operations, self._touched_words, address, size, write)

    def _on_division(self, engine: int, address: int, size: int, user: int) -> None:
        if self._state[native.SQUASH]:
            return
        word = int.from_bytes(self._code(address, 4), "little")
        first, second = (
            self._cpu.uc.reg_read(rv.UC_RISCV_REG_X0 + number) & 0xFFFF_FFFF
            for number in (word >> 15 & 31, word >> 20 & 31)
        )
        table = self.table
        self._core.divide(self._state, table.records, table.operations, word >> 12 & 7, first, second)


def find_divisions(code: bytes, address: int) -> list[int]:
    """Addresses of what looks like DIV, DIVU, REM or REMU in ``code``, which runs at ``address``."""
    data = np.frombuffer(code + b"\0" * (4 + len(code) % 2), np.uint8)
    halves = data[: len(data) // 2 * 2].view("<u2").astype(np.uint32)
    words = halves[:-1] | halves[1:] << np.uint32(16)
    return [address + 2 * int(i) for i in np.flatnonzero(words & 0xFE00_407F == 0x0200_4033)]


def _address(function: object) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0  # type: ignore[arg-type]
