"""Builds the test firmwares with the cross compiler, once a session."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from uc_nn_pio.virtual import VirtualBoard

FIRMWARE = Path(__file__).parent / "firmware"
FLAGS = ["-march=rv32imac", "-mabi=ilp32", "-misa-spec=2.2", "-mcmodel=medany", "-nostdlib", "-ffreestanding"]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``build("hello")`` compiles ``firmware/hello.c`` (or ``.S``) and returns the ELF; defines are given by name."""
    folder = tmp_path_factory.mktemp("elf")
    built: dict[tuple[object, ...], Path] = {}

    def make(name: str, *, flags: tuple[str, ...] = ("-O2",), source: str | None = None, **defines: int) -> Path:
        key = (name, flags, source, *sorted(defines.items()))
        if key not in built:
            elf = folder / f"{name}{len(built)}.elf"
            file = FIRMWARE / f"{name}.c"
            if source is not None:
                file = folder / f"{name}{len(built)}.c"
                file.write_text(f'#include "fe310.h"\n{source}\n')
            macros = [f"-D{key}={value}" for key, value in defines.items()]
            command = ["riscv64-unknown-elf-gcc", *FLAGS, *flags, *macros, f"-I{FIRMWARE}", f"-T{FIRMWARE / 'link.ld'}"]
            subprocess.run([*command, str(FIRMWARE / "start.S"), str(file), "-lgcc", "-o", str(elf)], check=True)
            built[key] = elf
        return built[key]

    return make


@pytest.fixture
def run(build: Callable[..., Path]) -> Callable[..., VirtualBoard]:
    """Build a source, run it until it prints ``done`` (or for a second), and return the board."""

    def go(source: str, *, until: str | None = "done\n", seconds: float = 1.0, **options: object) -> VirtualBoard:
        board = VirtualBoard(build("test", source=source), **options)  # type: ignore[arg-type]
        board.run(until=until, max_seconds=seconds)
        return board

    return go
