"""The core: memory, exceptions, interrupts, counters, and clear stops where the chip has nothing."""

import re
import subprocess
import time

import pytest

from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.virtual import VirtualBoard

TRAPS = """
void on_trap(uint32_t cause, uint32_t epc, uint32_t value) {
  puts_("trap "); show("cause", cause); show("epc", epc); show("value", value); puts_("done\\n");
  for (;;) {}
}
"""


def values(board):
    """The ``name=hex`` lines that a firmware printed."""
    return {name: int(value, 16) for name, value in re.findall(r"(\w+)=([0-9a-f]{8})", board.text)}


def test_data_and_bss_are_set_up_from_flash_over_random_ram(build):
    board = VirtualBoard(build("hello"))
    assert board.run(until="done\n", max_seconds=1).reason == "until"
    assert board.text == "hello\ndata=1234abcd\nbss=00000000\ndone\n"


def test_ram_is_random_at_power_up_and_follows_the_seed(run):
    source = """int main(void) { uart_init(RESET_HZ); show("a", REG(0x80002000)); show("b", REG(0x80002004));
      puts_("done\\n"); for (;;) {} }"""
    first, again, other = run(source, seed=1), run(source, seed=1), run(source, seed=2)
    assert first.text == again.text != other.text


def test_the_same_run_gives_the_same_counts(build):
    elf = build("numeric", ROUNDS=20)
    boards = [VirtualBoard(elf) for _ in range(2)]
    results = [board.run(until="done\n", max_seconds=2) for board in boards]
    assert results[0] == results[1]
    assert boards[0].output == boards[1].output


def test_two_boards_run_in_turns(build):
    elf = build("numeric", ROUNDS=20)
    alone = VirtualBoard(elf)
    alone.run(until="done\n", max_seconds=2)
    pair = [VirtualBoard(elf), VirtualBoard(elf)]
    for _ in range(20):
        for board in pair:
            board.run(max_instructions=20_000)
    for board in pair:
        board.run(until="done\n", max_seconds=2)
        assert board.output == alone.output


def test_qemu_prints_the_same(build, tmp_path):
    """QEMU's sifive_e as a second opinion on instructions, soft float and the UART."""
    elf = build("numeric", ROUNDS=20)
    board = VirtualBoard(elf)
    board.run(until="done\n", max_seconds=2)
    text = tmp_path / "uart.txt"
    command = ["qemu-system-riscv32", "-M", "sifive_e", "-nographic", "-monitor", "none", "-serial", f"file:{text}"]
    process = subprocess.Popen([*command, "-kernel", str(elf)], stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while b"done" not in (text.read_bytes() if text.exists() else b"") and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    assert text.read_bytes() == bytes(board.output)
    assert board.text.startswith("q=")


def test_optimization_levels_agree(build):
    texts = set()
    for flags in (("-O2",), ("-O0",), ("-Os",)):
        board = VirtualBoard(build("numeric", flags=flags, ROUNDS=2))
        board.run(until="done\n", max_seconds=2)
        texts.add(board.text)
    assert len(texts) == 1


# -- exceptions go to the firmware's handler ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instruction", "cause", "value"),
    [
        (".word 0xffffffff", 2, 0xFFFFFFFF),
        (".half 0", 2, 0),
        ("csrr a0, 0x7c0", 2, 0x7C002573),
        ("csrr a0, 0xc01", 2, 0xC0102573),  # the time CSR: this core has none
        ("ebreak", 3, 0),
        ("ecall", 11, 0),
    ],
)
def test_exceptions_reach_the_handler(run, instruction, cause, value):
    board = run(
        TRAPS + "int main(void) { uart_init(RESET_HZ);"
        f' __asm__ volatile(".globl bad\\n.balign 4\\nnop\\nbad: {instruction}" ::: "a0"); for (;;) {{}} }}'
    )
    assert values(board) == {"cause": cause, "epc": board.firmware.symbol("bad"), "value": value}
    assert len(board.reports.of("trap")) == 1


