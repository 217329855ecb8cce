"""The cycle model, one number of its sources at a time, on firmware that counts with mcycle."""

import re
from dataclasses import replace

import pytest

from uc_nn_pio.boards import load_board
from uc_nn_pio.errors import BoardError
from uc_nn_pio.virtual import VirtualBoard
from uc_nn_pio.virtual.timing import RESET_QSPI, CycleModel, Qspi
from uc_nn_pio.virtual.timing_blocks import schedule

MEASURE = """
static uint32_t ram[16];
const uint32_t table[64] = {1, 2, 3};
__attribute__((noinline)) static uint32_t measure(uint32_t x, uint32_t y) {
  register uint32_t a0_ __asm__("a0") = x, a1_ __asm__("a1") = y;
  register const void *a2_ __asm__("a2") = ram, *a3_ __asm__("a3") = table;
  uint32_t begin, end;
  __asm__ volatile(".balign 32\\ncsrr %0, mcycle\\nBODY\\ncsrr %1, mcycle"
    : "=&r"(begin), "=&r"(end), "+r"(a0_), "+r"(a1_) : "r"(a2_), "r"(a3_) : "t0", "t1", "t2", "memory");
  return end - begin - 1;
}
int main(void) {
  static uint32_t cycles[ROUNDS];
  SETUP;
  uart_init(RESET_HZ);
  for (volatile int i = 0; i < ROUNDS; i++) cycles[i] = measure(X, Y);
  for (int i = 0; i < ROUNDS; i++) show("cycles", cycles[i]);
  puts_("done\\n");
  for (;;) {}
}
"""


@pytest.fixture
def rounds(run):
    """Cycles of some instructions in each of several rounds; a0 and a1 are given, a2 is RAM, a3 flash."""

    def go(body, a0="0", a1="0", rounds=3, setup="", **options):
        source = MEASURE.replace("BODY", body.replace("; ", "\\n")).replace("ROUNDS", str(rounds))
        board = run(source.replace("X", a0).replace("Y", a1).replace("SETUP", setup or "(void)0"), **options)
        return [int(value, 16) for value in re.findall(r"cycles=(\w+)", board.text)]

    return go


@pytest.fixture
def cycles(rounds):
    """Cycles of some instructions that are in the I-cache, and whose branches the core has seen."""
    return lambda body, *args, **options: rounds(body, *args, **options)[-1]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("nop", 1),
        ("addi t0, zero, 1; addi t0, t0, 1", 2),
        ("lw t0, 0(a2); addi t1, t0, 1", 3),  # LW: 2 cycles
        ("lw t0, 0(a2); nop; addi t1, t0, 1", 3),
        ("lh t0, 0(a2); addi t1, t0, 1", 4),  # LH, LB: 3 cycles
        ("lbu t0, 0(a2); nop; addi t1, t0, 1", 4),
        ("lw t0, 0(a2); sw t0, 4(a2)", 3),
        ("csrr t0, mscratch; addi t1, t0, 1", 4),  # CSR: 3 cycles
        ("csrr t0, mscratch; nop; nop; addi t1, t0, 1", 4),
    ],
)
def test_a_result_is_there_when_the_manual_says(cycles, body, expected):
    """FE310-G000 manual v2, section 3.2: latencies of LW 2, LH and LB 3, CSR 3."""
    assert cycles(body) == expected


def test_multiplications_take_five_cycles_one_at_a_time(cycles):
    """Section 3.2: 5 cycles, not pipelined; what does not need the product goes on."""
    four, eight = (cycles("; ".join(["mul t0, a0, a1"] * n) + "; mv t1, t0") for n in (4, 8))
    assert eight - four == 4 * 5
    assert cycles("mul t0, a0, a1; mv t1, t0") == 6
    assert cycles("mul t0, a0, a1; nop; nop; nop; nop; mv t1, t0") == 6


@pytest.mark.parametrize(
    ("instruction", "a0", "a1", "expected"),
    [
        ("divu", "1", "1", 2),
        ("divu", "0", "7", 2),
        ("divu", "0xffffffffu", "1", 33),
        ("remu", "0xffffffffu", "0", 33),
        ("div", "0x80000000u", "0xffffffffu", 33),
        ("divu", "0xffffffffu", "0x10000u", 17),
        ("rem", "1000", "1000", 2),
    ],
)
def test_divisions_take_2_to_33_cycles(cycles, instruction, a0, a1, expected):
    """Section 3.2: 2 to 33 by the operands; how they decide is chosen."""
    assert cycles(f"{instruction} t0, a0, a1; mv t1, t0", a0, a1) == expected + 1


