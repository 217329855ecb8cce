"""QSPI0: the controller that the flash hangs on, on pads of its own (FE310-G000 manual v2, chapter 19).

With ``fctrl`` 1 the flash executes in place (what reads cost is in ``timing.py``); with 0 bytes are shifted by program
as in SPI1, and the flash chip answers.
"""

from __future__ import annotations

from collections.abc import Callable

from uc_nn_pio.virtual.bus import BusError, Register
from uc_nn_pio.virtual.clock import Clock
from uc_nn_pio.virtual.peripherals.flash import FlashChip
from uc_nn_pio.virtual.peripherals.gpio import Gpio
from uc_nn_pio.virtual.peripherals.spi import SPI_REGISTERS, Spi
from uc_nn_pio.virtual.reports import Reports

FLASH_SCK_MAX_HZ = {0x03: 50_000_000}  # IS25LP128 for a plain read

# Where this controller's reset values differ from those of SPI1 (manual, 19.3): it is ready for a flash.
RESET = {"fmt": 0x0008_0008, "txmark": 1}


class Qspi0(Spi):
    """``runs_from_flash`` tells whether the instruction that accesses a register lies in flash."""

    REGISTERS = (
        *(Register(r.offset, r.name, RESET.get(r.name, r.reset), r.width) for r in SPI_REGISTERS),
        Register(0x60, "fctrl", 1),
        Register(0x64, "ffmt", 0x0003_0007),
    )

    def __init__(
        self,
        clock: Clock,
        reports: Reports,
        gpio: Gpio,
        runs_from_flash: Callable[[], bool],
        read_flash: Callable[[int], int],
    ) -> None:
        self._runs_from_flash = runs_from_flash
        self._flash = FlashChip(read_flash)
        super().__init__("QSPI0", 0x1001_4000, clock, reports, gpio, cs_pins={0: -1}, data_pins=(-1, -1, -1))

    def write_fctrl(self, value: int) -> None:
        if not value & 1 and self._runs_from_flash():
            raise BusError(
                "QSPI0.fctrl: the flash was taken out of execution in place by code that runs from it",
                "the next instruction fetch that misses the I-cache would hang the chip",
                "do this from code in RAM",
            )
        self.values["fctrl"] = value & 1

    def write_ffmt(self, value: int) -> None:
        self.values["ffmt"] = value

    def write_sckdiv(self, value: int) -> None:
        super().write_sckdiv(value)
        command = self.values["ffmt"] >> 16 & 0xFF
        limit = FLASH_SCK_MAX_HZ.get(command)
        if limit is not None and self.sck_hz > limit:
            self.reports.add(
                "flash",
                f"flash clock {self.sck_hz / 1e6:g} MHz is past the {limit / 1e6:g} MHz of command 0x{command:02X}",
            )

    def write_txdata(self, value: int) -> None:
        if self.values["fctrl"] & 1:
            raise BusError(
                "QSPI0.txdata: a byte for the flash while it executes in place",
                "the controller sends it when the memory port lets it, or never",
                "clear fctrl first, from code in RAM",
            )
        super().write_txdata(value)

    def _show(self, levels: int) -> None:
        self._shown = levels
        self._flash.select(not levels & 1)

    def _exchange(self, byte: int) -> int:
        return self._flash.exchange(byte)