@pytest.mark.parametrize(
    ("access", "cause"),
    [("lw a3, 1(a4)", 4), ("lhu a3, 1(a4)", 4), ("sw a4, 2(a4)", 6), ("sh a4, 3(a4)", 6)],
)
def test_misaligned_accesses_trap_with_nothing_behind_them_done(run, access, cause):
    """The FE310 has no misaligned access; the instructions behind it in the block must not have run."""
    board = run(
        "uint32_t word[2] = {0x11111111, 0x22222222}; uint32_t a3_, a5_;\n"
        + TRAPS.replace('puts_("done', 'show("word", word[0]); show("behind", word[1]); puts_("done')
        + "int main(void) { uart_init(RESET_HZ); __asm__ volatile("
        f'"la a4, word\\nli a5, 7\\n.globl bad\\nbad: {access}\\nli a5, 9\\nsw a5, 4(a4)"'
        '::: "a3", "a4", "a5", "memory");'
        " for (;;) {} }"
    )
    got = values(board)
    assert (got["cause"], got["epc"]) == (cause, board.firmware.symbol("bad"))
    assert got["value"] == board.firmware.symbol("word") + int(re.search(r"(\d)\(", access)[1])
    assert (got["word"], got["behind"]) == (0x11111111, 0x22222222)
    assert board.cpu.firmware.function(got["epc"]) in ("main", "bad")


def test_exception_without_handler_stops_with_cause_address_and_function(run):
    with pytest.raises(VirtualBoardError) as caught:
        run('__attribute__((noinline)) void culprit(void) { __asm__ volatile(".word 0xffffffff"); }'
            "int main(void) { CSR_WRITE(mtvec, 0); culprit(); for (;;) {} }")  # fmt: skip
    text = str(caught.value)
    assert "exception 2: illegal instruction" in text
    assert "in culprit" in text
    assert "mtvec" in text


def test_handler_that_faults_itself_stops(run):
    with pytest.raises(VirtualBoardError, match="illegal instruction") as caught:
        run('__asm__(".balign 4\\nbad: .word 0xffffffff"); void bad(void);'
            "int main(void) { CSR_WRITE(mtvec, (uint32_t)bad); bad(); for (;;) {} }")  # fmt: skip
    assert "trap handler" in str(caught.value)


# -- what the chip does not have ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("(void)REG(0x40000000)", ["a load from address 0x40000000", "nothing"]),
        ("REG(0x80004000) = 1", ["a store to address 0x80004000"]),
        ("(void)REG(0x1000)", ["mask ROM"]),
        ("REG(0x20500000) = 1", ["a store to flash", "0x20500000"]),
        ("(void)GPIO(0x60)", ["a read of GPIO at offset 0x60", "input_en"]),
        ("UART0(0x20) = 1", ["a write of UART0 at offset 0x20", "txdata"]),
        ("*(volatile uint8_t *)0x1001200C = 65", ["8-bit write to register GPIO.port"]),
        ("((void (*)(void))0x50000000)()", ["a jump to address 0x50000000"]),
        ("QSPI0(0x60) = 0", ["out of execution in place"]),
    ],
)
def test_accesses_that_the_chip_lacks_stop_clearly(run, statement, expected):
    with pytest.raises(VirtualBoardError) as caught:
        run(
            f"__attribute__((noinline)) void culprit(void) {{ {statement}; }}"
            "int main(void) { culprit(); for (;;) {} }"
        )
    text = str(caught.value)
    for part in expected:
        assert part in text
    if "jump" not in text:
        assert "in culprit" in text or "in main" in text
    assert caught.value.exit_code == 3


def test_elf_for_something_else_is_refused(tmp_path, build):
    with pytest.raises(VirtualBoardError, match="does not exist"):
        VirtualBoard(tmp_path / "no.elf")
    (tmp_path / "text.elf").write_text("int main;")
    with pytest.raises(VirtualBoardError, match="not an ELF"):
        VirtualBoard(tmp_path / "text.elf")
    subprocess.run(["gcc", "-c", "-x", "c", "-", "-o", tmp_path / "host.o"], input=b"int x;", check=True)
    with pytest.raises(VirtualBoardError, match="firmware is for"):
        VirtualBoard(tmp_path / "host.o")
    with pytest.raises(VirtualBoardError, match="outside user flash"):
        VirtualBoard(build("hello"), _small_flash())


def _small_flash():
    from dataclasses import replace

    from uc_nn_pio.boards import load_board

    board = load_board("hifive1")
    flash = replace(board.flash, origin=0x2080_0000, size=0x80_0000)
    return replace(board, regions={**board.regions, "flash": flash})


