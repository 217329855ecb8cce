"""Traps and interrupts of the core, CLINT and PLIC, through small firmwares, after the FE310-G000 manual.

Its sections are named by title; their numbers differ between the manual's editions.
"""

import pytest

from tests.virtual.reading import END, INTERRUPTS, Link, values
from uc_nn_pio.errors import VirtualBoardError

# An alarm of the CLINT in n ticks.
ALARM = "static void alarm(uint32_t n) { uint32_t t = MTIME + n; CLINT(0x4004) = 0; CLINT(0x4000) = t; }\n"


def test_vectored_interrupts_go_to_base_plus_four_times_cause_and_exceptions_to_base(run):
    """Manual, "Interrupt Control Status Registers", mtvec: with MODE 1, BASE + 4 x cause; exceptions BASE."""
    board = run(
        """
__asm__(".balign 64\\n.globl table\\ntable: j entry0\\n.balign 4\\n.option norvc\\n"
        "j bad\\nj bad\\nj entry3\\nj bad\\nj bad\\n"
        "j bad\\nj entry7\\nj bad\\nj bad\\nj bad\\nj entry11\\n"
        "bad: j bad\\n"
        "entry0: li s2, 100\\ncsrr t0, mepc\\naddi t0, t0, 4\\ncsrw mepc, t0\\nmret\\n"
        "entry3: li s3, 103\\nli t0, 0x02000000\\nsw zero, 0(t0)\\nmret\\n"
        "entry7: li s4, 107\\nli t0, 0x02004000\\nli t1, -1\\nsw t1, 4(t0)\\nmret\\n"
        "entry11: bad2: j bad2\\n.option rvc\\n");
extern char table[];
int main(void) { uart_init(RESET_HZ);
  uint32_t e, s, t;
  CSR_WRITE(mtvec, (uint32_t)table | 1); CSR_SET(mie, 1 << 3 | 1 << 7);
  CLINT(0x4000) = 0; CLINT(0x4004) = 0; CLINT(0) = 1;
  __asm__ volatile("li s2, 0\\nli s3, 0\\nli s4, 0\\necall\\ncsrsi mstatus, 8\\nnop\\nnop\\n"
    "mv %0, s2\\nmv %1, s3\\nmv %2, s4"
    : "=r"(e), "=r"(s), "=r"(t) :: "s2", "s3", "s4", "t0", "t1", "memory");
  show("exception", e); show("software", s); show("timer", t); show("mtvec", CSR_READ(mtvec) & 63); """
        + END
        + "}"
    )
    assert values(board) == {"exception": 100, "software": 103, "timer": 107, "mtvec": 1}


def test_external_comes_before_software_before_timer(run):
    """Manual, "Interrupt Priorities", and privileged specification 1.10, 3.1.14: external, software, timer."""
    board = run(
        INTERRUPTS
        + """static uint32_t order;
static void served(void) { order = order << 4 | (cause_ & 15);
  if (cause_ == 0x80000003u) CLINT(0) = 0;
  if (cause_ == 0x80000007u) CLINT(0x4004) = 0xffffffff;
  if (cause_ == 0x8000000Bu) GPIO(0x30) = 0; }
int main(void) { uart_init(RESET_HZ);
  CSR_WRITE(mtvec, (uint32_t)handler);
  CLINT(0) = 1; CLINT(0x4000) = 0; CLINT(0x4004) = 0;
  GPIO(0x30) = 1 << 5; PLIC(4 * 13) = 1; PLIC(0x2000) = 1 << 13;   /* pin 5 is low: source 8 + 5 */
  show("mip", CSR_READ(mip));
  CSR_SET(mie, 1 << 3 | 1 << 7 | 1 << 11); CSR_SET(mstatus, 8);
  while (hits < 3) {}
  show("order", order); show("source", source_); """
        + END
        + "}"
    )
    assert values(board) == {"mip": 0x888, "order": 0xB37, "source": 13}


def test_mstatus_stacks_its_enable_and_knows_machine_mode_only(run):
    """Manual, "Interrupt Control Status Registers", mstatus: MIE goes to MPIE and back; MPP is always 3."""
    board = run(
        ALARM
        + """static volatile uint32_t inside;
__attribute__((interrupt, aligned(4))) void handler(void) { inside = CSR_READ(mstatus); CLINT(0x4004) = 0xffffffff; }
int main(void) { uart_init(RESET_HZ);
  show("reset", CSR_READ(mstatus));
  CSR_WRITE(mtvec, (uint32_t)handler); CSR_SET(mie, 1 << 7);
  CSR_WRITE(mstatus, 0xffffffff); show("ones", CSR_READ(mstatus)); CSR_WRITE(mstatus, 8);
  alarm(20); while (!inside) {}
  show("inside", inside); show("after", CSR_READ(mstatus)); """
        + END
        + "}"
    )
    assert values(board) == {"reset": 0x1800, "ones": 0x1888, "inside": 0x1880, "after": 0x1888}


