"""A firmware with the vendor SDK's habits runs to its end here; without a camera it says the same on QEMU's sifive_e.

QEMU counts instructions with ``-icount shift=0``, so ``minstret`` of a computation must agree exactly.
"""

import re
import subprocess
import time

import pytest

from uc_nn_pio.virtual import VirtualBoard

QEMU = ["qemu-system-riscv32", "-M", "sifive_e", "-nographic", "-monitor", "none", "-icount", "shift=0"]
EXPECTED = {
    "heap": 49 * 149 + 400,
    "stack": sum(range(10)) * sum(range(256)),
    "ecall": 42,
    "misaligned": 0x55443322,
    "patched": 6 * 256 + 8,
}


def values(text):
    """The ``name=hex`` lines that a firmware printed."""
    return {name: int(value, 16) for name, value in re.findall(r"(\w+)=([0-9a-f]{8})", text)}


def variable(board, name):
    """A word of RAM by its C name."""
    ram = next(memory for memory in board.cpu.memories if memory.name == "ram")
    at = board.firmware.symbol(name) - ram.base
    return int.from_bytes(ram.data[at : at + 4].tobytes(), "little")


def qemu(elf, text, until=b"done\n"):
    """What QEMU's UART prints until ``until``."""
    process = subprocess.Popen(
        [*QEMU, "-serial", f"file:{text}", "-kernel", str(elf)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 20
        while until not in (text.read_bytes() if text.exists() else b"") and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    return text.read_bytes().decode()


@pytest.mark.parametrize("level", ["-O2", "-O0"])
def test_it_runs_to_its_end_with_a_camera(build, level):
    """Chip select by csmode, csdef and csid; bit-banged SCCB with repeated start; interrupts on all the time."""
    board = VirtualBoard(build("vendor", flags=(level,), CAMERA=1))
    board.run(until="done\n", max_seconds=2)
    got = values(board.text)
    assert {name: got[name] for name in EXPECTED} == EXPECTED
    assert (got["csmode"], got["csdef"], got["csid"], got["pid"]) == (0x51, 0x52, 0x53, 0x26)
    assert board.clock.core_hz == 256_000_000
    assert [report for report in board.reports.items if report.kind != "trap"] == []
    assert variable(board, "emulated") == 1
    assert variable(board, "deepest") >= 2  # the software interrupt came inside the timer's
    assert board.text.endswith("done\n")


def test_qemu_says_the_same_and_counts_the_same_instructions(build, tmp_path):
    elf = build("vendor", CAMERA=0)
    board = VirtualBoard(elf)
    board.run(until="done\n", max_seconds=2)
    assert qemu(elf, tmp_path / "uart.txt") == board.text
    assert values(board.text)["counted"] > 10_000


def test_two_boards_in_turns_are_as_alone(build):
    """Two different programs, one with a camera, interleaved: output, counts and remarks of each as when alone."""
    elves = build("vendor", CAMERA=1), build("vendor", CAMERA=0)

    def state(board):
        return board.text, board.cpu.instructions, board.cpu.cycles, [str(r) for r in board.reports.items]

    step, rounds = 30_000, 12
    alone = []
    for elf in elves:
        board = VirtualBoard(elf, seed=3)
        for _ in range(rounds):
            board.run(max_instructions=step)
        alone.append(state(board))
    pair = [VirtualBoard(elf, seed=3) for elf in elves]
    for _ in range(rounds):
        for board in pair:
            board.run(max_instructions=step)
    assert [state(board) for board in pair] == alone
    assert alone[0] != alone[1]
