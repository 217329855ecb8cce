"""The leading-zero count that stands in for libgcc's."""

from __future__ import annotations

import ctypes
import random
from pathlib import Path

from elftools.elf.elffile import ELFFile

from tests.firmware.build import build_firmware


def test_every_bit_and_random_values_against_bit_length(drivers) -> None:
    rng = random.Random(1)
    values = [1 << bit for bit in range(32)] + [(1 << bit) - 1 for bit in range(1, 33)]
    values += [rng.getrandbits(rng.randint(1, 32)) | 1 for _ in range(5000)]
    count = getattr(drivers.c, "fe310___clzsi2")  # noqa: B009  Python would mangle the name
    assert all(count(ctypes.c_uint32(value)) == 32 - value.bit_length() for value in values)


def test_the_firmware_has_no_table_of_libgccs_in_flash(tmp_path: Path) -> None:
    main = tmp_path / "main.c"
    main.write_text(
        "int main(void);\nvolatile float a = 1.5f, b = 2.5f;\nint main(void) { a = a - b; return (int)a; }\n"
    )
    elf = build_firmware(tmp_path / "firmware", main=main)
    with elf.open("rb") as file:
        names = {symbol.name for symbol in ELFFile(file).get_section_by_name(".symtab").iter_symbols()}
    assert {"__subsf3", "__clzsi2"} <= names and "__clz_tab" not in names