def test_wfi_goes_on_without_a_trap_while_interrupts_are_off(run):
    """Privileged specification 1.10, 3.2.3: wfi wakes by an interrupt that mie enables, whatever mstatus says."""
    board = run(
        ALARM
        + """int main(void) { uart_init(RESET_HZ);
  CSR_WRITE(mstatus, 0); CSR_SET(mie, 1 << 7); alarm(3277);
  uint32_t t = MTIME; __asm__ volatile("wfi"); show("slept", MTIME - t); show("mip", CSR_READ(mip)); """
        + END
        + "}"
    )
    got = values(board)
    assert 3276 <= got["slept"] <= 3278
    assert got["mip"] == 0x80


def test_a_run_may_end_in_sleep_and_go_on(build):
    """Sleep passes time as running does: a run of 10 ms ends after 10 ms, asleep or not."""
    from uc_nn_pio.virtual import VirtualBoard

    source = (
        ALARM
        + """int main(void) { uart_init(RESET_HZ); puts_("sleep\\n"); CSR_SET(mie, 1 << 7); alarm(32768);
      uint32_t a = CSR_READ(minstret); __asm__ volatile("wfi"); uint32_t b = CSR_READ(minstret);
      show("count", b - a); puts_("done\\n"); for (;;) {} }"""
    )
    board = VirtualBoard(build("sleep", source=source))
    for step in range(1, 4):
        assert board.run(max_seconds=0.01).reason == "seconds"
        assert abs(board.seconds - 0.01 * step) < 1e-4
    assert board.run(until="done\n", max_seconds=2).reason == "until"
    assert values(board)["count"] == 2  # wfi, and the second csrr
    assert 1.0 < board.seconds < 1.01


def test_wfi_that_no_device_will_end_says_what_is_enabled(run):
    """Manual, "Platform-Level Interrupt Controller": a source that no device can raise wakes nobody."""
    with pytest.raises(VirtualBoardError, match="external interrupts, but no device"):
        run('int main(void) { CSR_SET(mie, 1 << 11); __asm__ volatile("wfi"); for (;;) {} }')


def test_the_clint_compares_64_bits_and_its_time_can_be_written(run):
    """Manual, "Core-Local Interruptor": mtip while mtime >= mtimecmp, both 64 bits wide; msip is bit 0."""
    board = run("""int main(void) { uart_init(RESET_HZ);
  CLINT(0x4000) = 5; CLINT(0x4004) = 1; show("before", CSR_READ(mip));
  CLINT(0xBFFC) = 1; show("after", CSR_READ(mip)); show("high", CLINT(0xBFFC));
  CLINT(0xBFF8) = 0; show("low", CSR_READ(mip)); wait_ticks(8); show("again", CSR_READ(mip));
  CLINT(0) = 0xffffffff; show("msip", CLINT(0)); CLINT(0) = 0; CLINT(0x4004) = 2; show("clear", CSR_READ(mip));
  puts_("done\\n"); for (;;) {} }""")
    assert values(board) == {
        **{"before": 0, "after": 0x80, "high": 1, "low": 0, "again": 0x80, "msip": 1, "clear": 0},
    }


# -- PLIC -----------------------------------------------------------------------------------------------------

# GPIO pins without a driver are low: low_ie raises their lines, sources 8 and up, at will.
PINS = INTERRUPTS + "static void served(void) {}\n"


def test_claims_come_by_priority_then_by_number_and_ignore_the_threshold(run):
    """Manual, "Interrupt Priorities", "Interrupt Claim Process": highest first, lowest number among equals, 0 never."""
    board = run(
        PINS
        + """int main(void) { uart_init(RESET_HZ);
  PLIC(4 * 8) = 3; PLIC(4 * 9) = 5; PLIC(4 * 10) = 5; PLIC(4 * 39) = 7; PLIC(4 * 11) = 0; PLIC(4 * 12) = 0xff;
  show("seven", PLIC(4 * 12)); PLIC(4 * 12) = 0;
  PLIC(0x2000) = 0xffffffff; PLIC(0x2004) = 0xffffffff; PLIC(0x200000) = 6;
  show("enable", PLIC(0x2000)); show("enable2", PLIC(0x2004));
  GPIO(0x30) = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3;
  show("pending", PLIC(0x1000)); show("below", CSR_READ(mip));
  GPIO(0x30) |= 1u << 31; show("pending2", PLIC(0x1004)); show("above", CSR_READ(mip));
  uint32_t order = 0; for (int i = 0; i < 5; i++) order = order << 6 | PLIC(0x200004);
  show("order", order); show("left", PLIC(0x1000)); """
        + END
        + "}"
    )
    order = ((((39 << 6 | 9) << 6 | 10) << 6) | 8) << 6
    assert values(board) == {
        **{"seven": 7, "enable": 0xFFFFFFFE, "enable2": 0x000FFFFF, "pending": 0x0F00, "below": 0},
        **{"pending2": 1 << 7, "above": 0x800, "order": order, "left": 1 << 11},
    }