def test_a_load_behind_a_store_to_its_word_is_replayed(cycles):
    """rocket-chip Dcache.scala: about 5 cycles, within 2 cycles of the store."""
    other = cycles("sw t0, 0(a2); lw t1, 4(a2); mv t2, t1")
    assert cycles("sw t0, 0(a2); lw t1, 0(a2); mv t2, t1") == other + 5
    assert cycles("sw t0, 0(a2); lbu t1, 3(a2); nop; mv t2, t1") == other + 5 + 1
    assert cycles("sw t0, 0(a2); nop; nop; lw t1, 0(a2); mv t2, t1") == other + 2


def test_a_wrong_guess_costs_three_cycles(rounds):
    """Section 3.3. The branch is first not taken, then taken: unknown to the BTB, later foreseen."""
    seen = rounds("beqz a0, 1f; nop; 1: nop", "i == 0", rounds=60)
    assert seen[1] - seen[-1] == 3
    assert seen[-1] == seen[-2] == 2


def test_a_loop_is_foreseen_but_for_its_end(cycles):
    short, long = (cycles(f"li t0, {n}; 1: addi t0, t0, -1; bnez t0, 1b", rounds=40) for n in (50, 80))
    assert long - short == 30 * 2


# -- flash ------------------------------------------------------------------------------------------------------------


def test_words_from_flash_at_reset_settings(cycles):
    """550 cycles for a random word, 268 for the one behind it (sifive-blocks SPIFlash.scala; bus latency 4)."""
    assert cycles("lw t0, 64(a3); mv t1, t0") == 550 + 1
    assert cycles("lw t0, 64(a3); lw t0, 68(a3); mv t1, t0") == 550 + 268 + 1
    assert cycles("lw t0, 64(a3); lw t0, 72(a3); mv t1, t0") == 2 * 550 + 1
    assert cycles("lbu t0, 64(a3); mv t1, t0") == 282 + 66 + 4 + 1
    assert cycles("lbu t0, 64(a3); lbu t1, 65(a3); mv t2, t1") == 282 + 2 * (66 + 4) + 1


def test_a_read_from_flash_waits_at_its_first_use(cycles):
    """rocket-chip: one outstanding; or at the next access that leaves the core."""
    hidden = "; ".join(["nop"] * 100)
    assert cycles(f"lw t0, 64(a3); {hidden}; mv t1, t0") == 551
    assert cycles(f"lw t0, 64(a3); lw t1, 0(a2); mv t2, t1; {hidden}; mv t1, t0") == 551  # RAM is elsewhere
    assert cycles(f"lw t0, 64(a3); {hidden}; lw t1, 0(a3); mv t2, t1") == 2 * 550 + 1
    assert cycles("lw t0, 64(a3); beqz zero, 1f; nop; 1: mv t1, t0", rounds=30) == 551  # in the next block


def test_a_cold_line_of_code(run):
    """An I-cache line: 282 + 32 x 66 + 4 = 2,398 cycles; the one behind it merges."""
    board = run("""
      __attribute__((noinline, aligned(256))) void near(void) { __asm__ volatile("nop"); }
      __attribute__((noinline, aligned(256))) void far(void) { __asm__ volatile("nop"); }
      __attribute__((noinline, aligned(256))) void two(void) { __asm__ volatile(".rept 16\\nnop\\n.endr"); }
      int main(void) { uart_init(RESET_HZ);
        void (*const call[])(void) = {near, far, near, far, two, near, two};
        uint32_t cycles[7];
        for (volatile int i = 0; i < 7; i++) {
          uint32_t t = CSR_READ(mcycle); call[i](); cycles[i] = CSR_READ(mcycle) - t; }
        show("one", cycles[1] - cycles[3]); show("two", cycles[4] - cycles[6]);
        puts_("done\\n"); for (;;) {} }""")
    one, two = (int(value, 16) for value in re.findall(r"(?:one|two)=(\w+)", board.text))
    assert 0 <= one - 2398 <= 6  # returns are foreseen the second time
    assert 0 <= two - (2398 + 32 * 66 + 4) <= 6


