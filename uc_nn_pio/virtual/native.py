"""The emulator's inner hooks: compiled by numba and called by Unicorn without Python, or, without numba, in Python.

Unicorn calls the block hook before each basic block, the memory hook before each load and store, and the division hook
before each division. All get a pointer to one array of 64-bit words, the *state* (``timing_state.py``), which Python
uses too, between runs and inside register accesses. What they count is ``timing_core.py``'s business.
"""

from __future__ import annotations

from uc_nn_pio.virtual import jit, timing_core
from uc_nn_pio.virtual.timing_state import *  # noqa: F403 - the layout is part of this module
from uc_nn_pio.virtual.timing_state import (
    ANALYSE,
    CYCLES,
    EMU_STOP,
    INSTRUCTION_LIMIT,
    INSTRUCTIONS,
    MAX_REGIONS,
    MISALIGNED,
    OPERATIONS,
    R_SIZE,
    R_WORDS,
    RAM_REGION,
    RECORDS,
    REG_READ,
    REGION,
    REGION_FIELDS,
    SCRATCH,
    SQUASH,
    STATE_WORDS,
    STOP_AT,
    STORE_HASH,
    UNDO,
    UNDO_WORDS,
    VERSION,
)

UC_MEM_WRITE = 17
if jit.NUMBA:
    import numpy as np
    from llvmlite import ir
    from numba import carray, cfunc, njit, types
    from numba.extending import intrinsic

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

    @intrinsic
    def _read_register(typingctx, address, engine, number, value):  # pragma: no cover - compiled
        """Call ``uc_reg_read(engine, number, value)`` at ``address``."""

        def codegen(context, builder, signature, args):
            word, half = ir.IntType(64), ir.IntType(32)
            function = builder.inttoptr(args[0], ir.FunctionType(half, [word, half, word]).as_pointer())
            builder.call(function, [args[1], builder.trunc(args[2], half), args[3]])
            return args[3]

        return types.int64(types.int64, types.int64, types.int64, types.int64), codegen

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

    def _hooks(version):
        """The three hooks. ``version`` stands for the text of all that is compiled into them, so that numba's cache
        never gives those of another."""

        @cfunc(types.void(types.int64, types.uint64, types.uint32, _STATE), cache=True)
        def on_block(engine, address, size, state_pointer):  # pragma: no cover - compiled
            """Count a block before it runs, or stop the emulator in front of it."""
            state = carray(state_pointer, (STATE_WORDS,))
            state[VERSION] = version
            if state[CYCLES] >= state[STOP_AT] or state[INSTRUCTIONS] >= state[INSTRUCTION_LIMIT]:
                _call(state[EMU_STOP], engine, 0)
                return
            at = np.int64(address)
            for number in range(MAX_REGIONS):
                field = REGION + number * REGION_FIELDS
                offset = at - state[field]
                if 0 <= offset < state[field + 1]:
                    # One number a halfword: that of the record of the block that starts there, plus 1.
                    table = carray(_pointer(state[field + 3]), (state[field + 1] // 2,), dtype=np.int32)
                    records = carray(_pointer(state[RECORDS]), (state[RECORDS + 1],), dtype=np.int64)
                    block = (np.int64(table[offset >> 1]) - 1) * R_WORDS
                    if block < 0 or records[block + R_SIZE] != size:
                        block = _call(state[ANALYSE], at, np.int64(size))
                        table[offset >> 1] = block // R_WORDS + 1
                        records = carray(_pointer(state[RECORDS]), (state[RECORDS + 1],), dtype=np.int64)
                    moved = timing_core.moved_stack(state, records)
                    if moved:
                        scratch = np.int64(state.ctypes.data) + 8 * SCRATCH
                        _read_register(state[REG_READ], engine, 3, scratch)
                        timing_core.note_stack(state, state[SCRATCH] & 0xFFFF_FFFF)
                        timing_core.note_stack(state, (state[SCRATCH] & 0xFFFF_FFFF) - moved + 1)
                    timing_core.enter_block(state, records, at, block)
                    return

        @cfunc(types.void(types.int64, types.int32, types.uint64, types.int32, types.int64, _STATE), cache=True)
        def on_memory(engine, kind, address, size, value, state_pointer):  # pragma: no cover - compiled
            """Price a data access; catch misaligned ones; log what an undone block overwrites."""
            state = carray(state_pointer, (STATE_WORDS,))
            state[VERSION] = version
            at = np.int64(address)
            if at & (size - 1) and state[SQUASH] == 0:
                _call(state[MISALIGNED], at, np.int64(kind))  # starts the undo log, which this store opens
            if state[SQUASH] != 0:
                if kind == UC_MEM_WRITE:
                    _log_old_words(state, at, size)
                return
            if kind == UC_MEM_WRITE and at >= 0x2000_0000:
                state[STORE_HASH] = (state[STORE_HASH] ^ (at * 0x9E3779B1 + value + size)) * 0x100000001B3
            records = carray(_pointer(state[RECORDS]), (state[RECORDS + 1],), dtype=np.int64)
            operations = carray(_pointer(state[OPERATIONS]), (state[OPERATIONS + 1],), dtype=np.int64)
            touched = carray(_pointer(state[RAM_REGION + 5]), (state[RAM_REGION + 1] // 4,), dtype=np.uint8)
            timing_core.access(state, records, operations, touched, at, np.int64(size), kind == UC_MEM_WRITE)

        @cfunc(types.void(types.int64, types.uint64, types.uint32, _STATE), cache=True)
        def on_division(engine, address, size, state_pointer):  # pragma: no cover - compiled
            """Price a division by its operands."""
            state = carray(state_pointer, (STATE_WORDS,))
            state[VERSION] = version
            if state[SQUASH] != 0:
                return
            word = np.int64(0)
            for number in range(MAX_REGIONS):
                field = REGION + number * REGION_FIELDS
                offset = np.int64(address) - state[field]
                if 0 <= offset < state[field + 1]:
                    code = carray(_pointer(state[field + 2]), (state[field + 1] // 2,), dtype=np.uint16)
                    word = np.int64(code[offset >> 1]) | np.int64(code[(offset >> 1) + 1]) << 16
            scratch = np.int64(state.ctypes.data) + 8 * SCRATCH
            state[SCRATCH] = 0
            _read_register(state[REG_READ], engine, 1 + (word >> 15 & 31), scratch)
            dividend = state[SCRATCH] & 0xFFFF_FFFF
            state[SCRATCH] = 0
            _read_register(state[REG_READ], engine, 1 + (word >> 20 & 31), scratch)
            divisor = state[SCRATCH] & 0xFFFF_FFFF
            records = carray(_pointer(state[RECORDS]), (state[RECORDS + 1],), dtype=np.int64)
            operations = carray(_pointer(state[OPERATIONS]), (state[OPERATIONS + 1],), dtype=np.int64)
            timing_core.divide(state, records, operations, word >> 12 & 7, dividend, divisor)

        return on_block, on_memory, on_division

    _SOURCES = ("native.py", "timing.py", "timing_blocks.py", "timing_core.py", "timing_state.py")
    on_block, on_memory, on_division = _hooks(jit.digest(*_SOURCES))
