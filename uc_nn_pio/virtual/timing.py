"""The cycle model of the FE310: its parameters, which are board data, and what a read from flash costs.

The core is in-order and issues one instruction a cycle. What makes it slower, and where each number is from:

=====================  ============================================================  ==================================
what                   how it is modelled                                            source
=====================  ============================================================  ==================================
load-use               LW 2 cycles, LB/LH 3 until the result can be used             FE310-G000 manual v2, 3.2
MUL                    5 cycles, the unit takes one at a time; others may go on      manual, 3.2
DIV, REM               2 to 33 cycles by operands: 1 + bits of the quotient, one     range: manual, 3.2; rule: chosen
                       more for each sign to undo
CSR                    3 cycles until the result can be used                         manual, 3.2
store, then load       same word within 2 cycles: replayed, 5 cycles                 rocket-chip Dcache.scala
branches               BTB 40 entries, BHT 128 (gshare), RAS 2; a wrong guess        manual, 3.3; rocket-chip btb.scala
                       costs 3 cycles, a right one nothing
instruction fetch      I-cache 16 KiB, 2 ways, lines of 32 bytes, random victim;     manual, 3.1; rocket-chip ICache
                       a miss blocks until the whole line is there
flash data read        not cached; one outstanding, waits at the first use or at     sifive-blocks SPIFlash,
                       the next access of flash or registers; see ``Qspi``           TLSPIFlash, SPIMedia, SPIPhysical
register access        8 cycles, one outstanding like a flash read                   chosen; 4 to 15 are plausible
bus to the flash       4 cycles a read                                               chosen; 4 to 15 are plausible
code in RAM            16 cycles a line into the I-cache                             chosen
trap, mret, fence.i    3 cycles for the new start                                    chosen
=====================  ============================================================  ==================================

The static part of this, the schedule of a basic block, is in ``timing_blocks.py`` and done once a block; the part that
depends on addresses and history is in ``timing_core.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from uc_nn_pio.boards import Board
from uc_nn_pio.errors import BoardError

NOTICE = (
    "cycle model 'fe310': pipeline, branch prediction, I-cache and QSPI0 flash reads are modelled from published "
    "sources and never fitted; milliseconds are predictions, held against one published measurement "
    "(docs/virtual-board.md, Cycles)."
)

PLAIN_NOTICE = (
    "the cycle hooks run in plain Python: same counts, a few hundred times slower. Install numba "
    "(pip install 'uc_nn_pio[virtual]') and leave UC_NN_PIO_PLAIN unset to run compiled."
)

WAYS = 2  # of the I-cache; timing_core.py knows no other number
BTB_MAX, BHT_MAX, RAS_MAX, SETS_MAX = 64, 512, 8, 1024


@dataclass(frozen=True)
class Qspi:
    """What QSPI0 takes for a read, in core clocks, from its registers sckdiv, ffmt, delay0 and delay1.

    Closed form of the state machines in sifive-blocks (SPIFlashMap, SPIMedia, SPIPhysical with two clocks of sample
    delay). With T = 2 (sckdiv + 1), the core clocks of one SCK period:

    - before the first byte: T (sckcs + intercs + cssck + command bits / lanes + address bits / lanes + dummy clocks),
      where the three delays take at least one clock each; ``g + interxfr T`` after each byte sent and after the dummy
      clocks, with g = max(3 - sckdiv, 0); without dummy clocks 2 clocks, or 1 + interxfr T;
    - each byte: T 8 / lanes + max(5 - sckdiv, g + interxfr T).

    At reset settings: 282 and 66.
    """

    sckdiv: int
    ffmt: int
    delay0: int
    delay1: int

    @property
    def period(self) -> int:
        return 2 * ((self.sckdiv & 0xFFF) + 1)

    @property
    def _between(self) -> int:
        return self.period * (self.delay1 >> 16 & 0xFF)

    @property
    def _handshake(self) -> int:
        return max(3 - (self.sckdiv & 0xFFF), 0) + self._between

    @property
    def first_byte_clocks(self) -> int:
        """From the start of a read that does not merge until its first byte may come."""
        period, ffmt = self.period, self.ffmt
        delays = (self.delay0 & 0xFF, self.delay0 >> 16 & 0xFF, self.delay1 & 0xFF)
        command, address, dummy = ffmt & 1, ffmt >> 1 & 7, ffmt >> 4 & 0xF
        clocks = command * _clocks_of_byte(ffmt >> 8) + address * _clocks_of_byte(ffmt >> 10) + dummy
        handshakes = (command + address + (dummy > 0)) * self._handshake
        if not dummy:
            handshakes += 1 + self._between if self._between else 2
        return sum(max(period * delay, 1) for delay in delays) + period * clocks + handshakes

    @property
    def byte_clocks(self) -> int:
        """Each byte of a read."""
        return self.period * _clocks_of_byte(self.ffmt >> 12) + max(5 - (self.sckdiv & 0xFFF), self._handshake)


def _clocks_of_byte(protocol: int) -> int:
    """SCK periods of a byte: single, dual or quad (3 is reserved)."""
    return 8 >> min(protocol & 3, 2)


RESET_QSPI = Qspi(sckdiv=3, ffmt=0x0003_0007, delay0=0x0001_0001, delay1=0x0000_0001)


@dataclass(frozen=True)
class CycleModel:
    """Parameters in core cycles. The defaults are a core that knows nothing but one cycle an instruction."""

    load_word: int = 1
    load_byte: int = 1
    csr: int = 1
    mul: int = 1
    div: tuple[int, int] = (1, 1)
    mispredict: int = 0
    replay: int = 0
    replay_window: int = 2
    btb: int = 0
    bht: int = 0
    ras: int = 0
    icache_sets: int = 0
    icache_line: int = 32
    refill_ram: int = 0
    mmio: int = 1
    flash_bus: int = 0
    flash_priced: bool = False

    @classmethod
    def of(cls, board: Board) -> CycleModel:
        """Parameters of a board; where its data do not say, nothing is charged.

        Raises:
            BoardError: a predictor or an I-cache of a kind that this model does not know.
        """
        core, cache, qspi = (board.details.get(key, {}) for key in ("core", "icache", "qspi"))
        low, high = core.get("div_cycles", (1, 1))
        line = cache.get("line", 32)
        sets = cache["size"] // (cache["ways"] * line) if cache else 0
        model = cls(
            load_word=core.get("load_word_cycles", 1),
            load_byte=core.get("load_byte_cycles", 1),
            csr=core.get("csr_cycles", 1),
            mul=core.get("mul_cycles", 1),
            div=(low, high),
            mispredict=core.get("mispredict_cycles", 0),
            replay=core.get("store_to_load_replay_cycles", 0),
            replay_window=core.get("store_to_load_window_cycles", 2),
            btb=core.get("btb_entries", 0),
            bht=core.get("bht_entries", 0),
            ras=core.get("ras_entries", 0),
            icache_sets=sets,
            icache_line=line,
            refill_ram=cache.get("refill_cycles_ram", 0),
            mmio=core.get("mmio_cycles", 1),
            flash_bus=qspi.get("bus_cycles", 0),
            flash_priced=bool(qspi),
        )
        fits = model.btb <= BTB_MAX and model.bht <= BHT_MAX and model.ras <= RAS_MAX and sets <= SETS_MAX
        powers = all(n & (n - 1) == 0 for n in (model.bht, sets, line))
        if not fits or not powers or cache.get("ways", WAYS) != WAYS:
            raise BoardError(
                f"board {board.id!r} has a branch predictor or an I-cache that the cycle model does not know",
                why=f"BTB <= {BTB_MAX}, BHT <= {BHT_MAX}, RAS <= {RAS_MAX}, {WAYS} ways, sizes powers of two",
                next_step="correct 'core' and 'icache' of the board file (docs/boards.md)",
            )
        return model