# -- counters and interrupts ----------------------------------------------------------------------------------


def test_counters_count_instructions_and_cycles(run):
    board = run("""int main(void) { uart_init(RESET_HZ);
      uint32_t i0, i1, i2, c0, c1, c2;
      __asm__ volatile("csrr %0, minstret\\nnop\\nnop\\nnop\\nnop\\nnop\\nnop\\nnop\\ncsrr %1, minstret"
        : "=r"(i0), "=r"(i1));
      for (volatile int i = 0; i < 2; i++) /* the second time from the I-cache */
        __asm__ volatile("csrr %0, mcycle\\nnop\\ncsrr %1, mcycle\\nmul t0, t0, t0\\nmul t0, t0, t0\\nmv t0, t0\\n"
          "csrr %2, mcycle" : "=&r"(c0), "=&r"(c1), "=&r"(c2) :: "t0");
      __asm__ volatile("csrw minstret, %1\\nnop\\ncsrr %0, minstret" : "=r"(i2) : "r"(1000));
      show("instret", i1 - i0); show("nop", c1 - c0); show("mul", c2 - c1); show("set", i2);
      show("high", CSR_READ(mcycleh)); puts_("done\\n"); for (;;) {} }""")
    got = values(board)
    assert got["instret"] == 8  # seven nops and the read itself
    assert got["mul"] - got["nop"] == 10  # two multiplications of 5 cycles (manual, 3.2) and mv in place of nop
    assert got["set"] == 1002
    assert got["high"] == 0


def test_code_in_ram_is_counted_also_after_it_is_replaced(run):
    board = run("""
      __attribute__((section(".ramcode"), noinline, aligned(4)))
      void spin(void) { __asm__ volatile("nop\\nnop\\nnop\\nnop"); }
      __attribute__((noinline)) static uint32_t cost(void) {
        uint32_t a = CSR_READ(mcycle); spin(); return CSR_READ(mcycle) - a; }
      int main(void) { uart_init(RESET_HZ);
        uint32_t cycles = 0;
        for (volatile int i = 0; i < 2; i++) cycles = cost(); /* the second time from the I-cache */
        show("before", cycles);
        *(volatile uint32_t *)&spin = 0x02528333; /* mul t1, t0, t0's encoding class: M extension */
        __asm__ volatile("fence.i");
        for (volatile int i = 0; i < 2; i++) cycles = cost();
        show("after", cycles); puts_("done\\n"); for (;;) {} }""")
    got = values(board)
    assert got["after"] - got["before"] == -1  # two nops of two bytes became one multiplication that nothing waits for


def test_timer_interrupt_comes_on_time_and_returns(run):
    board = run("""
      static volatile uint32_t hits, seen;
      __attribute__((interrupt, aligned(4))) void handler(void) {
        seen = CSR_READ(mcause); hits++; CLINT(0x4000) = MTIME + 100; }
      int main(void) { uart_init(RESET_HZ);
        CSR_WRITE(mtvec, (uint32_t)handler);
        uint32_t start = MTIME;
        CLINT(0x4004) = 0; CLINT(0x4000) = start + 100;
        CSR_SET(mie, 1 << 7); CSR_SET(mstatus, 1 << 3);
        volatile uint32_t spin = 0;
        while (hits < 5) spin++;
        CSR_WRITE(mie, 0);
        uint32_t ticks = MTIME - start;
        show("cause", seen); show("ticks", ticks); puts_("done\\n"); for (;;) {} }""")
    got = values(board)
    assert got["cause"] == 0x8000_0007
    assert 500 <= got["ticks"] <= 520  # a line of code from flash takes 5 ticks at 14.4 MHz


def test_software_interrupt_and_wfi(run):
    board = run("""
      static volatile uint32_t seen;
      __attribute__((interrupt, aligned(4))) void handler(void) {
        seen = CSR_READ(mcause); CLINT(0) = 0; CLINT(0x4000) = 0xffffffff; }
      int main(void) { uart_init(RESET_HZ);
        CSR_WRITE(mtvec, (uint32_t)handler); CSR_SET(mie, 1 << 3 | 1 << 7); CSR_SET(mstatus, 1 << 3);
        CLINT(0) = 1;
        while (!seen) {}
        show("soft", seen);
        uint32_t start = MTIME;
        CLINT(0x4004) = 0; CLINT(0x4000) = start + 3277;
        __asm__ volatile("wfi");
        uint32_t slept = MTIME - start;
        show("timer", seen); show("slept", slept); puts_("done\\n"); for (;;) {} }""")
    got = values(board)
    assert (got["soft"], got["timer"]) == (0x8000_0003, 0x8000_0007)
    assert 3277 <= got["slept"] <= 3278
    assert board.result().instructions < 100_000  # sleeping runs nothing


