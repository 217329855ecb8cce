"""SPI1 and SPI2: FIFOs, shift time and chip selects at pin level (FE310-G000 manual v2, chapter 19; SPIMedia.scala).

Chip select, as the controller's source has it: with no frame under way the select pins show ``csdef``. A frame first
flips the pin that ``csid`` names (unless csmode is OFF); csmode AUTO (0) lets go after every frame, HOLD (2) keeps it
until csid, csdef or csmode changes. So a select made by writing ``csdef`` is as visible as one made by a frame.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from uc_nn_pio.virtual.bus import BusError, Peripheral, Register
from uc_nn_pio.virtual.clock import Clock, Event
from uc_nn_pio.virtual.peripherals.gpio import Gpio
from uc_nn_pio.virtual.reports import Reports

DEPTH = 8
FULL_OR_EMPTY = 1 << 31
AUTO, HOLD, OFF = 0, 2, 3
TXWM, RXWM = 1, 2

SPI_REGISTERS = (
    Register(0x00, "sckdiv", 3),
    Register(0x04, "sckmode", 0, 2),
    Register(0x10, "csid"),
    Register(0x14, "csdef", 1),
    Register(0x18, "csmode", 0, 2),
    Register(0x28, "delay0", 0x0001_0001),
    Register(0x2C, "delay1", 0x0000_0001),
    Register(0x40, "fmt", 0x0008_0000),
    Register(0x48, "txdata", 0, 8),
    Register(0x4C, "rxdata"),
    Register(0x50, "txmark"),
    Register(0x54, "rxmark"),
    Register(0x70, "ie"),
    Register(0x74, "ip"),
)


class SpiDevice(Protocol):
    """Something on the bus that sees its own chip select on a pad."""

    def exchange(self, mosi: int, sck_hz: float, mode: int) -> int | None:
        """One byte out and in; ``None`` if the device is not selected."""


class Spi(Peripheral):
    """A controller without a flash behind it. ``pins``: chip selects by number, then mosi, miso, sck."""

    # A controller without a flash has no fctrl and ffmt; writes go nowhere (SDKs write fctrl all the same).
    REGISTERS = (*SPI_REGISTERS, Register(0x60, "fctrl"), Register(0x64, "ffmt"))

    def __init__(
        self,
        name: str,
        base: int,
        clock: Clock,
        reports: Reports,
        gpio: Gpio,
        *,
        cs_pins: dict[int, int],
        data_pins: tuple[int, int, int],
    ) -> None:
        self._gpio = gpio
        self._cs_pins = cs_pins
        self._mosi, self._miso, self._sck = data_pins
        self._cs_mask = sum(1 << number for number in cs_pins)
        self._devices: list[SpiDevice] = []
        self._tx: deque[int] = deque()
        self._rx: deque[int] = deque()
        self._shifting = False
        self._frame: Event | None = None  # the end of the frame under way
        self._free_at = 0  # cycle at which the delay behind the last frame is over
        self._asserted = False
        self._release = False
        self._shown = -1
        super().__init__(name, base, clock, reports)
        self.values["csdef"] = self._cs_mask
        self._show(self._cs_mask)

    def attach(self, device: SpiDevice) -> None:
        """Wire a device to the data lines."""
        self._devices.append(device)

    def reset(self) -> None:
        super().reset()
        self.values["csdef"] = self._cs_mask
        self._tx.clear()
        self._rx.clear()
        self._shifting = self._asserted = self._release = False
        self.clock.cancel(self._frame)
        self._show(self._cs_mask)

    @property
    def sck_hz(self) -> float:
        """Shift clock."""
        return self.clock.core_hz / (2 * (self.values["sckdiv"] + 1))

    @property
    def _sck_cycles(self) -> int:
        return 2 * (self.values["sckdiv"] + 1)

    # -- chip select ----------------------------------------------------------------------------------------------

    def write_fctrl(self, value: int) -> None:
        """Nothing there."""

    def write_ffmt(self, value: int) -> None:
        """Nothing there."""

    def write_csid(self, value: int) -> None:
        self._select_change("csid", value)

    def write_csdef(self, value: int) -> None:
        self._select_change("csdef", value & self._cs_mask)

    def write_csmode(self, value: int) -> None:
        self._select_change("csmode", value & 3)

    def _select_change(self, name: str, value: int) -> None:
        changed = self.values[name] != value
        self.values[name] = value
        if self._asserted and changed:
            self._release = True
        if not self._shifting:
            self._let_go_if_due()

    def _let_go_if_due(self) -> None:
        if self._asserted and (self._release or self.values["csmode"] == AUTO):
            self._asserted = self._release = False
            gap = (self.values["delay0"] >> 16 & 0xFF) + (self.values["delay1"] & 0xFF)  # sckcs, intercs
            self._free_at = max(self._free_at, self.clock.now) + gap * self._sck_cycles
        if not self._asserted:
            self._show(self.values["csdef"])

    def _show(self, levels: int) -> None:
        if levels == self._shown:
            return
        self._shown = levels
        for number, pin in self._cs_pins.items():
            self._gpio.set_iof(pin, 0, levels >> number & 1)

    # -- data -----------------------------------------------------------------------------------------------------

    def read_txdata(self) -> int:
        return FULL_OR_EMPTY if len(self._tx) >= DEPTH else 0

    def write_txdata(self, value: int) -> None:
        if len(self._tx) >= DEPTH:
            self.reports.add("spi", f"{self.name}: a byte was written to a full txdata and lost")
            return
        if self.values["fmt"] >> 16 & 0xF != 8:
            raise BusError(
                f"{self.name}.txdata: a frame while fmt.len is {self.values['fmt'] >> 16 & 0xF}",
                "this model shifts frames of 8 bits",
                "set fmt.len to 8",
            )
        self._tx.append(value & 0xFF)
        self._start()

    def write_sckdiv(self, value: int) -> None:
        self.values["sckdiv"] = value & 0xFFF

    def write_fmt(self, value: int) -> None:
        # A driver that sets the length in two steps passes through 0; that is refused when a frame is shifted.
        if value & 3 or value >> 16 & 0xF not in (0, 8):
            raise BusError(
                f"{self.name}.fmt = 0x{value:08X}: dual, quad or a frame length other than 8",
                "this model of SPI1 and SPI2 shifts single-lane frames of 8 bits",
                "use proto 0 and len 8",
            )
        self.values["fmt"] = value & 0xF_000F

    def _start(self) -> None:
        if self._shifting or not self._tx:
            return
        # Delays in whole SCK periods (SPIMedia.scala): cssck before a select's first frame, interxfr between frames.
        delay0 = self.values["delay0"]
        before = 0
        if not self._asserted:
            self._asserted = True
            if self.values["csmode"] != OFF:
                self._show(self.values["csdef"] ^ (1 << self.values["csid"] & self._cs_mask))
            before = (delay0 & 0xFF) * self._sck_cycles
        self._shifting = True
        byte = self._tx.popleft()
        start = max(self._free_at, self.clock.now) + before
        end = start + 8 * self._sck_cycles
        self._frame = self.clock.after_cycles(
            end - self.clock.now, lambda: self._done(byte), hard=self.values["ie"] != 0
        )

    def _done(self, byte: int) -> None:
        self._shifting = False
        received = self._exchange(byte)
        if not self.values["fmt"] & 8:  # dir: receive
            if len(self._rx) >= DEPTH:
                self.reports.add("spi", f"{self.name}: receive overrun, a byte was lost")
            else:
                self._rx.append(received)
        self._free_at = self.clock.now + (self.values["delay1"] >> 16 & 0xFF) * self._sck_cycles
        self._let_go_if_due()
        self._start()
        self.signal()

    def _exchange(self, byte: int) -> int:
        floating = 0xFF * self._gpio.floating_level(self._miso)
        unmuxed = [f"GPIO{pin}" for pin in (self._mosi, self._sck) if not self._gpio.muxed(pin)]
        if not self._gpio.reaches(self._miso) and not self.values["fmt"] & 8:
            unmuxed.append(f"GPIO{self._miso}")
        if unmuxed:
            self.reports.add("spi", f"{self.name}: its pins {', '.join(unmuxed)} are not muxed (iof_en, iof_sel)")
            if unmuxed != [f"GPIO{self._miso}"]:
                return floating  # the devices see no clock or no data
        lsb_first = self.values["fmt"] & 4
        for device in self._devices:
            answer = device.exchange(_reversed(byte) if lsb_first else byte, self.sck_hz, self.values["sckmode"] & 3)
            if answer is not None:
                if not self._gpio.reaches(self._miso):
                    return 0
                return _reversed(answer) if lsb_first else answer
        return floating

    def read_rxdata(self) -> int:
        if not self._rx:
            return FULL_OR_EMPTY
        self.pure_read = False
        byte = self._rx.popleft()
        self.signal()
        return byte

    def write_rxdata(self, value: int) -> None:
        """Read-only."""

    def read_ip(self) -> int:
        txwm = len(self._tx) < self.values["txmark"] & 7
        rxwm = len(self._rx) > self.values["rxmark"] & 7
        return txwm | rxwm << 1

    def interrupt_lines(self) -> int:
        return int(self.read_ip() & self.values["ie"] != 0)

    def write_ie(self, value: int) -> None:
        self.values["ie"] = value & (TXWM | RXWM)
        if self.values["ie"]:
            self.clock.harden(self._frame)

    def write_ip(self, value: int) -> None:
        """Read-only."""


def _reversed(byte: int) -> int:
    return int(f"{byte:08b}"[::-1], 2)
