"""CSRs, GPIO, AON, PRCI and PWM through small firmwares, after the FE310-G000 manual."""

import re

import pytest

from tests.virtual.reading import END, INTERRUPTS, values
from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.virtual import VirtualBoard

# -- CSRs -----------------------------------------------------------------------------------------------------


def test_identity_csrs_hold_the_chips_values(run):
    """ "E31 RISC-V Core": RV32IMAC, machine mode (misa: OpenOCD's log of a HiFive1; ids: rocket-chip, 2016)."""
    board = run(
        """int main(void) { uart_init(RESET_HZ);
  show("misa", CSR_READ(misa)); show("mhartid", CSR_READ(mhartid)); show("marchid", CSR_READ(marchid));
  show("mvendorid", CSR_READ(mvendorid)); show("mimpid", CSR_READ(mimpid));
  CSR_WRITE(misa, 0); show("still", CSR_READ(misa));
  show("hpm3", CSR_READ(mhpmcounter3)); show("hpm4h", CSR_READ(mhpmcounter4h)); show("hpm31", CSR_READ(mhpmcounter31));
  CSR_WRITE(mscratch, 0x1234); show("mscratch", CSR_READ(mscratch)); """
        + END
        + "}"
    )
    assert values(board) == {
        **{"misa": 0x40001105, "mhartid": 0, "marchid": 0, "mvendorid": 0, "mimpid": 0, "still": 0x40001105},
        **{"hpm3": 0, "hpm4h": 0, "hpm31": 0, "mscratch": 0x1234},
    }


@pytest.mark.parametrize("instruction", ["csrw 0xF14, a0", "csrr a0, 0x3A0", "csrr a0, 0x306", "csrr a0, 0x302"])
def test_csrs_that_the_core_lacks_are_illegal_instructions(run, instruction):
    """ "E31 RISC-V Core": no user mode, no delegation, no memory protection; mhartid is read-only."""
    with pytest.raises(VirtualBoardError, match="exception 2: illegal instruction"):
        run(f'int main(void) {{ CSR_WRITE(mtvec, 0); __asm__ volatile("{instruction}" ::: "a0"); for (;;) {{}} }}')


def test_code_written_to_ram_reads_the_emulated_counters(run):
    """Privileged specification, mcycle: also in code that the program has made, after fence.i."""
    board = run("""static uint32_t code[4];
int main(void) { uart_init(RESET_HZ);
  for (int i = 0; i < 2; i++) {
    code[0] = 0x00000013; code[i] = 0xB0202573; code[1 - i] = 0x00000013; code[2] = 0x00008067; /* csrr a0, minstret */
    __asm__ volatile("fence.i" ::: "memory");
    uint32_t before = CSR_READ(minstret), inside = ((uint32_t(*)(void))code)();
    show(i ? "second" : "first", inside - before < 40); }
  puts_("done\\n"); for (;;) {} }""")
    assert values(board) == {"first": 1, "second": 1}


# -- GPIO -----------------------------------------------------------------------------------------------------


def test_gpio_interrupts_by_edge_and_level(run):
    """ "GPIO", "Interrupts": rise, fall, high and low pending bits, each with its enable; 1 clears."""
    board = run(
        INTERRUPTS
        + """static volatile uint32_t log_;
static void served(void) { log_ = log_ << 4 | (GPIO(0x1C) >> 19 & 1) << 3 | (GPIO(0x24) >> 19 & 1) << 2;
  GPIO(0x1C) = GPIO(0x24) = 1 << 19; }
int main(void) { uart_init(RESET_HZ); uint32_t bit = 1 << 19;
  GPIO(OUTPUT_EN) |= bit; GPIO(INPUT_EN) |= bit; GPIO(0x1C) = GPIO(0x24) = bit;
  GPIO(0x18) = bit; plic_on(27, 1);
  GPIO(PORT) |= bit; GPIO(PORT) &= ~bit; uint32_t one = hits; GPIO(0x20) = bit; uint32_t two = hits;
  GPIO(0x18) = 0; GPIO(PORT) |= bit; GPIO(PORT) &= ~bit; uint32_t three = hits;
  GPIO(0x20) = 0; show("hits", one << 8 | two << 4 | three); show("log", log_);
  GPIO(0x34) = bit; show("low", GPIO(0x34) & bit); GPIO(PORT) |= bit; GPIO(0x34) = bit; show("nolow", GPIO(0x34) & bit);
  show("high", GPIO(0x2C) & bit); GPIO(0x2C) = bit; show("still", GPIO(0x2C) & bit); """
        + END
        + "}"
    )
    bit = 1 << 19
    got = values(board)
    assert {name: got[name] for name in ("low", "nolow", "high", "still")} == {
        **{"low": bit, "nolow": 0, "high": bit, "still": bit},
    }
    # The rise alone; then the pending fall as soon as it is enabled; then rise and fall, of which fall counts.
    assert got["hits"] == 0x123
    assert got["log"] == 0x84C


