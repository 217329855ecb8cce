"""UART and SPI registers through small firmwares, after the FE310-G000 manual, chapters "UART" and "SPI"."""

import pytest

from tests.virtual.reading import END, INTERRUPTS, Link, values
from uc_nn_pio.errors import VirtualBoardError


class Echo:
    """An SPI device without a select: answers the byte before, and notes what it saw."""

    def __init__(self):
        self.seen = []
        self.last = 0xA5

    def exchange(self, mosi, sck_hz, mode):
        self.seen.append((mosi, round(sck_hz), mode))
        answer, self.last = self.last, mosi
        return answer


def spi_board(build, source, device=None):
    """A board with ``device`` in place of the camera on SPI1, run to its end."""
    from uc_nn_pio.virtual import VirtualBoard

    board = VirtualBoard(build("spi", source='#include "camera.h"\n' + source), camera=False)
    if device is not None:
        board.spi1.attach(device)
    board.run(until="done\n", max_seconds=1)
    return board


# -- UART -----------------------------------------------------------------------------------------------------


def test_uart_watermarks_compare_with_txcnt_and_rxcnt(run):
    """ "Transmit Control Register", "Receive Control Register", "Interrupt Registers": txwm below, rxwm above."""
    board = run(
        """int main(void) { uart_init(RESET_HZ);
  put('?'); show("zero", UART0(0x14) & 1);                       /* fewer than 0: never */
  while (!(UART0(0x14) & 1)) UART0(TXCTRL) = 3u << 16 | 1;
  UART0(TXDATA) = '1'; for (int i = 0; i < 3; i++) UART0(TXDATA) = '2';   /* one leaves, three wait */
  uint32_t three = UART0(0x14) & 1;
  while (!(UART0(0x14) & 1)) {}
  uint32_t t = CSR_READ(mcycle);
  wait_ticks(30); put('\\n'); show("three", three); show("ie", UART0(0x10));
  UART0(RXCTRL) = 3u << 16 | 1; show("before", UART0(0x14) >> 1);   /* three are there, and no more */
  UART0(RXCTRL) = 2u << 16 | 1; show("past", UART0(0x14) >> 1);
  uint32_t a = UART0(RXDATA), b = UART0(RXDATA); show("a", a); show("b", b);
  show("mark", UART0(0x14) >> 1); (void)t; """
        + END
        + "}",
        uart=Link(b"xyz"),
    )
    assert values(board) == {"zero": 0, "three": 0, "ie": 0, "before": 0, "past": 1, "a": 120, "b": 121, "mark": 0}


def test_uart_receive_overrun_is_reported_and_keeps_the_first_eight(run):
    """ "Receive FIFO": eight entries; what comes when it is full is lost."""
    board = run(
        """int main(void) { uart_init(RESET_HZ); puts_("?\\n"); wait_ticks(90);
  uint32_t c; while (!((c = UART0(RXDATA)) >> 31)) put((char)c); """
        + END
        + "}",
        uart=Link(b"0123456789ab"),
    )
    assert board.text == "?\n01234567done\n"
    assert board.reports.count("uart", "UART0: receive overrun, a byte was lost") == 4


def test_uart_received_at_the_wrong_rate_is_garbled_and_reported(run):
    """ "Baud Rate Divisor Register": f_baud = f_in / (div + 1), for both directions."""
    board = run(
        """int main(void) { pll(31, 1); uart_init(256000000u);
  put('?'); wait_ticks(4); UART0(DIV) = 1110; wait_ticks(30); uint32_t c = UART0(RXDATA);
  UART0(DIV) = 2221; show("c", c); """
        + END
        + "}",
        uart=Link(b"U"),
    )
    assert values(board)["c"] != ord("U")
    assert "UART0 listens at 230423 baud" in board.reports.of("uart")[0].message


