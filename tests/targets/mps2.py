"""Builds test programs for Cortex-M and runs them on the MPS2 boards that QEMU has."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.emit.harness import Case
from tests.targets.program import FREESTANDING, SUPPORT, WARNINGS, outputs_of, run_tool, support, write_program
from uc_nn_pio.converter import Conversion

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


_COUNTING = """
#include "target.h"
#include "NAME.h"

static NAME_context context;

/* SysTick counts down at 25 MHz; with QEMU's -icount shift=0 an instruction takes 1 ns. */
static volatile uint32_t *const systick = (volatile uint32_t *)0xE000E010;

int main(void);
int main(void)
{
    uint32_t ticks;
    char digits[10];
    int count = 0;

    target_begin();
    for (int i = 0; i < UPPER_INPUT_SIZE; i++) {
        NAME_input(&context)[i] = (int8_t)(i * 37 % 255 - 127);
    }
    systick[1] = 0xFFFFFF;
    systick[2] = 0;
    systick[0] = 5;
    ticks = systick[2];
    NAME_run(&context);
    ticks = (ticks - systick[2]) & 0xFFFFFF;
    do {
        digits[count++] = (char)('0' + ticks % 10);
        ticks /= 10;
    } while (ticks != 0);
    while (count > 0) {
        target_put(digits[--count]);
    }
    target_end();
    return 0;
}
"""

INSTRUCTIONS_A_TICK = 40


def instructions_on_mps2(conversion: Conversion, folder: Path, machine: Machine) -> int:
    """Of one inference of an int8 model that is not streamed, to the nearest forty."""
    main = _COUNTING.replace("NAME", conversion.name).replace("UPPER", conversion.name.upper())
    for name, text in {**conversion.files, "main.c": main}.items():
        (folder / name).write_text(text, encoding="utf-8")
    common = [*machine.flags, *FREESTANDING, f"-I{SUPPORT}", "-fno-tree-loop-distribute-patterns"]
    sources = ["main.c", f"{conversion.name}.c", *map(str, support("mps2.c", "memory.c"))]
    run_tool(
        folder, "arm-none-eabi-gcc", *common, *conversion.compile_flags, *_LINK, *sources, "-lgcc", "-o", "count.elf"
    )
    quiet = ["-display", "none", "-monitor", "none", "-serial", "stdio", "-icount", "shift=0,sleep=off"]
    command = ["qemu-system-arm", "-M", machine.board, *quiet, "-semihosting", "-kernel", "count.elf"]
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return int(done.stdout) * INSTRUCTIONS_A_TICK
