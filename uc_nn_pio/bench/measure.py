"""Counts what a model takes on the virtual HiFive1: compiled for it, run, its own counters read.

Instructions are exact (``minstret``) and repeat. Cycles are those of the virtual board's cycle model, with the limits
that ``docs/virtual-board.md`` states. The compiler is the machine's RISC-V GCC, with the flags of a PlatformIO build.

An inference counts from uint8 pixels in RAM to the class: ``set_row`` for every row, ``run``, ``argmax``. Each call is
counted apart and added up; copying the picture from flash into the row is in between. What reading the counters takes
is measured around nothing and subtracted.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np

from uc_nn_pio.bench.toolchain import compile_model, compiler, link, object_sizes, version
from uc_nn_pio.bench.watch import Costs, TableReads, Watch
from uc_nn_pio.boards import Board
from uc_nn_pio.converter import Conversion
from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.graph.layout import to_memory
from uc_nn_pio.pio.board_files import render_board_files

MOST_INSTRUCTIONS = 40_000_000_000


@dataclass(frozen=True)
class Run:
    """One inference, from uint8 pixels to the class. ``stack`` is bytes below the caller's stack pointer; ``costs`` are
    the virtual board's counts of the same span."""

    best: int
    instructions: int
    cycles: int
    stack: int
    costs: Costs


@dataclass(frozen=True)
class Measurement:
    """``runs`` in the pictures' order, each with the code in the I-cache; ``cold`` is that picture again which took the
    most cycles, with an empty one. ``code_bytes`` and ``const_bytes`` are of the model's own object file.
    ``flash_bytes``, ``tables``: data that one inference reads from flash, all and by constant table."""

    compiler: str
    runs: tuple[Run, ...]
    cold: Run
    code_bytes: int
    const_bytes: int
    flash_bytes: int
    tables: Mapping[str, TableReads]

    @property
    def worst(self) -> Run:
        return max(self.runs, key=lambda run: run.cycles)


def measure(
    conversion: Conversion, pictures: np.ndarray, board: Board, core_hz: int, flash: str = "reset"
) -> Measurement:
    """Run a converted model on raw pictures (N, C, H, W) uint8, or vectors (N, F) of an int8 model, plus 128.

    Args:
        conversion: the model.
        pictures: what ``set_row`` is given; a vector is written as it is.
        board: the virtual board, or one with more RAM.
        core_hz: the core clock. Cycles do not depend on it.
        flash: how it is read: a value of ``custom_uc_nn_flash``.

    Raises:
        ToolError: no RISC-V compiler, or it refuses the C.
        VirtualBoardError: the program did not come to its end.
    """
    from uc_nn_pio.virtual import VirtualBoard

    rows = pictures.shape[2] if pictures.ndim == 4 else 1
    with tempfile.TemporaryDirectory(prefix="uc_nn_bench_") as temporary:
        folder = Path(temporary)
        write_sources(folder, conversion, pictures, board, core_hz, flash)
        code, const = build(folder, conversion, board)
        machine = VirtualBoard(folder / "bench.elf", board, camera=False)
        # two windows count nothing, the first inference fills the I-cache, the second is looked at
        watch = Watch(machine, range(2 + (rows + 1), 2 + 2 * (rows + 1)))
        result = machine.run(until="end", max_instructions=MOST_INSTRUCTIONS)
        if result.reason != "until":
            why = f"{result.reason}: {machine.text[-200:]}"
            raise VirtualBoardError("the measuring program did not come to its end", where=conversion.name, why=why)
        names = [f"{conversion.name}_{table.name}" for k in conversion.design.kernels for table in k.tables()]
        tables = watch.tables(folder / "bench.elf", names)
    _, *runs, cold = _runs(machine.text, watch.windows, rows)
    return Measurement(version(), tuple(runs), cold, code, const, watch.read_bytes, tables)


def _runs(text: str, windows: list[Costs], rows: int) -> list[Run]:
    """Every inference of the program, in order, without what counting it took."""
    (_, nothing, *parts), count = windows, rows + 1
    empty = tuple(map(int, re.findall(r"nothing instructions (\d+) cycles (\d+)", text)[-1]))
    runs = []
    for at, match in enumerate(re.findall(r"run (-?\d+) instructions (\d+) cycles (\d+) stack (\d+)", text)):
        best, instructions, cycles, stack = map(int, match)
        costs = sum(parts[at * count : (at + 1) * count], Costs()) - nothing.times(count)
        runs.append(Run(best, instructions - count * empty[0], cycles - count * empty[1], stack, costs))
    return runs


def write_sources(
    folder: Path, conversion: Conversion, pictures: np.ndarray, board: Board, core_hz: int, flash: str = "reset"
) -> None:
    """Put everything but the drivers into ``folder``: the model, the measuring program, the board's files."""
    texts = {
        **conversion.files,
        **render_board_files(board, core_hz=core_hz, flash=flash),
        "main.c": _main(conversion.name, pictures),
    }
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")


def _main(name: str, pictures: np.ndarray) -> str:
    flat = to_memory(pictures, rank=pictures.ndim - 1)
    return render_program("main.c.j2", name, pictures=flat.tolist(), vector=pictures.ndim == 2)


def render_program(template: str, model: str, **variables: object) -> str:
    """C of a measuring program, from a template beside this file."""
    text = (Path(__file__).parent / template).read_text(encoding="utf-8")
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(text).render(model=model, MODEL=model.upper(), **variables)


def build(folder: Path, conversion: Conversion, board: Board) -> tuple[int, int]:
    """Link ``bench.elf`` and ``bench.map`` from the files in ``folder``.

    Returns the bytes of code and of constants in the model's own object file.
    """
    compile_model(folder, conversion, board)
    link(folder, board, ["main.c", "model.o"], "bench")
    return object_sizes(folder / "model.o")


__all__ = ["Measurement", "Run", "build", "compiler", "measure", "render_program", "version", "write_sources"]
