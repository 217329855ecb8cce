"""Builds test programs for Cortex-M and runs them on the MPS2 boards that QEMU has."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.emit.harness import Case
from tests.targets.program import FREESTANDING, SUPPORT, WARNINGS, outputs_of, run_tool, support, write_program

_LINK = ("-nostdlib", "-nostartfiles", "-Wl,--gc-sections", f"-T{SUPPORT / 'mps2.ld'}")
_MOST_SECONDS = 300


@dataclass(frozen=True)
class Machine:
    """A board of QEMU's, the compiler's processor, and whether a word access that is not aligned is a fault."""

    board: str
    cpu: str
    aligned_only: bool = False

    @property
    def flags(self) -> list[str]:
        aligned = ["-mno-unaligned-access", "-DALIGNED_ONLY"] if self.aligned_only else []
        return [f"-mcpu={self.cpu}", "-mthumb", *aligned]


def run_on_mps2(cases: Sequence[Case], folder: Path, machine: Machine, flags: Sequence[str]) -> list[np.ndarray]:
    """int8 outputs (N, ...) of every case in torch's order; ``flags`` are the compiler's, level included."""
    sources = [*write_program(cases, folder), *support("mps2.c", "memory.c")]
    common = [*machine.flags, *FREESTANDING, *WARNINGS, f"-I{SUPPORT}", "-fno-tree-loop-distribute-patterns"]
    run_tool(folder, "arm-none-eabi-gcc", *common, *flags, *_LINK, *sources, "-lgcc", "-o", "program.elf")
    # semihosting for the exit code alone; the outputs come through the UART
    quiet = ["-display", "none", "-monitor", "none", "-serial", "stdio"]
    command = ["qemu-system-arm", "-M", machine.board, *quiet, "-semihosting", "-kernel", "program.elf"]
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_MOST_SECONDS
    )
    assert done.returncode == 0, f"the program failed: {done.stderr}...{done.stdout[-200:]}"
    return outputs_of(done.stdout, cases)