def test_a_source_is_quiet_from_claim_to_completion(run):
    """Manual, "Interrupt Completion": no further request of a source until its completion; then its level again."""
    board = run(
        PINS
        + """int main(void) { uart_init(RESET_HZ);
  PLIC(4 * 8) = 1; PLIC(0x2000) = 1 << 8; GPIO(0x30) = 1;
  show("first", PLIC(0x200004)); show("inside", PLIC(0x1000)); show("none", PLIC(0x200004));
  PLIC(0x200004) = 9; show("other", PLIC(0x1000));
  PLIC(0x200004) = 8; show("again", PLIC(0x1000)); show("second", PLIC(0x200004));
  GPIO(0x30) = 0; PLIC(0x200004) = 8; show("gone", PLIC(0x1000));
  GPIO(0x30) = 1; GPIO(0x30) = 0; show("latched", PLIC(0x1000)); """
        + END
        + "}"
    )
    assert values(board) == {
        **{"first": 8, "inside": 0, "none": 0, "other": 0, "again": 1 << 8, "second": 8, "gone": 0, "latched": 1 << 8},
    }


@pytest.mark.parametrize(
    ("what", "source", "raise_", "quiet"),
    [
        ("watchdog", 1, "AON(0x1C) = 0x51F15E; AON(0x20) = 50; AON(0x1C) = 0x51F15E; AON(0) = 1 << 12",
         "AON(0x1C) = 0x51F15E; AON(0) = 0"),
        ("rtc", 2, "AON(0x60) = 40; AON(0x40) = 1 << 12", "AON(0x60) = 0xffffffff"),
        ("uart0", 3, "UART0(0x08) = 1 << 16 | 1; UART0(0x10) = 1", "UART0(0x10) = 0"),
        ("uart1", 4, "REG(0x10023008) = 1 << 16 | 1; REG(0x10023010) = 1", "REG(0x10023010) = 0"),
        ("qspi0", 5, "QSPI0(0x70) = 1", "QSPI0(0x70) = 0"),
        ("spi1", 6, "SPI1(0x50) = 1; SPI1(0x70) = 1", "SPI1(0x70) = 0"),
        ("spi2", 7, "REG(0x10034050) = 1; REG(0x10034070) = 1", "REG(0x10034070) = 0"),
        ("gpio19", 27, "GPIO(0x30) = 1 << 19", "GPIO(0x30) = 0"),
        ("pwm0", 40, "REG(0x10015020) = 200; REG(0x10015000) = 1 << 12", "REG(0x10015000) = 0; REG(0x10015020) = 255"),
        ("pwm1", 46, "REG(0x10025028) = 3000; REG(0x10025000) = 1 << 12",
         "REG(0x10025000) = 0; REG(0x10025028) = 0xffff"),
        ("pwm2", 51, "REG(0x1003502C) = 3000; REG(0x10035000) = 1 << 12 | 1 << 8",
         "REG(0x1003502C) = 0xffff; REG(0x10035000) = 0"),
    ],
)  # fmt: skip
def test_every_block_interrupts_with_its_number(run, what, source, raise_, quiet):
    """Manual, "Interrupt Sources", table: 1 watchdog, 2 RTC, 3 and 4 UART, 5 to 7 SPI, 8 to 39 GPIO, 40 to 51 PWM."""
    board = run(
        INTERRUPTS
        + f"""static void served(void) {{ {quiet}; }}
int main(void) {{ uart_init(RESET_HZ); plic_on({source}, 1); {raise_};
  until_hits(1); show("source", source_); show("cause", cause_); wait_ticks(30); show("hits", hits); """
        + END
        + "}"
    )
    assert values(board) == {"source": source, "cause": 0x8000000B, "hits": 1}


def test_a_byte_from_the_host_wakes_a_sleeping_firmware(build):
    """Manual, "UART", "Interrupt Registers": rxwm while more than rxcnt bytes wait."""
    from uc_nn_pio.virtual import VirtualBoard

    source = (
        INTERRUPTS
        + """static volatile uint32_t n; static char got[8];
      static void served(void) { uint32_t c; while (!((c = UART0(RXDATA)) >> 31)) got[n++] = (char)c; }
      int main(void) { uart_init(RESET_HZ); UART0(RXCTRL) = 1; UART0(0x10) = 2; plic_on(3, 1); put('?');
        uint32_t sleeps = 0; while (n < 6) { until_hits(hits + 1); sleeps++; }
        puts_(got); puts_("done\\n"); for (;;) {} }"""
    )
    link = Link()
    board = VirtualBoard(build("echo", source=source), uart=link)
    board.run(max_seconds=0.2)
    asleep = board.cpu.instructions
    link.data = b"hello."
    board.run(until="done\n", max_seconds=1)
    assert board.text == "?hello.done\n"
    assert asleep < 2000