def test_gpio_out_xor_and_iof_at_the_pad(run):
    """ "GPIO", "HW I/O Functions", "Output Inversion": out_xor turns the port and also a function's output around."""
    board = run("""int main(void) { uart_init(RESET_HZ); uint32_t r = 0;
  GPIO(INPUT_EN) |= 1 << 2; GPIO(IOF_EN) |= 1 << 2;       /* SPI1's select 0 idles high */
  r = r << 1 | (GPIO(0) >> 2 & 1); GPIO(OUT_XOR) = 1 << 2; r = r << 1 | (GPIO(0) >> 2 & 1);
  GPIO(IOF_EN) &= ~4u; GPIO(OUTPUT_EN) |= 4; r = r << 1 | (GPIO(0) >> 2 & 1); /* port 0, inverted */
  show("r", r); puts_("done\\n"); for (;;) {} }""")
    assert values(board)["r"] == 0b101


def test_two_drivers_that_disagree_are_reported_and_low_wins(build):
    """Two push-pull outputs on one pad, the chip's and another's, or two others: a short, whatever the level."""
    source = """int main(void) { uart_init(RESET_HZ); GPIO(INPUT_EN) |= 1 << 19; GPIO(OUTPUT_EN) |= 1 << 19;
      GPIO(PORT) |= 1 << 19; show("level", GPIO(0) >> 19 & 1); puts_("done\\n"); for (;;) {} }"""
    board = VirtualBoard(build("short", source=source))
    board.gpio.drive(19, "a button", 0)
    board.gpio.drive(5, "a module", 1)
    board.gpio.drive(5, "another", 0)
    board.run(until="done\n", max_seconds=1)
    assert values(board)["level"] == 0
    assert [r.message for r in board.reports.of("pins")] == [
        "GPIO5: drivers outside the chip disagree: a module 1, another 0",
        "GPIO19: the chip drives 1, a button drives 0",
    ]


# -- AON ------------------------------------------------------------------------------------------------------


def test_the_real_time_clock_counts_scales_and_compares(run):
    """ "Real-Time Clock": rtcs is rtclo/rtchi >> rtcscale; rtccmpip while rtcs >= rtccmp; rtcenalways runs it."""
    board = run(
        INTERRUPTS
        + """static void served(void) { AON(0x60) = 0xffffffff; }
int main(void) { uart_init(RESET_HZ);
  show("stopped", AON(0x48)); AON(0x48) = 0xfffffff0; AON(0x4C) = 2;
  AON(0x40) = 1 << 12 | 4; wait_ticks(100);
  uint32_t low = AON(0x48), scaled = AON(0x50); show("high", AON(0x4C)); show("low", low); show("s", scaled);
  plic_on(2, 1); uint32_t s = AON(0x50); AON(0x60) = s + 10; uint32_t t = MTIME; until_hits(1);
  show("ticks", MTIME - t); show("source", source_); show("ip", AON(0x40) >> 28); """
        + END
        + "}"
    )
    got = values(board)
    assert (got["stopped"], got["high"], got["source"], got["ip"]) == (0, 3, 2, 0)
    assert 84 <= got["low"] <= 94
    assert got["s"] == 0x30000000 | got["low"] >> 4
    assert 144 < got["ticks"] <= 180  # ten steps of 16 ticks, the first under way; the handler is fetched


def test_the_watchdog_interrupts_without_a_reset_and_starts_over(run):
    """ "Watchdog Timer": wdogcmpip stays until it is written 0; wdogzerocmp lets the counter start over."""
    board = run(
        INTERRUPTS
        + """static volatile uint32_t ip;
static void served(void) { ip = AON(0) >> 28; AON(0x1C) = 0x51F15E; AON(0) = 1 << 12 | 1 << 9 | 2; }
int main(void) { uart_init(RESET_HZ);
  AON(0x1C) = 0x51F15E; AON(0x20) = 10; uint32_t t = MTIME; AON(0x1C) = 0x51F15E; AON(0) = 1 << 12 | 1 << 9 | 2;
  plic_on(1, 1); until_hits(5); uint32_t n = AON(8);
  show("ticks", MTIME - t); show("ip", ip); show("start", n); """
        + END
        + "}"
    )
    got = values(board)
    assert got["ip"] == 1
    assert 5 * 40 <= got["ticks"] <= 5 * 43  # (10 << 2), and one for the start
    assert got["start"] < 10


