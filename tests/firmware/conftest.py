"""Fixtures: the drivers compiled for the host, on a simulated chip of their own for each test."""

from __future__ import annotations

import ctypes
import itertools
import shutil
from pathlib import Path

import pytest

from tests.firmware.build import HERE, STRICT, driver_sources, includes, run
from tests.firmware.chip import Chip

_numbers = itertools.count()


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drivers as a shared library."""
    return compile_drivers(tmp_path_factory.mktemp("drivers") / "drivers.so")


def compile_drivers(path: Path, *flags: str) -> Path:
    """Compile the drivers; memcpy and friends get names of their own."""
    names = [f"-D{name}=fe310_{name}" for name in ("memcpy", "memmove", "memset", "memcmp", "__clzsi2")]
    sources = [*driver_sources(".c"), HERE / "host" / "shim.c"]

    run(["gcc", "-DFE310_HOST", *names, *STRICT, "-O1", "-shared", "-fPIC", *flags, *includes(), *sources, "-o", path])
    return path


class Drivers:
    """The drivers on ``chip``; ``drivers.c`` is the library."""

    def __init__(self, path: Path) -> None:
        self.chip = Chip()
        self.c = ctypes.CDLL(str(path))
        self._callbacks = {
            "host_read": ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32)(self.chip.read),
            "host_write": ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32)(self.chip.write),
            "host_cycles": ctypes.CFUNCTYPE(ctypes.c_uint32)(lambda: int(self.chip.cycles) & 0xFFFFFFFF),
            "host_spin": ctypes.CFUNCTYPE(None, ctypes.c_uint32)(self.chip.spin),
        }
        for name, callback in self._callbacks.items():
            ctypes.c_void_p.in_dll(self.c, name).value = ctypes.cast(callback, ctypes.c_void_p).value
        for name in ("fe310_error_text", "sccb_error_text", "ov2640_error_text", "arducam_error_text"):
            getattr(self.c, name).restype = ctypes.c_char_p
        for name in ("fe310_uart_divisor", "fe310_spi_divider", "fe310_ticks_to_tenths", "fe310_core_hz"):
            getattr(self.c, name).restype = ctypes.c_uint32

    def at(self, core_hz: int) -> Drivers:
        """The same, with the core at this clock."""
        assert self.c.fe310_clock_set(ctypes.c_uint32(core_hz)) == 0
        return self


@pytest.fixture
def drivers(library: Path, tmp_path: Path):
    """Fresh drivers: their static state is that of a board just started. At the end the chip has nothing to object."""
    copy = tmp_path / f"drivers{next(_numbers)}.so"
    shutil.copyfile(library, copy)
    fresh = Drivers(copy)
    yield fresh
    assert fresh.chip.problems == []