def test_wfi_that_nothing_can_end_stops(run):
    with pytest.raises(VirtualBoardError, match="wfi"):
        run('int main(void) { __asm__ volatile("wfi"); for (;;) {} }')


# -- time -----------------------------------------------------------------------------------------------------

WAITS = """
static volatile uint32_t rounds;
int main(void) { uart_init(RESET_HZ);
  uint32_t c = CSR_READ(mcycle);
  wait_ticks(200);
  show("cycles", CSR_READ(mcycle) - c);
  /* a wait of two registers, with a counter in memory that must not be jumped over */
  uint32_t start = MTIME; rounds = 0;
  while (MTIME - start < 20 && !(UART0(RXDATA) & 1)) rounds++;
  show("rounds", rounds);
  show("instret", CSR_READ(minstret)); puts_("done\\n"); for (;;) {} }"""


def test_skipped_waits_change_nothing_that_the_firmware_sees(run):
    fast, slow = run(WAITS), run(WAITS, poll_skip=False)
    assert fast.text == slow.text
    assert fast.cpu.cycles == slow.cpu.cycles
    skipped = fast.result()
    assert skipped.skipped_cycles > 50_000
    assert skipped.instructions + skipped.skipped_instructions == slow.result().instructions
    assert slow.result().skipped_cycles == 0
    cycles = values(fast)["cycles"]
    assert abs(cycles / (200 / 32768 * 14.4e6) - 1) < 0.02  # 200 ticks of 32,768 Hz at 72 MHz / 5


def test_limits_end_a_run(build):
    board = VirtualBoard(build("hello"))
    result = board.run(max_instructions=1000)
    assert result.reason == "instructions"
    assert 1000 <= result.instructions < 1100
    assert board.run(max_seconds=0.5).reason == "seconds"
    assert abs(board.seconds - 0.5) < 0.01
    asked = []
    assert board.run(until=lambda b: asked.append(b) or len(asked) == 3).reason == "until"


def test_warm_start_leaves_what_an_upload_leaves(build):
    """PLL at 352 MHz, watchdog armed: a careless firmware prints at the wrong baud rate, and is reset after 50 ms.

    Only then, with the clocks at reset, does it print what it means to."""
    board = VirtualBoard(build("hello"), warm=True)
    assert board.clock.core_hz == 352_000_000
    board.run(max_seconds=0.12)
    assert 49.9e-3 < board.reports.of("watchdog")[0].seconds < 51e-3
    garbage, text = board.output.split(b"hello")
    assert len(garbage) == len("hello\ndata=1234abcd\nbss=00000000\ndone\n")
    assert text.endswith(b"done\n")
    assert board.reports.of("uart")
    assert [r.message for r in board.reports.of("watchdog")] == ["the watchdog expired and reset the chip"]


def test_flash_reads_are_counted_and_priced(run):
    """Random words cost 550 cycles, following words 268 at reset settings (hardware facts; board data)."""
    board = run("""
      const uint32_t table[64] = {1, 2, 3};
      #define USE(x) __asm__ volatile("" :: "r"(x))
      int main(void) { uart_init(RESET_HZ);
        const volatile uint32_t *t = table;
        uint32_t a, b, c, x;
        for (volatile int i = 0; i < 2; i++) { /* the second time from the I-cache */
          a = CSR_READ(mcycle); x = t[40] + t[3]; USE(x);
          b = CSR_READ(mcycle); x = t[8] + t[9]; USE(x);
          c = CSR_READ(mcycle);
          __asm__ volatile("" :: "r"(a), "r"(b), "r"(c));
        }
        show("random", b - a); show("follow", c - b); puts_("done\\n"); for (;;) {} }""")
    got = values(board)
    assert abs(got["random"] - 1100) < 20
    assert abs(got["random"] - got["follow"] - (550 - 268)) <= 4
    assert board.result().flash_reads >= 4