def test_uart_with_its_receive_pin_unmuxed_hears_nothing(run):
    """ "GPIO", "HW I/O Functions": a pad's input reaches the UART by its mux, or with input_en."""
    source = """int main(void) {{ uart_init(RESET_HZ); GPIO(IOF_EN) &= ~(1u << 16); {}; puts_("?\\n"); wait_ticks(60);
      show("c", UART0(RXDATA)); """ + END.replace("{", "{{").replace("}", "}}") + "}}"  # fmt: skip
    deaf = run(source.format(""), uart=Link(b"k"))
    assert values(deaf)["c"] >> 31
    assert "GPIO16 is not muxed" in deaf.reports.of("uart")[0].message
    assert values(run(source.format("GPIO(INPUT_EN) |= 1u << 16"), uart=Link(b"k")))["c"] == ord("k")


def test_uart_two_stop_bits_take_longer(run):
    """ "Transmit Control Register", nstop: 1 means two stop bits, so a character takes 11 bit times."""
    board = run("""static __attribute__((noinline)) uint32_t cost(uint32_t ctrl) {
      UART0(TXCTRL) = ctrl; while (!(UART0(TXDATA) >> 31)) UART0(TXDATA) = ' ';
      uint32_t c = CSR_READ(mcycle);
      for (int i = 0; i < 100; i++) put(' '); return CSR_READ(mcycle) - c; }
    int main(void) { uart_init(RESET_HZ); cost(1); uint32_t one = cost(1), two = cost(3); show("one", one);
      show("two", two);
      puts_("done\\n"); for (;;) {} }""")
    got = values(board)
    assert abs(got["one"] - 100 * 1250) < 1300  # 125 cycles a bit
    assert abs(got["two"] - 100 * 1375) < 1400


# -- SPI ------------------------------------------------------------------------------------------------------


def test_spi_fifos_hold_eight_and_watermarks_follow(build):
    """ "Transmit Watermark Register", "Receive Watermark Register": depth 8; txwm below txmark, rxwm above rxmark."""
    board = spi_board(
        build,
        """int main(void) { uart_init(RESET_HZ); spi_init(255, SELECT_HOLD);
  show("reset", SPI1(0x50)); SPI1(0x50) = 1; SPI1(0x54) = 7; show("idle", SPI1(0x74));
  uint32_t n = 0; while (!(SPI1(SPI_TX) >> 31)) { SPI1(SPI_TX) = n++; }
  uint32_t full = SPI1(0x74);
  show("n", n); show("full", full); wait_ticks(200); show("after", SPI1(0x74));
  uint32_t sum = 0, c; while (!((c = SPI1(SPI_RX)) >> 31)) sum = sum * 2 + 1; show("got", sum);
  puts_("done\\n"); for (;;) {} }""",
        Echo(),
    )
    got = values(board)
    # Nine: one in the shift register, eight behind it. Of nine received, the last found the FIFO full.
    assert got == {"reset": 0, "idle": 1, "n": 9, "full": 0, "after": 3, "got": 0xFF}
    assert board.reports.count("spi", "SPI1: receive overrun, a byte was lost") == 1


@pytest.mark.parametrize(("sckdiv", "mode"), [(3, 0), (31, 1), (255, 2), (7, 3)])
def test_spi_clock_and_mode_reach_the_device(build, sckdiv, mode):
    """ "Serial Clock Divisor Register": f_sck = f_in / 2(div + 1); "Serial Clock Mode Register": pha 0, pol 1."""
    device = Echo()
    board = spi_board(
        build,
        f"""int main(void) {{ uart_init(RESET_HZ); spi_init({sckdiv}, SELECT_HOLD); SPI1(SCKMODE) = {mode};
  spi_select();
  spi_byte(1); uint32_t c = CSR_READ(mcycle); for (int i = 0; i < 64; i++) {{ SPI1(SPI_TX) = 0x40 + i;
    while (SPI1(SPI_RX) >> 31) {{}} }} show("cycles", CSR_READ(mcycle) - c); puts_("done\\n"); for (;;) {{}} }}""",
        device,
    )
    assert device.seen[1] == (0x40, round(14.4e6 / (2 * (sckdiv + 1))), mode)
    shifting = 64 * 16 * (sckdiv + 1)
    assert shifting <= values(board)["cycles"] < shifting + 64 * 80


