"""The emulator's inner hooks, compiled by numba and called by Unicorn without Python.

Unicorn calls ``on_block`` before each basic block and ``on_memory`` before each load and store. Both get a pointer to
one array of 64-bit words, the *state*, whose fields are the constants below; Python uses the same array between
runs and inside register accesses.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.extending import intrinsic

from uc_nn_pio.virtual.timing import block_cost

# Fields of the state array.
INSTRUCTIONS = 0  # executed
CYCLES = 1  # core cycles, those of skipped polls included
STOP_AT = 2  # stop before the first block at or past this cycle
INSTRUCTION_LIMIT = 3
STORE_HASH = 4  # of all stores since poll skipping last looked
EMU_STOP = 5  # address of uc_emu_stop
MISALIGNED = 6  # address of a function (address, kind) called at a misaligned access
SQUASH = 7  # not 0: the rest of the block is being undone; the number of words in the undo log plus 1
NEXT_FLASH = 8  # address behind the last data read from flash
FLASH_READS = 9
FLASH_CYCLES = 10
COST_MUL = 11
COST_DIV = 12
COST_CSR = 13
COST_FLASH_RANDOM = 14  # a random word
COST_FLASH_WORD = 15  # a following word
COST_FLASH_BYTE = 16
COST_MMIO = 17
MMIO_END = 18  # addresses below are registers
REGION = 20  # MAX_REGIONS x (base, size, pointer to the bytes, pointer to the block table, is flash)
REGION_FIELDS = 5
MAX_REGIONS = 3
LAST_REGION = REGION + REGION_FIELDS * (MAX_REGIONS - 1)  # may lie among the registers (ITIM)
UNDO = REGION + REGION_FIELDS * MAX_REGIONS  # pairs (index of region << 32 | offset of word, old word)
UNDO_WORDS = 1024
STATE_WORDS = UNDO + 2 * UNDO_WORDS

UC_MEM_WRITE = 17

_STATE = types.CPointer(types.int64)


@intrinsic
def _pointer(typingctx, address):  # pragma: no cover - compiled
    """Make a pointer of an integer."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.voidptr(types.int64), codegen


@intrinsic
def _call(typingctx, address, first, second):  # pragma: no cover - compiled
    """Call the C function ``int64 f(int64, int64)`` at ``address``."""

    def codegen(context, builder, signature, args):
        word = ir.IntType(64)
        function = builder.inttoptr(args[0], ir.FunctionType(word, [word, word]).as_pointer())
        return builder.call(function, [args[1], args[2]])

    return types.int64(types.int64, types.int64, types.int64), codegen


@njit
def _log_old_words(state, at, size):  # pragma: no cover - compiled
    for number in range(MAX_REGIONS):
        field = REGION + number * REGION_FIELDS
        offset = at - state[field]
        if 0 <= offset < state[field + 1]:
            words = carray(_pointer(state[field + 2]), (state[field + 1] // 4,), dtype=np.int32)
            for word in range(offset // 4, (offset + size - 1) // 4 + 1):
                count = state[SQUASH] - 1
                if count < UNDO_WORDS and word < state[field + 1] // 4:
                    state[UNDO + 2 * count] = (number << 32) | word
                    state[UNDO + 2 * count + 1] = words[word]
                    state[SQUASH] += 1
            return


@cfunc(types.void(types.int64, types.uint64, types.uint32, _STATE), cache=True)
def on_block(engine, address, size, state_pointer):  # pragma: no cover - compiled
    """Count a block before it runs, or stop the emulator in front of it."""
    state = carray(state_pointer, (STATE_WORDS,))
    if state[CYCLES] >= state[STOP_AT] or state[INSTRUCTIONS] >= state[INSTRUCTION_LIMIT]:
        _call(state[EMU_STOP], engine, 0)
        return
    at = np.int64(address)
    for number in range(MAX_REGIONS):
        field = REGION + number * REGION_FIELDS
        offset = at - state[field]
        if 0 <= offset < state[field + 1]:
            # Two words a block start: its size, its cost.
            table = carray(_pointer(state[field + 3]), (state[field + 1],), dtype=np.int64)
            index = offset & ~1
            if table[index] != size:
                code = carray(_pointer(state[field + 2]), (state[field + 1] // 2,), dtype=np.uint16)
                table[index] = size
                table[index + 1] = block_cost(
                    code, offset // 2, np.int64(size), state[COST_MUL], state[COST_DIV], state[COST_CSR]
                )
            cost = table[index + 1]
            state[INSTRUCTIONS] += cost >> 32
            state[CYCLES] += cost & 0xFFFFFFFF
            return


@cfunc(types.void(types.int64, types.int32, types.uint64, types.int32, types.int64, _STATE), cache=True)
def on_memory(engine, kind, address, size, value, state_pointer):  # pragma: no cover - compiled
    """Price a data access; catch misaligned ones; log what an undone block overwrites."""
    state = carray(state_pointer, (STATE_WORDS,))
    at = np.int64(address)
    if at & (size - 1) and state[SQUASH] == 0:
        _call(state[MISALIGNED], at, np.int64(kind))  # starts the undo log, which this store opens
    if state[SQUASH] != 0:
        if kind == UC_MEM_WRITE:
            _log_old_words(state, at, size)
        return
    if at < state[MMIO_END] and not 0 <= at - state[LAST_REGION] < state[LAST_REGION + 1]:
        state[CYCLES] += state[COST_MMIO]
        return
    if kind == UC_MEM_WRITE:
        state[STORE_HASH] = (state[STORE_HASH] ^ (at * 0x9E3779B1 + value + size)) * 0x100000001B3
        return
    offset = at - state[REGION]
    if 0 <= offset < state[REGION + 1]:
        word = state[COST_FLASH_WORD] if at == state[NEXT_FLASH] else state[COST_FLASH_RANDOM]
        cycles = word - (4 - size) * state[COST_FLASH_BYTE]
        state[NEXT_FLASH] = at + size
        state[FLASH_READS] += 1
        state[FLASH_CYCLES] += cycles
        state[CYCLES] += cycles
