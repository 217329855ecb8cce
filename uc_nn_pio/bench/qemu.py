"""Instructions of an inference on a Cortex-M4, counted by QEMU.

``python -m uc_nn_pio.bench.qemu SPEC...`` prints them. With ``-icount shift=0`` QEMU takes a nanosecond an instruction,
and the board's SysTick counts 40 of them a tick. Cycles are not counted: QEMU knows no memory and no pipeline.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from uc_nn_pio.boards import Board, load_board
from uc_nn_pio.converter import Conversion, convert
from uc_nn_pio.errors import ToolError, UcNnError
from uc_nn_pio.pio.board_files import render_board_files
from uc_nn_pio.resources import resources

BOARD = "mps2_an386"
INSTRUCTIONS_A_TICK = 40
MOST_SECONDS = 300

_MAIN = """
#include <stdint.h>

#include "bare.h"
#include "NAME.h"

static NAME_context context;
static volatile uint32_t *const systick = (volatile uint32_t *)0xE000E010;

int main(void);

static TYPE value(int32_t i)
{
    return (TYPE)(i * 37 % 255 - 127);
}

int main(void)
{
    uint32_t ticks;

    bare_begin();
    systick[1] = 0xFFFFFF;
    systick[2] = 0;
    systick[0] = 5;
#ifdef UPPER_STREAMED
    ticks = systick[2];
    NAME_reset(&context);
    for (int32_t y = 0; y < UPPER_INPUT_H; y++) {
        TYPE *row = NAME_row(&context);

        for (int32_t i = 0; i < UPPER_INPUT_SIZE / UPPER_INPUT_H; i++) {
            row[i] = value(y * (UPPER_INPUT_SIZE / UPPER_INPUT_H) + i);
        }
        (void)NAME_push_row(&context);
    }
#else
    for (int32_t i = 0; i < UPPER_INPUT_SIZE; i++) {
        NAME_input(&context)[i] = value(i);
    }
    ticks = systick[2];
#endif
    NAME_run(&context);
    bare_print_signed((int32_t)((ticks - systick[2]) & 0xFFFFFF));
    return 0;
}
"""


def instructions(conversion: Conversion, board: Board | None = None) -> int:
    """Of one inference, to the nearest forty; of a streamed network the filling of its rows is in it.

    Raises:
        ToolError: no cross compiler or no QEMU, or the program does not end.
    """
    board = board or load_board(BOARD)
    element = "float" if conversion.design.precision == "float32" else "int8_t"
    main = _MAIN.replace("NAME", conversion.name).replace("UPPER", conversion.name.upper()).replace("TYPE", element)
    bare = resources("firmware_template") / "lib" / "bare"
    with tempfile.TemporaryDirectory(prefix="uc_nn_qemu_") as temporary:
        folder = Path(temporary)
        for name, text in {**conversion.files, **render_board_files(board), "main.c": main}.items():
            (folder / name).write_text(text, encoding="utf-8")
        machine = [f"-mcpu={board.cpu}", "-mthumb", "-ffreestanding", "-Os", "-ffunction-sections", f"-I{bare}", "-I."]
        link = ["-nostdlib", "-nostartfiles", "-Wl,--gc-sections", "-Tlink.ld", "-lgcc"]
        model = f"{conversion.name}.c"
        _run(folder, "arm-none-eabi-gcc", *machine, *conversion.compile_flags, "-c", model, "-o", "model.o")
        sources = ["main.c", *map(str, sorted(bare.glob("*.c"))), "model.o"]
        _run(folder, "arm-none-eabi-gcc", *machine, *sources, *link, "-o", "count.elf")
        machine = ["qemu-system-arm", "-M", "mps2-an386", "-semihosting", "-icount", "shift=0,sleep=off"]
        quiet = ["-display", "none", "-monitor", "none", "-serial", "stdio"]
        return int(_run(folder, *machine, *quiet, "-kernel", "count.elf")) * INSTRUCTIONS_A_TICK


def _run(folder: Path, *command: str) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise ToolError(
            f"{command[0]} is not installed", next_step="python3 dev.py setup says which packages"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(
            f"{command[0]} did not end in {MOST_SECONDS} s",
            why="the program ends the machine itself when it is done: it hangs, or this machine is very busy",
            next_step="run it again; if it hangs again, try a smaller network",
        ) from error
    if done.returncode:
        raise ToolError(f"{command[0]} fails", why=f"{done.stdout[-200:]}{done.stderr[-1000:]}")
    return done.stdout


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m uc_nn_pio.bench.qemu", description=__doc__.partition("\n")[0])
    parser.add_argument("specs", type=Path, nargs="+", metavar="SPEC")
    try:
        for spec in parser.parse_args().specs:
            made = convert(spec, load_board(BOARD))
            print(f"{made.name}: {instructions(made):,} instructions on a Cortex-M4, {made.design.plan.schedule}")
    except UcNnError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