def test_spi_frame_format_bits(build):
    """ "Frame Format Register": endian sends the lowest bit first, dir 1 leaves the receive FIFO empty."""
    device = Echo()
    board = spi_board(
        build,
        """int main(void) { uart_init(RESET_HZ); spi_init(3, SELECT_HOLD); spi_select();
  SPI1(FMT) = 0x80004; show("lsb", spi_byte(0x01)); SPI1(FMT) = 0x80008; SPI1(SPI_TX) = 7; wait_ticks(2);
  show("none", SPI1(SPI_RX)); puts_("done\\n"); for (;;) {} }""",
        device,
    )
    assert [byte for byte, _, _ in device.seen] == [0x80, 7]
    assert values(board) == {"lsb": 0xA5, "none": 1 << 31}  # 0xA5 is its own mirror image


SELECTS = """static uint32_t cs(void) { return GPIO(0) >> 2 & 1; }
static uint32_t trace(void) { uint32_t r = cs(); SPI1(SPI_TX) = 0; wait_ticks(1); r = r << 1 | cs();
  while (SPI1(SPI_RX) >> 31) {} return r << 1 | cs(); }
int main(void) { uart_init(RESET_HZ); spi_init(255, SELECT_HOLD); GPIO(INPUT_EN) |= 4;
"""


@pytest.mark.parametrize(
    ("set_up", "levels", "then", "after"),
    [
        ("SPI1(CSMODE) = 0", 0b101, "", 1),  # AUTO: low for the frame alone
        ("SPI1(CSMODE) = 2", 0b100, "", 0),  # HOLD: stays
        ("SPI1(CSMODE) = 2", 0b100, "SPI1(CSMODE) = 0", 1),  # until csmode changes,
        ("SPI1(CSMODE) = 2", 0b100, "SPI1(CSID) = 1", 1),  # or csid,
        ("SPI1(CSMODE) = 2", 0b100, "SPI1(CSDEF) = 0xD", 1),  # or csdef
        ("SPI1(CSMODE) = 3", 0b111, "", 1),  # OFF: the controller keeps its hands off
        ("SPI1(CSMODE) = 3; SPI1(CSDEF) = 0xE", 0b000, "SPI1(CSDEF) = 0xF", 1),  # but csdef shows
        ("SPI1(CSMODE) = 0; SPI1(CSID) = 2", 0b111, "", 1),  # another select
        ("SPI1(CSMODE) = 0; SPI1(CSDEF) = 0xE", 0b010, "", 0),  # active high
    ],
)
def test_spi_chip_select_at_the_pad(build, set_up, levels, then, after):
    """ "Chip Select Mode Register", "... ID Register", "... Default Register": before, during and after a frame."""
    body = SELECTS + f"{set_up}; uint32_t r = trace(); {then}; uint32_t a = cs();"
    board = spi_board(build, body + ' show("levels", r); show("after", a); puts_("done\\n"); for (;;) {} }')
    assert values(board) == {"levels": levels, "after": after}


@pytest.mark.parametrize(
    ("delay", "frames", "periods"),
    [
        ("SPI1(0x28) = 0x00010001; SPI1(0x2C) = 1", 16, 8 + 3),  # cssck, sckcs, intercs: one period each at reset
        ("SPI1(0x28) = 0x00050004; SPI1(0x2C) = 7", 16, 8 + 16),
        ("SPI1(CSMODE) = 2; SPI1(0x2C) = 0x00060001", 16, 8 + 6),  # interxfr, with the select held
    ],
)
def test_spi_delays_between_frames(build, delay, frames, periods):
    """ "Delay Control Registers": cssck and sckcs around a select, intercs between selects, interxfr between frames."""
    board = spi_board(
        build,
        f"""int main(void) {{ uart_init(RESET_HZ); spi_init(31, SELECT_HOLD); {delay};
  uint32_t cycles = 0;
  for (int warm = 0; warm < 2; warm++) {{ uint32_t c = CSR_READ(mcycle), sent = 0, got = 0;
    while (got < {frames}) {{
      if (sent < {frames} && sent - got < 8) {{ SPI1(SPI_TX) = 0; sent++; }}
      if (!(SPI1(SPI_RX) >> 31)) got++; }}
    cycles = CSR_READ(mcycle) - c; }}
  show("cycles", cycles); puts_("done\\n"); for (;;) {{}} }}""",
    )
    assert abs(values(board)["cycles"] - frames * periods * 64) <= 13 * 64  # less than a period a frame


