"""Counts what a model takes on the virtual HiFive1: compiled for it, run, its own counters read.

Instructions are exact (``minstret``) and repeat. Cycles are those of the virtual board's cycle model, with the limits
that ``docs/virtual-board.md`` states. The compiler is the machine's RISC-V GCC, with the flags of a PlatformIO build.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np

from uc_nn_pio.boards import Board
from uc_nn_pio.convert import Conversion
from uc_nn_pio.errors import ToolError, VirtualBoardError
from uc_nn_pio.graph.layout import to_memory
from uc_nn_pio.pio.board_files import render_board_files
from uc_nn_pio.pio.packages import compiler_prefix
from uc_nn_pio.resources import resources

FLAGS = ("-Os", "-std=gnu99", "-ffreestanding", "-ffunction-sections", "-fdata-sections")


@dataclass(frozen=True)
class Run:
    """One inference, from uint8 pixels to the class. ``stack`` is bytes below the caller's stack pointer."""

    best: int
    instructions: int
    cycles: int
    stack: int


@dataclass(frozen=True)
class Measurement:
    """``runs`` in the pictures' order; ``code_bytes`` and ``const_bytes`` of the model's own object file."""

    compiler: str
    runs: tuple[Run, ...]
    code_bytes: int
    const_bytes: int

    @property
    def worst(self) -> Run:
        return max(self.runs, key=lambda run: run.cycles)


def measure(conversion: Conversion, pictures: np.ndarray, board: Board, core_hz: int) -> Measurement:
    """Run a converted model on raw pictures (N, C, H, W) uint8.

    Raises:
        ToolError: no RISC-V compiler, or it refuses the C.
        VirtualBoardError: the program did not come to its end.
    """
    from uc_nn_pio.virtual import VirtualBoard

    name, compiler = conversion.name, compiler_prefix() + "gcc"
    with tempfile.TemporaryDirectory(prefix="uc_nn_bench_") as temporary:
        folder = Path(temporary)
        write_sources(folder, conversion, pictures, board, core_hz)
        code, const = build(compiler, folder, conversion, board)
        machine = VirtualBoard(folder / "bench.elf", board, camera=False)
        result = machine.run(until="end", max_instructions=4_000_000_000)
    if result.reason != "until":
        raise VirtualBoardError("the measuring program did not come to its end", where=name, why=machine.text[-200:])
    pattern = r"run (-?\d+) instructions (\d+) cycles (\d+) stack (\d+)"
    runs = tuple(Run(*map(int, match)) for match in re.findall(pattern, machine.text))
    return Measurement(_version(compiler), runs, code, const)


def write_sources(folder: Path, conversion: Conversion, pictures: np.ndarray, board: Board, core_hz: int) -> None:
    """Put everything but the drivers into ``folder``: the model, the measuring program, the board's files."""
    texts = {
        **conversion.files,
        **render_board_files(board, core_hz=core_hz),
        "main.c": _main(conversion.name, pictures),
    }
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")


def _main(name: str, pictures: np.ndarray) -> str:
    template = (Path(__file__).parent / "main.c.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    rows = to_memory(pictures, rank=3).tolist()
    return environment.from_string(template).render(model=name, MODEL=name.upper(), pictures=rows)


def build(compiler: str, folder: Path, conversion: Conversion, board: Board) -> tuple[int, int]:
    """Link ``bench.elf`` and ``bench.map`` from the files in ``folder``.

    Returns the bytes of code and of constants in the model's own object file.
    """
    fe310 = resources("firmware_template") / "lib" / "fe310"
    flags = [*FLAGS, f"-march={board.march}", f"-mabi={board.mabi}", f"-mcmodel={board.mcmodel}"]
    # GCC 12 and later name the CSR instructions apart; older ones do not know the option
    if int(_version(compiler).split(".")[0]) >= 11:
        flags.append("-misa-spec=2.2")
    _run(compiler, *flags, *conversion.compile_flags, "-c", f"{conversion.name}.c", "-o", "model.o", folder=folder)
    drivers = sorted(str(path) for path in fe310.iterdir() if path.suffix in (".c", ".S"))
    link = ["-nostdlib", "-nostartfiles", "-Wl,--gc-sections", "-Wl,-Map=bench.map", "-T", "link.ld", "-lgcc"]
    _run(compiler, *flags, f"-I{fe310}", "-I.", "main.c", "model.o", *drivers, *link, "-o", "bench.elf", folder=folder)
    sizes = _run(compiler.removesuffix("gcc") + "size", "-A", "model.o", folder=folder)
    sections = re.findall(r"^\.(\S+)\s+(\d+)", sizes, flags=re.M)
    code = sum(int(size) for section, size in sections if section.startswith("text"))
    const = sum(int(size) for section, size in sections if section.startswith(("rodata", "srodata")))
    return code, const


def _version(compiler: str) -> str:
    return subprocess.run([compiler, "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()


def _run(*command: str, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"{command[0]} failed", why=done.stderr.strip())
    return done.stdout
