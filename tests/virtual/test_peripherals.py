"""Clocks, UART, GPIO and watchdog, from the data sheet's text, through small firmwares."""

import re

import pytest

from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.virtual import VirtualBoard


def values(board):
    """The ``name=hex`` lines that a firmware printed."""
    return {name: int(value, 16) for name, value in re.findall(r"(\w+)=([0-9a-f]{8})", board.text)}


class Link:
    """The other end of the UART."""

    def __init__(self, data=b"", after=b""):
        self.sent = b""
        self.data = data
        self.after = after  # send nothing before this has come

    def write(self, data):
        self.sent += data

    def read(self):
        if self.after not in self.sent:
            return b""
        data, self.data = self.data, b""
        return data

    def close(self):
        pass


# -- clocks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "q", "hz"),
    [  # 16 MHz / 2 x 2(f+1) / 2^q
        (43, 1, 352_000_000),
        (39, 1, 320_000_000),
        (31, 1, 256_000_000),
        (39, 2, 160_000_000),
    ],
)
def test_pll_gives_the_frequency_of_the_data_sheet(run, f, q, hz):
    board = run(f"""int main(void) {{ pll({f}, {q}); uart_init({hz}u);
      uint32_t t = MTIME; while (MTIME == t) {{}}
      uint32_t c = CSR_READ(mcycle); wait_ticks(327); show("cycles", CSR_READ(mcycle) - c);
      puts_("done\\n"); for (;;) {{}} }}""")
    assert board.clock.core_hz == hz
    assert abs(values(board)["cycles"] / (327 / 32768 * hz) - 1) < 0.001
    assert board.reports.items == []


def test_output_divider_and_bypass(run):
    board = run("""int main(void) {
      PRCI(8) = 1 << 18 | 1 << 17 | 1 << 16;  /* bypass: the crystal itself */
      PRCI(0xC) = 3;                           /* / 2 / (3 + 1) */
      uart_init(2000000u); UART0(DIV) = 16; puts_("done\\n"); for (;;) {} }""")
    assert board.clock.core_hz == 2_000_000


def test_the_pll_locks_after_100_us(run):
    board = run("""int main(void) { uart_init(RESET_HZ);
      PRCI(8) = 1 << 17 | 1 << 10 | 39 << 4 | 1;
      uint32_t c = CSR_READ(mcycle); while (!(PRCI(8) >> 31)) {} show("lock", CSR_READ(mcycle) - c);
      puts_("done\\n"); for (;;) {} }""")
    assert 1440 <= values(board)["lock"] < 1500 + 2398  # 100 us at 14.4 MHz; a line of code from flash


@pytest.mark.parametrize(
    ("pllcfg", "message"),
    [
        ("1 << 17 | 1 << 16 | 1 << 10 | 39 << 4 | 1", "before it had locked"),
        ("1 << 17 | 1 << 16 | 1 << 10 | 39 << 4 | 0", "reference after R is 16 MHz"),
        ("1 << 17 | 1 << 16 | 1 << 10 | 63 << 4 | 1", "VCO is 1024 MHz"),
    ],
)
def test_misuse_of_the_pll_is_reported(run, pllcfg, message):
    board = run(f"int main(void) {{ PRCI(8) = {pllcfg}; for (;;) {{}} }}", until=None, seconds=0.001)
    assert any(message in report.message for report in board.reports.of("clock"))


def test_switching_the_core_clock_off_stops(run):
    with pytest.raises(VirtualBoardError, match="core clock"):
        run("int main(void) { PRCI(0) = 0; for (;;) {} }")


# -- UART -----------------------------------------------------------------------------------------------------


def test_characters_take_their_time_on_the_line(run):
    """Eight bytes fill the FIFO while the first leaves; 100 bytes at 115,200 baud take 8.7 ms."""
    board = run("""int main(void) { uart_init(RESET_HZ);
      uint32_t n = 0; while (!(UART0(TXDATA) >> 31)) { UART0(TXDATA) = 'x'; n++; }
      uint32_t t = CSR_READ(mcycle);
      for (int i = 0; i < 100; i++) put('.');
      t = CSR_READ(mcycle) - t;
      show("depth", n); show("cycles", t); puts_("done\\n"); for (;;) {} }""")
    got = values(board)
    assert got["depth"] == 9
    assert abs(got["cycles"] / 14.4e6 / (100 * 10 / 115200) - 1) < 0.01


@pytest.mark.parametrize(("div", "right"), [(124, True), (122, True), (127, True), (60, False), (200, False)])
def test_a_wrong_divisor_is_reported_and_garbles(run, div, right):
    """14.4 MHz / 125 is 115,200 baud; a receiver of eight-bit characters stands about 3 %."""
    board = run(
        f'int main(void) {{ uart_init(RESET_HZ); UART0(DIV) = {div}; puts_("text\\ndone\\n"); for (;;) {{}} }}',
        until=None,
        seconds=0.01,
    )
    assert (b"text\ndone\n" in board.output) == right
    assert bool(board.reports.of("uart")) != right


def test_an_unmuxed_pin_sends_nothing_and_says_so(run):
    board = run(
        'int main(void) { uart_init(RESET_HZ); GPIO(IOF_EN) = 0; puts_("text"); for (;;) {} }', until=None, seconds=0.01
    )
    assert board.output == b""
    assert "GPIO17" in board.reports.of("uart")[0].message


