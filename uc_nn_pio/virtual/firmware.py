"""Reads a firmware ELF: what lies where in memory, where it starts, and the names of its functions."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from uc_nn_pio.errors import VirtualBoardError


@dataclass(frozen=True)
class Segment:
    """Bytes as they lie in flash (``load_address``) and the address where the program expects them."""

    load_address: int
    run_address: int
    data: bytes


@dataclass(frozen=True)
class Firmware:
    """A linked RV32 program. ``symbols`` are its functions and labels, (address, size, name), sorted by address;
    ``addresses`` has every symbol, data too."""

    path: Path
    entry: int
    segments: tuple[Segment, ...]
    symbols: tuple[tuple[int, int, str], ...]
    addresses: Mapping[str, int]

    def function(self, address: int) -> str | None:
        """Name of the function that holds ``address``, or ``None`` where the ELF names none."""
        index = bisect.bisect_right(self.symbols, (address, 1 << 40, "")) - 1
        if index < 0:
            return None
        start, size, name = self.symbols[index]
        return name if address < start + max(size, 1) or size == 0 else None

    def where(self, pc: int) -> str:
        """``pc 0x... in name`` for messages."""
        name = self.function(pc)
        return f"pc 0x{pc:08X} in {name}" if name else f"pc 0x{pc:08X}"

    def symbol(self, name: str) -> int:
        """Address of a symbol; ``KeyError`` if the ELF lacks it."""
        return self.addresses[name]


def load_firmware(path: Path | str) -> Firmware:
    """Read an ELF file.

    Raises:
        VirtualBoardError: no such file, no ELF, or an ELF for another processor.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _read(path, ELFFile(file))
    except FileNotFoundError as error:
        raise VirtualBoardError(
            "the firmware file does not exist", where=str(path), next_step="build it first: pio run"
        ) from error
    except (ELFError, OSError, UnicodeDecodeError) as error:
        raise VirtualBoardError(
            "the firmware file is not an ELF file", where=str(path), why=str(error) or type(error).__name__,
            next_step="give the .elf that the linker wrote, not a .bin or .hex",
        ) from error  # fmt: skip


def _read(path: Path, elf: ELFFile) -> Firmware:
    if elf["e_machine"] != "EM_RISCV" or elf.elfclass != 32:
        raise VirtualBoardError(
            f"the firmware is for {elf['e_machine'][3:]}, {elf.elfclass} bits",
            where=str(path),
            why="the FE310 is a 32-bit RISC-V (RV32IMAC)",
            next_step="compile with -march=rv32imac -mabi=ilp32",
        )
    segments = tuple(
        Segment(segment["p_paddr"], segment["p_vaddr"], segment.data())
        for segment in elf.iter_segments()
        if segment["p_type"] == "PT_LOAD" and segment["p_filesz"] > 0
    )
    symbols: list[tuple[int, int, str]] = []
    addresses: dict[str, int] = {}
    table = elf.get_section_by_name(".symtab")
    if table is not None:
        for symbol in table.iter_symbols():
            if symbol["st_shndx"] == "SHN_UNDEF" or not symbol.name:
                continue
            addresses[symbol.name] = symbol["st_value"]
            kind = symbol["st_info"]["type"]
            label = kind == "STT_NOTYPE" and not symbol.name.startswith(("$", ".L", "_"))
            if kind == "STT_FUNC" or label or symbol.name == "_start":
                symbols.append((symbol["st_value"], symbol["st_size"], symbol.name))
    return Firmware(path, elf["e_entry"], segments, tuple(sorted(symbols)), addresses)