@pytest.mark.parametrize(
    ("sckdiv", "ffmt", "first", "byte"),
    [
        (3, 0x0003_0007, 282, 66),  # reset: SCK = core / 8, 0x03, three address bytes, one lane
        (7, 0x0003_0007, 16 * (3 + 32) + 2, 128),
        (3, 0x000B_0087, 8 * (3 + 32 + 8), 66),  # fast read, 8 dummy clocks
        (3, 0x00BB_1447, 8 * (3 + 8 + 12 + 4), 34),  # dual I/O: address, dummy clocks and data on two lanes
    ],
)
def test_the_registers_of_qspi0_set_the_price(cycles, sckdiv, ffmt, first, byte):
    """Clocks counted by hand from the state machines of sifive-blocks; the firmware sets them at run time."""
    assert (Qspi(sckdiv, ffmt, 0x0001_0001, 1).first_byte_clocks, Qspi(sckdiv, ffmt, 0x0001_0001, 1).byte_clocks) == (
        first,
        byte,
    )
    setup = f"QSPI0(0) = {sckdiv}; QSPI0(0x64) = {ffmt}"
    assert cycles("lw t0, 64(a3); mv t1, t0", setup=setup) == first + 4 * byte + 4 + 1


def test_delays_of_qspi0_count():
    """delay0 and delay1: SCK periods between select and clock, and before the next select (manual, chapter 19)."""
    assert RESET_QSPI.first_byte_clocks == 282
    assert replace(RESET_QSPI, delay0=0x0003_0002).first_byte_clocks == 282 + 3 * 8
    assert replace(RESET_QSPI, delay1=5).first_byte_clocks == 282 + 4 * 8
    assert replace(RESET_QSPI, delay1=1 | 2 << 16).byte_clocks == 64 + 2 * 8  # between bytes


def test_a_register_access_takes_eight_cycles(cycles):
    """Chosen (board data, core.mmio_cycles)."""
    assert cycles("lui t0, 0x10012; lw t1, 8(t0); mv t2, t1") == 1 + 8 + 1


# -- counts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "defines"), [("hello", {}), ("numeric", {"ROUNDS": 1})])
def test_plain_python_counts_the_same_and_says_that_it_is_slow(build, name, defines):
    boards = [VirtualBoard(build(name, **defines), compiled=compiled) for compiled in (True, False)]
    results = [board.run(until="done\n", max_seconds=2, max_instructions=60_000) for board in boards]
    assert results[0] == results[1]
    assert boards[0].profile() == boards[1].profile()
    assert boards[0].memory_use() == boards[1].memory_use()
    assert [len(board.reports.of("speed")) for board in boards] == [0, 1]


def test_functions_add_up_to_the_whole(build):
    board = VirtualBoard(build("numeric", ROUNDS=3))
    result = board.run(until="done\n", max_seconds=2)
    functions = board.profile()
    assert sum(f.cycles for f in functions) == result.cycles
    assert sum(f.instructions for f in functions) == result.instructions
    assert sum(f.flash_reads for f in functions) == result.flash_reads
    assert sum(f.icache_misses for f in functions) == result.icache_misses
    assert sum(f.mispredicts for f in functions) == result.mispredicts
    by_name = {f.function.split(".")[0]: f for f in functions}
    assert by_name["mix"].calls == 3
    assert by_name["dot"].calls == 3  # the compiler knows that it gives the same each time
    assert by_name["__mulsf3"].calls >= 3 * 64
    assert [f.cycles for f in functions] == sorted((f.cycles for f in functions), reverse=True)


def test_stack_and_touched_ram(run):
    board = run("""
      static volatile uint32_t block[100];
      __attribute__((noinline)) void deep(void) { volatile uint32_t frame[250]; frame[0] = 1; (void)frame[0]; }
      int main(void) { uart_init(RESET_HZ); deep(); block[7] = 1; puts_("done\\n"); for (;;) {} }""")
    use = board.memory_use()
    assert use.ram == 16384
    assert use.stack_high == 0x8000_4000
    assert 1000 <= use.stack < 1200
    assert 400 <= use.touched < 600  # .bss is cleared word by word; of the frame one word is written


@pytest.mark.parametrize(
    ("words", "depth"),
    [
        ((0x5FC0_0117, 0x7E21_0113), 0),  # auipc sp, 0x5fc00; addi sp, sp, 2018: half an address is no stack pointer
        ((0xFC01_0113, 0x0401_0113), 64),  # addi sp, sp, -64; addi sp, sp, 64: it was 64 bytes lower on the way
    ],
)
def test_the_stack_pointer_within_a_block(words, depth):
    code = b"".join(word.to_bytes(4, "little") for word in words) + bytes.fromhex("8280")  # ret
    block = schedule(code, 0x2040_0000, CycleModel.of(load_board("hifive1")))
    assert block.stack == 1 + depth


def test_a_board_that_the_model_does_not_know_is_refused():
    board = load_board("hifive1")
    odd = replace(board, details={**board.details, "icache": {**board.details["icache"], "ways": 4}})
    with pytest.raises(BoardError, match="I-cache"):
        CycleModel.of(odd)
