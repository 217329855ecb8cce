"""QSPI0: the controller that the flash hangs on, on pads of its own (FE310-G000 manual v2, chapter 19).

With ``fctrl`` 1 the flash executes in place (what reads cost is in ``timing.py``); with 0 bytes are shifted by program
as in SPI1, and the flash chip answers.

Behind the address of 0xBB and 0xEB the flash takes eight mode bits, which the controller sends as ``ffmt.pad_code``.
0xA_ puts the flash into continuous read: the next read must come without a command byte. A reset of the FE310 sets the
controller back, and not the flash, which has no reset line on the board: it then takes the controller's 0x03 as address
bits, until its supply is cut. So whether the flash answers depends on its mode too, which follows its reads.
"""

from __future__ import annotations

from collections.abc import Callable

from uc_nn_pio.virtual.bus import BusError, Register
from uc_nn_pio.virtual.clock import Clock
from uc_nn_pio.virtual.peripherals.flash import FlashChip
from uc_nn_pio.virtual.peripherals.gpio import Gpio
from uc_nn_pio.virtual.peripherals.spi import SPI_REGISTERS, Spi
from uc_nn_pio.virtual.reports import Reports

# IS25LP128, read commands: lanes of command, address and data as ffmt has them, clocks between address and data, limit.
READS = {
    0x03: ((0, 0, 0), 0, 50_000_000),
    0x0B: ((0, 0, 0), 8, 133_000_000),
    0x3B: ((0, 0, 1), 8, 133_000_000),
    0xBB: ((0, 1, 1), 4, 133_000_000),
    0x6B: ((0, 0, 2), 8, 133_000_000),
    0xEB: ((0, 2, 2), 6, 133_000_000),
}


WITH_MODE_BITS = (0xBB, 0xEB)
CONTINUOUS_READ = 0xA  # the upper four of the eight mode bits


def read_problem(ffmt: int, continuous: int | None = None) -> str | None:
    """Why the flash would not answer execution in place with what lies in it; None if it would.

    ``continuous`` is the command that the flash goes on with when it is in continuous read mode.
    """
    command, lanes = ffmt >> 16 & 0xFF, (ffmt >> 8 & 3, ffmt >> 10 & 3, ffmt >> 12 & 3)
    if continuous is not None:
        if ffmt & 1:
            return (
                f"the flash is in continuous read mode of 0x{continuous:02X}: it takes the command 0x{command:02X} as "
                "part of an address"
            )
        ffmt, command, lanes = ffmt | 1, continuous, (0, *lanes[1:])
    if not ffmt & 1:
        return "cmd_en is 0: no command is sent"
    if command not in READS:
        return f"0x{command:02X} is no read command of the flash (IS25LP128)"
    wanted, clocks, _ = READS[command]
    if ffmt >> 1 & 7 != 3:
        return f"{ffmt >> 1 & 7} address bytes; command 0x{command:02X} takes 3"
    if ffmt >> 4 & 0xF != clocks:
        return f"{ffmt >> 4 & 0xF} dummy clocks; command 0x{command:02X} takes {clocks}"
    if lanes != wanted:
        return f"lanes {lanes} of command, address, data (0 one, 1 two, 2 four); command 0x{command:02X} takes {wanted}"
    return None


def mode_after_a_read(ffmt: int, continuous: int | None) -> int | None:
    """The command of the flash's continuous read mode after a read with ``ffmt``; None: it waits for a command."""
    if read_problem(ffmt, continuous) is not None:
        return continuous
    command = ffmt >> 16 & 0xFF if continuous is None else continuous
    return command if command in WITH_MODE_BITS and ffmt >> 28 == CONTINUOUS_READ else None


# Where this controller's reset values differ from those of SPI1 (manual, 19.3): it is ready for a flash.
RESET = {"fmt": 0x0008_0008, "txmark": 1}


class Qspi0(Spi):
    """``runs_from_flash`` tells whether the instruction that accesses a register lies in flash.

    Set by the board: ``on_change``, called when what the flash answers may have changed; ``flash_reads``, how many
    reads the flash has had; ``dual_broken``, a fault: what comes over two lines is wrong.
    """

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
        self.on_change: Callable[[], None] = lambda: None
        self.flash_reads: Callable[[], int] = lambda: 0
        self.dual_broken = False
        self.continuous: int | None = None  # the flash's mode; a reset of the chip leaves it
        self._reads_seen = 0
        super().__init__("QSPI0", 0x1001_4000, clock, reports, gpio, cs_pins={0: -1}, data_pins=(-1, -1, -1))

    def write_fctrl(self, value: int) -> None:
        if not value & 1 and self._runs_from_flash():
            raise BusError(
                "QSPI0.fctrl: the flash was taken out of execution in place by code that runs from it",
                "the next instruction fetch that misses the I-cache would hang the chip",
                "do this from code in RAM",
            )
        self._follow_reads()
        self.values["fctrl"] = value & 1
        self.on_change()

    def write_ffmt(self, value: int) -> None:
        self._follow_reads()
        problem = self._problem(value)
        if problem is not None and self.values["fctrl"] & 1 and self._runs_from_flash():
            raise BusError(
                f"QSPI0.ffmt = 0x{value:08X}, written by code that runs from flash: {problem}",
                "the next instruction fetch that misses the I-cache would get garbage",
                "do this from code in RAM; 0x00030007 is the value after reset",
            )
        self.values["ffmt"] = value
        self.on_change()
        self.check_clock()

    def reset(self) -> None:
        self._follow_reads()
        super().reset()
        self.on_change()

    def unreadable(self) -> str | None:
        """Why code and constants cannot be read from the flash now; None if they can."""
        self._follow_reads()
        if not self.values["fctrl"] & 1:
            return "fctrl is 0: the flash is not mapped"
        return self._problem(self.values["ffmt"])

    @property
    def garbles(self) -> bool:
        """Whether a read of mapped flash gives something else than lies there."""
        return bool(self.values["fctrl"] & 1) and self.unreadable() is not None

    @property
    def unsettled(self) -> bool:
        """Whether the next read changes the flash's mode."""
        self._follow_reads()
        mapped = bool(self.values["fctrl"] & 1)
        return mapped and mode_after_a_read(self.values["ffmt"], self.continuous) != self.continuous

    def _problem(self, ffmt: int) -> str | None:
        problem = read_problem(ffmt, self.continuous)
        if problem is None and self.dual_broken and 1 in (ffmt >> 10 & 3, ffmt >> 12 & 3):
            return "what the flash sends over two lines does not arrive (fault flash-dual)"
        return problem

    def _follow_reads(self) -> None:
        """Bring the flash's mode up to date with the reads that it has had since the last look."""
        reads = self.flash_reads()
        if reads != self._reads_seen and self.values["fctrl"] & 1:
            self.continuous = mode_after_a_read(self.values["ffmt"], self.continuous)
        self._reads_seen = reads

    def write_sckdiv(self, value: int) -> None:
        super().write_sckdiv(value)
        self.check_clock()

    def check_clock(self) -> None:
        """Remark a flash clock that is past the limit of the command; also when the core clock has changed."""
        command = self.values["ffmt"] >> 16 & 0xFF
        limit = READS[command][2] if command in READS else None
        if limit is not None and self.values["fctrl"] & 1 and self.sck_hz > limit:
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
