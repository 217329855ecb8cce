"""Compiles and links with the machine's RISC-V GCC and the flags of a PlatformIO build of platform ``uc_nn``."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

from uc_nn_pio.boards import Board
from uc_nn_pio.converter import Conversion
from uc_nn_pio.errors import ToolError
from uc_nn_pio.pio.packages import compiler_prefix
from uc_nn_pio.resources import resources

FLAGS = ("-Os", "-std=gnu99", "-ffreestanding", "-ffunction-sections", "-fdata-sections")
LINK_FLAGS = ("-nostdlib", "-nostartfiles", "-Wl,--gc-sections", "-T", "link.ld", "-lgcc")


def compiler() -> str:
    """The compiler's name on PATH."""
    return compiler_prefix() + "gcc"


@cache
def version() -> str:
    """The compiler's version, as ``12.2.0``."""
    return run(Path(), compiler(), "-dumpfullversion").strip()


def compile_model(folder: Path, conversion: Conversion, board: Board, *more: str) -> None:
    """``<model>.c`` in ``folder`` becomes ``model.o`` there; ``more`` are flags besides a build's."""
    flags = [*_flags(board), *conversion.compile_flags, *more]
    run(folder, compiler(), *flags, "-c", f"{conversion.name}.c", "-o", "model.o")


def link(folder: Path, board: Board, sources: list[str], name: str, libraries: tuple[str, ...] = ("fe310",)) -> None:
    """Compile and link ``sources`` with drivers of the firmware template: ``<name>.elf`` and ``<name>.map``."""
    places = [resources("firmware_template") / "lib" / library for library in libraries]
    drivers = [str(path) for place in places for path in sorted(place.iterdir()) if path.suffix in (".c", ".S")]
    includes = [f"-I{place}" for place in places]
    out = [f"-Wl,-Map={name}.map", "-o", f"{name}.elf"]
    run(folder, compiler(), *_flags(board), *includes, "-I.", *sources, *drivers, *LINK_FLAGS, *out)


def object_sizes(path: Path) -> tuple[int, int]:
    """Bytes of code and of constants in an object file."""
    sizes = run(path.parent, compiler_prefix() + "size", "-A", path.name)
    sections = re.findall(r"^\.(\S+)\s+(\d+)", sizes, flags=re.M)
    code = sum(int(size) for section, size in sections if section.startswith("text"))
    const = sum(int(size) for section, size in sections if section.startswith(("rodata", "srodata")))
    return code, const


def section_sizes(path: Path) -> tuple[int, int, int]:
    """Bytes of a linked program: code with constants, initialized data, and other variables. What the linker script
    reserves as the stack's region is not counted."""
    sizes = run(path.parent, compiler_prefix() + "size", "-A", path.name)
    found = {name: int(size) for name, size in re.findall(r"^(\.\S+)\s+(\d+)", sizes, flags=re.M)}
    text = sum(size for name, size in found.items() if name.startswith((".text", ".rodata", ".srodata", ".init")))
    return text, found.get(".data", 0) + found.get(".sdata", 0), found.get(".bss", 0) + found.get(".sbss", 0)


def run(folder: Path, *command: str) -> str:
    """Standard output of a command run in ``folder``.

    Raises:
        ToolError: it failed.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"{command[0]} failed", why=done.stderr.strip())
    return done.stdout


def _flags(board: Board) -> list[str]:
    flags = [*FLAGS, f"-march={board.march}", f"-mabi={board.mabi}", f"-mcmodel={board.mcmodel}"]
    # GCC 12 and later name the CSR instructions apart; older ones do not know the option
    return [*flags, "-misa-spec=2.2"] if int(version().split(".")[0]) >= 11 else flags
