"""What an instruction costs: the only place that knows cycles.

Two facts go in: the instructions of a block, and data reads from flash. The model so far is *flat*: one cycle an
instruction, the multiplier, divider and CSR times of the board data, the price of every data read from flash at reset
settings of QSPI0 (a following word is cheaper than a random one), and a fixed price for a register access. It knows no
load-use stall, no branch prediction and no I-cache, so its milliseconds are **not yet predictions of the chip**.
"""

from __future__ import annotations

from dataclasses import dataclass

from numba import njit

from uc_nn_pio.boards import Board

NOTICE = (
    "cycle model 'flat': instructions, multiplier, divider and flash data reads are priced; load-use stalls, branch "
    "prediction and the I-cache are not. Milliseconds are not predictions of the chip."
)

# Latency of a peripheral register; chosen, 4 to 15 are plausible.
MMIO_CYCLES = 8
# Cycles of the bus in a flash read (sifive-blocks SPIFlash.scala; 268 = 4 bytes x 66 + 4 at reset settings).
FLASH_BUS_CYCLES = 4


@dataclass(frozen=True)
class FlatModel:
    """Costs in core cycles, from board data. ``flash_byte`` is one byte that follows the one before it."""

    mul: int
    div: int
    csr: int
    flash_random_word: int
    flash_sequential_word: int
    mmio: int = MMIO_CYCLES

    @property
    def flash_byte(self) -> int:
        return (self.flash_sequential_word - FLASH_BUS_CYCLES) // 4

    @classmethod
    def of(cls, board: Board) -> FlatModel:
        """Costs of a board; 1 cycle, and flash for nothing, where the board data do not say."""
        core = board.details.get("core", {})
        low, high = core.get("div_cycles", (1, 1))
        return cls(
            mul=core.get("mul_cycles", 1),
            div=(low + high) // 2,
            csr=core.get("csr_cycles", 1),
            flash_random_word=board.flash.random_word_cycles or 0,
            flash_sequential_word=board.flash.sequential_word_cycles or 0,
        )


@njit(cache=True)
def block_cost(code, start, size, mul, div, csr):  # pragma: no cover - compiled
    """Instructions and cycles of the ``size`` bytes at index ``start`` of ``code``, 16-bit halves of memory.

    Returns (instructions << 32) | cycles.
    """
    instructions = 0
    cycles = 0
    i = start
    end = start + size // 2
    while i < end:
        half = code[i]
        instructions += 1
        cycles += 1
        if half & 3 != 3:  # RVC
            i += 1
            continue
        opcode = half & 0x7F
        upper = code[i + 1] if i + 1 < end else 0
        i += 2
        if opcode == 0x33 and upper >> 9 == 1:  # M extension; funct3 is bits 12..14
            cycles += (mul if (half >> 12) & 7 < 4 else div) - 1
        elif opcode == 0x73 and (half >> 12) & 7 != 0:
            cycles += csr - 1
    return (instructions << 32) | cycles
