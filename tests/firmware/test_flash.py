"""Dual I/O: the switch of QSPI0, its check, the way back, and what a reset finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.firmware.build import build_firmware
from tests.firmware.test_emulators import lines, pictures, predictions
from uc_nn_pio.boards import load_board
from uc_nn_pio.errors import BoardError, VirtualBoardError
from uc_nn_pio.pio.board_files import render_board_files
from uc_nn_pio.virtual.board import VirtualBoard
from uc_nn_pio.virtual.scene import Scene

DUAL_IO = 0x00BB_1447
"""QSPI0's ffmt for command 0xBB of the IS25LP128: address and data on two lines, 4 clocks between them, mode bits 0."""

RESET_FFMT, CONTINUOUS = 0x0003_0007, 0xA0 << 24
HASTY = "-DOV2640_SETTLE_FRAMES=1u"


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_firmware(tmp_path_factory.mktemp("dual"), flash="dual_io", flags=(HASTY,))


def started(elf: Path, **options: object) -> VirtualBoard:
    board = VirtualBoard(elf, "hifive1", Scene.of(pictures(count=1)), **options)
    board.run("PREDICTION", max_seconds=3)
    board.run("\n", max_seconds=1)
    return board


def qspi(board: VirtualBoard) -> tuple[int, int, int]:
    return tuple(board.qspi0.values[name] for name in ("ffmt", "sckdiv", "fctrl"))


@pytest.mark.parametrize("warm", [False, True])
def test_the_firmware_switches_checks_and_says_so(elf, warm):
    board = started(elf, warm=warm, seed=4)
    assert lines(board)[1:3] == ["flash: dual I/O", "uc_nn: tiny ready"]
    assert qspi(board) == (DUAL_IO, 3, 1)
    assert board.qspi0.sck_hz == 40e6
    assert len(predictions(board)) == 1
    assert board.qspi0.continuous is None
    assert [str(report) for report in board.reports.items] == []


def test_reset_settings_are_the_default(tmp_path):
    elf = build_firmware(tmp_path, flags=(HASTY,))
    board = started(elf)
    assert "flash:" not in board.text
    assert qspi(board) == (RESET_FFMT, 3, 1)
    assert "fe310_flash_set" not in board.firmware.addresses, "what is not called is not linked"


def test_a_flash_that_does_not_answer_is_read_as_before(elf):
    board = started(elf, faults=["flash-dual"])
    assert lines(board)[1:3] == ["flash: reset settings (check failed)", "uc_nn: tiny ready"]
    assert qspi(board) == (RESET_FFMT, 3, 1)
    assert len(predictions(board)) == 1


def test_a_single_wrong_byte_is_enough(tmp_path, elf):
    """The pattern's last byte in flash is not what the code computes: even so, at reset settings, all else works."""
    image = bytearray(elf.read_bytes())
    pattern = bytes((77 + 181 * i) % 256 for i in range(256))
    assert sorted(pattern) == list(range(256)), "each value once"
    assert image.count(pattern) == 1
    image[image.index(pattern) + 255] ^= 1
    spoiled = tmp_path / "spoiled.elf"
    spoiled.write_bytes(image)
    board = VirtualBoard(spoiled, "hifive1", camera=False)
    board.run("ready", max_seconds=1)
    assert "flash: reset settings (check failed)" in board.text


def test_a_warm_reset_starts_from_flash_again(elf):
    """FE310 and QSPI0 are reset, the flash is not: it still waits for a command."""
    board = VirtualBoard(elf, "hifive1", Scene.of(pictures(count=1)), faults=["reset@0.3"])
    board.run("ready", max_seconds=1)
    board.run("PREDICTION", max_seconds=3)
    assert [report.kind for report in board.reports.items] == ["fault"]
    assert lines(board).count("flash: dual I/O") == 2
    assert lines(board)[-1].startswith("PREDICTION")


# What the mode bits 0x00 keep off: without a command byte, as one would run continuous read in earnest.

TRAP = """
#include "fe310.h"
#include "uc_nn_board.h"
#define QSPI0_FCTRL 0x10014060u
#define QSPI0_FFMT 0x10014064u

/* The first read carries a command and the mode bits; those behind it carry no command. */
static __attribute__((section(".data.switch_mode"), noinline)) void switch_mode(uint32_t mode)
{
    fe310_write(QSPI0_FCTRL, 0u);
    fe310_write(QSPI0_FFMT, UC_NN_FLASH_FFMT | mode);
    fe310_write(QSPI0_FCTRL, 1u);
    (void)fe310_read(0x20400000u);
    if (mode != 0u) {
        fe310_write(QSPI0_FCTRL, 0u);
        fe310_write(QSPI0_FFMT, (UC_NN_FLASH_FFMT & ~1u) | mode);
        fe310_write(QSPI0_FCTRL, 1u);
    }
}

int main(void);
int main(void)
{
    void (*volatile function)(uint32_t) = switch_mode;

    (void)fe310_timer_init();
    (void)fe310_uart_init(115200u);
    function(MODE);
    fe310_print("it runs\\n");
    fe310_sleep_ms(10u);
    fe310_print("still\\n");
    for (;;) {
        fe310_sleep_ms(1u);
    }
}
"""


