"""Layout of the arrays that the hooks and Python share: fields of the *state*, of a region, of a block's record."""

from __future__ import annotations

# Counters.
INSTRUCTIONS = 0  # executed
CYCLES = 1  # core cycles, those of skipped polls included
STOP_AT = 2  # stop before the first block at or past this cycle
INSTRUCTION_LIMIT = 3
STORE_HASH = 4  # of all stores since poll skipping last looked
EMU_STOP = 5  # address of uc_emu_stop
MISALIGNED = 6  # address of a function (address, kind) called at a misaligned access
SQUASH = 7  # not 0: the rest of the block is being undone; the number of words in the undo log plus 1
FLASH_READS = 8
FLASH_CYCLES = 9  # that the core waited for them
ICACHE_MISSES = 10
ICACHE_CYCLES = 11
MISPREDICTS = 12
MMIO_ACCESSES = 13
MMIO_CYCLES = 14
REPLAYS = 15
# Where things are.
ANALYSE = 16  # address of a function (block's address, size) that returns the offset of its record
RECORDS = 17  # pointer, and words
OPERATIONS = 19  # pointer, and words
REG_READ = 21  # address of uc_reg_read
SCRATCH = 22  # a register's value
CURRENT = 24  # offset of the record of the block under way, or -1
SINCE = 25  # cycle at which it began
OPERATION = 26  # index of its next operation
STACK_LOW = 27  # of the stack pointer, where it was in RAM
STACK_HIGH = 28  # 0: never
VERSION = 30  # of the compiled hooks
PORT_FLASH = 29  # 1: the bus is, or was last, busy with flash
# Costs and sizes, from ``CycleModel``.
COST_MISPREDICT = 32
COST_REPLAY = 33
REPLAY_WINDOW = 34
COST_MMIO = 35
FLASH_FIRST = 36  # clocks before the first byte of a read that does not merge
FLASH_BYTE = 37
FLASH_BUS = 38
REFILL_RAM = 39
DIV_LOW = 40
DIV_HIGH = 41
SETS = 42
LINE_SHIFT = 43
BTB_SIZE = 44
BHT_SIZE = 45
RAS_SIZE = 46
MMIO_END = 47  # addresses below are registers
# What the next cycles depend on, besides registers and memory: a wait that finds all this as it was will repeat.
HABIT = 64
LINKED = 64  # 1: the next block follows from the one under way; 0: something else moved pc
NEXT_FLASH = 65  # address behind the last byte read from flash
LINE = 66  # I-cache line fetched last
RANDOM = 67  # shift register that picks the victim
HISTORY = 68
BTB_NEXT = 69
RAS_COUNT = 70
RAS_TOP = 71
PENDING = 72  # 1: a result may be outstanding at the start of the next block
LAST_STORE = 73  # address of its word
PENDING_REGISTER = 74  # one a slot, see PENDING_READY
RAS = 82
BTB_ADDRESS = 90
BTB_TARGET = 154
BHT = 218
HABIT_END = 730
# Cycles at which something is ready; they move along when time is skipped.
TIMES = 730
PORT_FREE = 730  # the bus takes the next access of flash or registers
LAST_STORE_TIME = 731
PENDING_READY = 732  # slots: flash, register, quotient, divider, and three that a block's schedule leaves
SLOT_FLASH, SLOT_MMIO, SLOT_QUOTIENT, SLOT_DIVIDER, SLOT_SCHEDULE, SLOTS = 0, 1, 2, 3, 4, 7
TIMES_END = 739
TAGS = 740  # of the I-cache, two a set
REGION = 2792  # MAX_REGIONS x (base, size, pointer to the bytes, pointer to the block table, is flash, touched words)
REGION_FIELDS = 6
MAX_REGIONS = 3
RAM_REGION = REGION + REGION_FIELDS
LAST_REGION = REGION + REGION_FIELDS * (MAX_REGIONS - 1)  # may lie among the registers (ITIM)
UNDO = REGION + REGION_FIELDS * MAX_REGIONS  # pairs (index of region << 32 | offset of word, old word)
UNDO_WORDS = 1024
STATE_WORDS = UNDO + 2 * UNDO_WORDS

# A block's record: what its schedule says, then what was counted.
R_SIZE = 0  # bytes
R_START = 1
R_INSTRUCTIONS = 2
R_CYCLES = 3  # of the schedule
R_OPERATIONS = 4  # index of its first operation
R_PENDING = 5  # up to three bytes of register, cycles after the end; 0: none
R_END = 6
R_BRANCH = 7  # address of the last instruction
R_TARGET = 8
R_AFTER = 9  # address behind the block
R_SLOT = 10  # of the BTB where its branch was found last
R_FIRST_USE = 11  # a byte a register
R_RUNS = 16
R_SPENT = 17  # cycles
R_FLASH_READS = 18
R_FLASH_CYCLES = 19
R_ICACHE_MISSES = 20
R_ICACHE_CYCLES = 21
R_MISPREDICTS = 22
R_ENTERED = 23  # times it was reached by a jump or call
R_STACK = 24  # 0: it does not write the stack pointer; otherwise 1 + how far below its last value it was
R_WORDS = 25

# An operation: kind, slack << 8, register << 16, remaining << 24.
NO_OPERATION = 7 | 255 << 8