def test_a_byte_written_to_a_full_fifo_is_lost_and_reported(run):
    board = run(
        "int main(void) { uart_init(RESET_HZ); for (int i = 0; i < 20; i++) UART0(TXDATA) = 'a' + i; for (;;) {} }",
        until=None,
        seconds=0.01,
    )
    assert board.output == b"abcdefghi"
    assert board.reports.count("uart", "UART0: a byte was written to a full txdata and lost") == 11


def test_characters_from_the_other_end_arrive(run):
    link = Link(b"knock", after=b"?")
    board = run(
        """int main(void) { uart_init(RESET_HZ); put('?');
      for (int i = 0; i < 5; i++) { uint32_t c; while ((c = UART0(RXDATA)) >> 31) {} put((char)(c + 1)); }
      puts_("done\\n"); for (;;) {} }""",
        uart=link,
    )
    assert board.text == link.sent.decode() == "?lopdldone\n"


# -- GPIO -----------------------------------------------------------------------------------------------------


def test_levels_follow_drivers_and_pull_ups(run):
    board = run("""
      static uint32_t pin(void) { return GPIO(0) >> 19 & 1; }
      int main(void) { uart_init(RESET_HZ);
        uint32_t bit = 1 << 19, r = 0;
        GPIO(INPUT_EN) |= bit;
        r = r << 1 | pin();                            /* released, no pull-up: 0 */
        GPIO(PUE) |= bit; r = r << 1 | pin();          /* pull-up: 1 */
        GPIO(OUTPUT_EN) |= bit; r = r << 1 | pin();    /* driven low against it: 0 */
        GPIO(PORT) |= bit; r = r << 1 | pin();         /* driven high: 1 */
        GPIO(OUT_XOR) |= bit; r = r << 1 | pin();      /* inverted: 0 */
        GPIO(OUTPUT_EN) &= ~bit; r = r << 1 | pin();   /* open again: 1 */
        GPIO(INPUT_EN) &= ~bit; r = r << 1 | pin();    /* input off: 0 */
        show("r", r); puts_("done\\n"); for (;;) {} }""")
    assert values(board)["r"] == 0b0101010


def test_edges_set_their_pending_bits(run):
    board = run("""int main(void) { uart_init(RESET_HZ);
      uint32_t bit = 1 << 19; GPIO(INPUT_EN) |= bit; GPIO(OUTPUT_EN) |= bit;
      GPIO(0x1C) = bit; GPIO(0x24) = bit;
      show("quiet", (GPIO(0x1C) | GPIO(0x24)) & bit);
      GPIO(PORT) |= bit; show("rise", GPIO(0x1C) & bit); show("nofall", GPIO(0x24) & bit);
      GPIO(PORT) &= ~bit; show("fall", GPIO(0x24) & bit);
      GPIO(0x1C) = bit; show("cleared", GPIO(0x1C) & bit);
      puts_("done\\n"); for (;;) {} }""")
    bit = 1 << 19
    assert values(board) == {"quiet": 0, "rise": bit, "nofall": 0, "fall": bit, "cleared": 0}


# -- watchdog -------------------------------------------------------------------------------------------------


def test_the_watchdog_needs_its_key_and_resets_the_chip(run):
    board = run(
        """int main(void) { uart_init(RESET_HZ);
      AON(0x80)++;                            /* a backup register counts the starts: it survives */
      show("start", AON(0x80));
      AON(0) = 1 << 12 | 1 << 8;              /* no key: ignored */
      show("locked", AON(0));
      AON(0x1C) = 0x51F15E; AON(0x20) = 3277; /* 100 ms */
      AON(0x1C) = 0x51F15E; AON(0) = 1 << 12 | 1 << 8;
      for (int i = 0; i < 3; i++) { wait_ticks(2500); AON(0x1C) = 0x51F15E; AON(0x18) = 0xD09F00D; }
      puts_("hungry\\n"); for (;;) {} }""",
        until=None,
        seconds=0.6,
    )
    assert [line for line in board.text.split("\n") if line][:6] == [
        *("start=00000001", "locked=00000000", "hungry"),
        *("start=00000002", "locked=00000000", "hungry"),
    ]
    expired = [r for r in board.reports.of("watchdog") if "expired" in r.message]
    assert abs(expired[0].seconds - (3 * 2500 + 3277) / 32768) < 0.005


def test_warm_firmware_that_tidies_up_prints(run):
    """What a start-up has to do after an upload: watchdog off, core to the ring oscillator, then its own clock."""
    board = run(
        """int main(void) {
      AON(0x1C) = 0x51F15E; AON(0) = 0;
      show("qspi", QSPI0(0));                   /* the line is still at the wrong rate: garbage */
      wait_ticks(200);
      PRCI(0) = 1 << 30 | 4; while (!(PRCI(0) >> 31)) {}
      PRCI(8) &= ~(1u << 16);
      pll(39, 1); uart_init(320000000u);
      show("sckdiv", QSPI0(0)); show("mie", CSR_READ(mie)); puts_("done\\n"); for (;;) {} }""",
        warm=True,
    )
    assert "sckdiv=00000005" in board.text
    assert values(board)["mie"] & 0x888 == 0x888
    assert board.clock.core_hz == 320_000_000
    assert not board.reports.of("watchdog")


def test_boards_by_name():
    with pytest.raises(Exception, match="hifive2"):
        VirtualBoard("nothing.elf", "hifive2")