def trap(folder: Path, mode: int) -> VirtualBoard:
    (folder / "trap.c").write_text(TRAP)
    flags = (f"-DMODE=0x{mode:08X}u", "-Wno-error", "-w")
    elf = build_firmware(folder, main=folder / "trap.c", flash="dual_io", flags=flags)
    board = VirtualBoard(elf, "hifive1", camera=False)
    board.run("still", max_seconds=1)
    assert "it runs" in board.text
    return board


def test_mode_bits_of_continuous_read_are_a_trap_for_the_next_reset(tmp_path):
    board = trap(tmp_path, CONTINUOUS)
    assert board.qspi0.continuous == 0xBB
    board.faults.inject("reset")
    with pytest.raises(VirtualBoardError, match="continuous read mode of 0xBB") as caught:
        board.run("it runs", max_seconds=1)
    assert "supply" in caught.value.next_step
    assert qspi(board)[0] == RESET_FFMT


def test_mode_bits_0x00_are_none(tmp_path):
    board = trap(tmp_path, 0)
    assert board.qspi0.continuous is None
    board.faults.inject("reset")
    assert board.run("it runs", max_seconds=1).reason == "until"


def test_the_switch_itself_with_the_wrong_mode_bits_is_lost(tmp_path):
    """The second read of the check is misread, and so is the way back: on the board the supply must be cut."""
    text = render_board_files(load_board("hifive1"), flash="dual_io")["uc_nn_board.h"]
    assert f"UC_NN_FLASH_FFMT 0x{DUAL_IO:08X}u" in text
    assert DUAL_IO >> 24 == 0, "mode bits"
    main = tmp_path / "main.c"
    main.write_text(
        '#include "fe310.h"\nint main(void);\nint main(void) { return fe310_flash_set(0xA0BB1447u, 3u); }\n'
    )
    board = VirtualBoard(build_firmware(tmp_path, main=main), "hifive1", camera=False)
    with pytest.raises(VirtualBoardError, match="continuous read mode"):
        board.run(max_seconds=1)


# What the build refuses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("core_hz", "sckdiv"), [(320_000_000, 3), (352_000_000, 3), (16_000_000, 3)])
def test_the_divider_keeps_the_flash_clock_at_50_mhz_or_less(core_hz, sckdiv):
    header = render_board_files(load_board("hifive1"), core_hz=core_hz, flash="dual_io")["uc_nn_board.h"]
    assert f"#define UC_NN_FLASH_SCKDIV {sckdiv}u\n" in header
    assert core_hz / (2 * (sckdiv + 1)) <= 50e6


def test_a_faster_divider_is_the_users_word_within_the_limit(tmp_path):
    """At 160 MHz SCK may be 40 MHz with divider 1; at 320 MHz divider 2 makes 53.3 MHz, which the compiler refuses."""
    flags = ("-DUC_NN_FLASH_SCKDIV=1u", HASTY)
    board = started(build_firmware(tmp_path / "a", core_hz=160_000_000, flash="dual_io", flags=flags))
    assert qspi(board) == (DUAL_IO, 1, 1) and board.qspi0.sck_hz == 40e6
    for name, flags in (("b", ()), ("c", ("-DUC_NN_CORE_HZ=352000000u",))):
        with pytest.raises(AssertionError, match="is above UC_NN_FLASH_MAX_HZ: raise UC_NN_FLASH_SCKDIV"):
            build_firmware(tmp_path / name, flash="dual_io", flags=("-DUC_NN_FLASH_SCKDIV=2u", *flags))


def test_other_values_and_boards_without_data_are_refused():
    board = load_board("hifive1")
    with pytest.raises(BoardError, match="'dual' is no way to read the flash") as caught:
        render_board_files(board, flash="dual")
    assert caught.value.next_step == "did you mean dual_io?"
    details = {**board.details, "qspi": {"bus_cycles": 4}}
    with pytest.raises(BoardError, match="is not known"):
        render_board_files(type(board)(**{**vars(board), "details": details}), flash="dual_io")