def test_spi_interrupt_by_its_watermark(build):
    """ "Interrupt Registers": rxwm with rxmark 3 wakes the core when four bytes are there."""
    board = spi_board(
        build,
        INTERRUPTS
        + """static volatile uint32_t n; static void served(void) { while (!(SPI1(SPI_RX) >> 31)) n++; }
int main(void) { uart_init(RESET_HZ); spi_init(63, SELECT_HOLD); SPI1(0x54) = 3; SPI1(0x70) = 2; plic_on(6, 1);
  for (int i = 0; i < 4; i++) SPI1(SPI_TX) = i;
  until_hits(1); show("n", n); show("source", source_); """
        + END
        + "}",
        Echo(),
    )
    assert values(board) == {"n": 4, "source": 6}


def test_spi_with_unmuxed_pins_is_reported(build):
    """ "GPIO", "HW I/O Functions": the controller's lines reach the pads only through iof_en."""
    device = Echo()
    board = spi_board(
        build,
        """int main(void) { uart_init(RESET_HZ); spi_init(3, SELECT_HOLD); GPIO(IOF_EN) &= ~(1u << 3); spi_byte(1);
  puts_("done\\n"); for (;;) {} }""",
        device,
    )
    assert device.seen == []
    assert "its pins GPIO3 are not muxed" in board.reports.of("spi")[0].message


# -- QSPI0 ----------------------------------------------------------------------------------------------------

FROM_RAM = """#define RAM __attribute__((section(".ramcode"), noinline))
RAM static uint32_t xfer(uint32_t b) { QSPI0(SPI_TX) = b; uint32_t v; while ((v = QSPI0(SPI_RX)) >> 31) {} return v; }
RAM static void flash(const uint8_t *out, uint32_t n, uint8_t *in, uint32_t m) {
  QSPI0(0x60) = 0; QSPI0(FMT) = 0x80000; QSPI0(CSMODE) = 2;
  while (n--) xfer(*out++);
  while (m--) *in++ = (uint8_t)xfer(0);
  QSPI0(CSMODE) = 0; QSPI0(FMT) = 0x80008; QSPI0(0x60) = 1; }
static uint8_t command[5];
"""


def test_flash_by_program_from_ram(run):
    """ "SPI Flash Interface", fctrl: with en 0 the FIFOs reach the flash (IS25LP128 data sheet)."""
    board = run(
        FROM_RAM
        + """const uint32_t word = 0x12345678;
int main(void) { uart_init(RESET_HZ);
  uint32_t id = 0, got = 0, status = 0, at = (uint32_t)&word - 0x20000000;
  command[0] = 0x9F; flash(command, 1, (uint8_t *)&id, 3);
  command[0] = 3; command[1] = at >> 16; command[2] = at >> 8; command[3] = at; flash(command, 4, (uint8_t *)&got, 4);
  command[0] = 6; flash(command, 1, 0, 0); command[0] = 5; flash(command, 1, (uint8_t *)&status, 1);
  show("id", id); show("got", got); show("status", status); show("reset", QSPI0(0x50)); show("ffmt", QSPI0(0x64)); """
        + END
        + "}"
    )
    assert values(board) == {"id": 0x18609D, "got": 0x12345678, "status": 2, "reset": 1, "ffmt": 0x30007}


def test_flash_cannot_be_erased_nor_fed_while_it_executes(run):
    """What this model of the flash lacks stops with its command; a byte in txdata during XIP stops too."""
    erase = FROM_RAM + "int main(void) { command[0] = 0x20; flash(command, 1, 0, 0); for (;;) {} }"
    with pytest.raises(VirtualBoardError, match="flash command 0x20"):
        run(erase)
    with pytest.raises(VirtualBoardError, match="while it executes in place"):
        run("int main(void) { QSPI0(SPI_TX) = 1; for (;;) {} }")
