"""Builds test programs for the virtual HiFive1 and runs them there."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.emit.harness import Case
from tests.targets.program import FREESTANDING, SUPPORT, WARNINGS, outputs_of, run_tool, support, write_program
from uc_nn_pio.virtual import VirtualBoard

START = Path(__file__).parents[1] / "virtual" / "firmware"
RAM_FOR_CONTEXT = 15 * 1024
"""Of the chip's 16 KiB; what is left holds the guards and the stack."""

_GCC = "riscv64-unknown-elf-gcc"
_MACHINE = ("-march=rv32imac", "-mabi=ilp32", "-mcmodel=medany")
_LINK = ("-nostdlib", "-nostartfiles", "-Wl,--gc-sections", f"-T{START / 'link.ld'}")
_MOST_INSTRUCTIONS = 5_000_000_000


def run_on_fe310(cases: Sequence[Case], folder: Path, flags: Sequence[str]) -> list[np.ndarray]:
    """int8 outputs (N, ...) of every case in torch's order; ``flags`` are the compiler's, level included."""
    sources = [*write_program(cases, folder), *support("fe310.c", "memory.c"), START / "start.S"]
    common = [*_MACHINE, *FREESTANDING, *WARNINGS, f"-I{SUPPORT}"]
    own = ["-fno-tree-loop-distribute-patterns", *_isa_flags()]
    run_tool(folder, _GCC, *common, *flags, *own, *_LINK, *sources, "-lgcc", "-o", "program.elf")
    board = VirtualBoard(folder / "program.elf", camera=False)
    result = board.run(until=".", max_instructions=_MOST_INSTRUCTIONS)
    print(f"{result.instructions / 1e6:.0f} M instructions")
    return outputs_of(board.text, cases)


def _isa_flags() -> list[str]:
    """GCC 12 and later name the CSR instructions apart from the base set; older ones do not know the option."""
    version = subprocess.run([_GCC, "-dumpversion"], capture_output=True, text=True, check=True).stdout
    return ["-misa-spec=2.2"] if int(version.split(".")[0]) >= 11 else []