def test_a_watchdog_reset_says_so_in_pmucause_and_keeps_the_backup_registers(run):
    """ "Power-Management Unit", pmucause: resetcause 2 is the watchdog; "Backup Registers" survive."""
    board = run(
        """int main(void) { uart_init(RESET_HZ); show("cause", AON(0x144) >> 8); show("kept", AON(0xFC));
  AON(0xFC) = 77;
  if (AON(0x144)) { puts_("done\\n"); for (;;) {} }
  AON(0x1C) = 0x51F15E; AON(0x20) = 99; AON(0x1C) = 0x51F15E; AON(0) = 1 << 12 | 1 << 8; for (;;) {} }"""
    )
    assert re.findall(r"\w+=\w+", board.text) == ["cause=00000000", "kept=00000000", "cause=00000002", "kept=0000004d"]


def test_sleep_of_the_whole_chip_stops(run):
    """ "Power-Management Unit": this model has none, and says so."""
    with pytest.raises(VirtualBoardError, match="sent to sleep"):
        run("int main(void) { AON(0x14C) = 0x51F15E; AON(0x148) = 1; for (;;) {} }")


# -- PWM ------------------------------------------------------------------------------------------------------


def test_pwm_counts_core_cycles_scales_and_starts_over(run):
    """ "PWM", "Count Register", "Scaled Count Register": pwms is pwmcount >> pwmscale; zerocmp: one past pwmcmp0."""
    board = run("""#define PWM1(o) REG(0x10025000u + (o))
int main(void) { uart_init(RESET_HZ); PWM1(0x20) = 99; PWM1(0) = 1 << 12 | 1 << 9 | 4;
  uint32_t c = CSR_READ(mcycle), a = PWM1(8); uint32_t d = CSR_READ(mcycle) - c; (void)a;
  uint32_t top = 0; for (int i = 0; i < 2000; i++) { uint32_t s = PWM1(0x10); if (s > top) top = s; }
  show("top", top); show("delay", d); PWM1(0) = 4; a = PWM1(8); show("stopped", a == PWM1(8));
  PWM1(8) = 0x7fffffff; show("count", PWM1(8)); show("s", PWM1(0x10));
  PWM1(8) = 0; PWM1(0) = 1 << 13 | 1 << 9 | 4; wait_ticks(20);
  show("oneshot", PWM1(0) >> 13 & 1); show("zero", PWM1(8));
  puts_("done\\n"); for (;;) {} }""")
    got = values(board)
    assert 98 <= got["top"] <= 99
    assert {name: got[name] for name in ("stopped", "count", "s", "oneshot", "zero")} == {
        **{"stopped": 1, "count": 0x7FFFFFFF, "s": 0xFFFF, "oneshot": 0, "zero": 0},
    }


def test_pwm_interrupts_once_a_period(run):
    """ "PWM", "Interrupts": comparator 0 ends the period; sticky keeps its bit until pwmcfg is written."""
    board = run(
        INTERRUPTS
        + """#define PWM2(o) REG(0x10035000u + (o))
static void served(void) { PWM2(0) = 1 << 12 | 1 << 9 | 1 << 8; }
int main(void) { uart_init(RESET_HZ); PWM2(0x20) = 14399; plic_on(48, 1);
  served(); until_hits(2); uint32_t c = CSR_READ(mcycle); until_hits(12); show("cycles", CSR_READ(mcycle) - c); """
        + END
        + "}"
    )
    assert abs(values(board)["cycles"] - 10 * 14400) < 3000  # two fetches of cold code lie between


# -- PRCI -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cfg", "outdiv", "hz"),
    [  # 16 MHz / (r + 1) x 2 (f + 1) / 2^q / output divider
        ((1, 31, 1), 0x100, 256_000_000),
        ((1, 31, 3), 0, 32_000_000),
        ((1, 31, 3), 63, 500_000),
        ((1, 23, 2), 0x100, 96_000_000),
        ((0, 31, 3), 0x100, None),
    ],
)
def test_pll_arithmetic(build, cfg, outdiv, hz):
    """ "PLL": pllr 6 to 12 MHz behind it, the VCO 384 to 768 MHz, pllq 2, 4, 8, then plloutdiv 1 or 2 (n + 1)."""
    r, f, q = cfg
    source = f"int main(void) {{ PRCI(0xC) = {outdiv}; PRCI(8) = 1 << 17 | {q << 10 | f << 4 | r}; "
    source += "while (!(PRCI(8) >> 31)) {} PRCI(8) |= 1 << 16; for (;;) {} }"
    board = VirtualBoard(build("pll", source=source))
    board.run(max_seconds=0.004)
    if hz is None:
        assert "reference after R is 16 MHz" in board.reports.of("clock")[0].message
    else:
        assert board.clock.core_hz == hz
        assert board.reports.of("clock") == []
