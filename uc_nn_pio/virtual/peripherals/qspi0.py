"""QSPI0: the controller that the flash hangs on. Its registers store; execution in place works whatever they say.

What reads cost does not follow from the registers yet (see ``timing.py``), and bytes cannot be shifted by program.
"""

from __future__ import annotations

from collections.abc import Callable

from uc_nn_pio.virtual.bus import BusError, Peripheral, Register
from uc_nn_pio.virtual.clock import Clock
from uc_nn_pio.virtual.peripherals.spi import FULL_OR_EMPTY, SPI_REGISTERS
from uc_nn_pio.virtual.reports import Reports

FLASH_SCK_MAX_HZ = {0x03: 50_000_000}  # IS25LP128 for a plain read


class Qspi0(Peripheral):
    """``runs_from_flash`` tells whether the instruction that accesses a register lies in flash."""

    REGISTERS = (
        *(Register(r.offset, r.name, 0x0008_0008 if r.name == "fmt" else r.reset) for r in SPI_REGISTERS),
        Register(0x60, "fctrl", 1),
        Register(0x64, "ffmt", 0x0003_0007),
    )

    def __init__(self, clock: Clock, reports: Reports, runs_from_flash: Callable[[], bool]) -> None:
        self._runs_from_flash = runs_from_flash
        super().__init__("QSPI0", 0x1001_4000, clock, reports)

    def write_fctrl(self, value: int) -> None:
        if not value & 1 and self._runs_from_flash():
            raise BusError(
                "QSPI0.fctrl: the flash was taken out of execution in place by code that runs from it",
                "the next instruction fetch that misses the I-cache would hang the chip",
                "do this from code in RAM",
            )
        self.values["fctrl"] = value & 1

    def write_sckdiv(self, value: int) -> None:
        self.values["sckdiv"] = value & 0xFFF
        command = self.values["ffmt"] >> 16 & 0xFF
        sck = self.clock.core_hz / (2 * ((value & 0xFFF) + 1))
        limit = FLASH_SCK_MAX_HZ.get(command)
        if limit is not None and sck > limit:
            self.reports.add(
                "flash", f"flash clock {sck / 1e6:g} MHz is past the {limit / 1e6:g} MHz of command 0x{command:02X}"
            )

    def read_txdata(self) -> int:
        return 0

    def write_txdata(self, value: int) -> None:
        raise BusError("QSPI0.txdata: shifting bytes to the flash by program", "this model only executes in place")

    def read_rxdata(self) -> int:
        return FULL_OR_EMPTY

    def read_ip(self) -> int:
        return 0
