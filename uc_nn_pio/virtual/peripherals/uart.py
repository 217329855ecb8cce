"""UART: FIFOs of eight, real character times, divisor, watermarks (FE310-G000 manual v2, chapter 18)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from uc_nn_pio.virtual.bus import Peripheral, Register
from uc_nn_pio.virtual.clock import PS_PER_SECOND, Clock, Event
from uc_nn_pio.virtual.peripherals.gpio import Gpio
from uc_nn_pio.virtual.reports import Reports

DEPTH = 8
FULL_OR_EMPTY = 1 << 31
TXWM, RXWM = 1, 2
TOLERANCE = 0.03


def as_received(byte: int, sent_baud: float, baud: int) -> int:
    """What a receiver at ``baud`` makes of one character sent at ``sent_baud``: it samples the middle of its bits."""
    line = [0, *(byte >> i & 1 for i in range(8)), 1]
    bits = [line[min(int((i + 1.5) * sent_baud / baud), 9)] for i in range(8)]
    return sum(bit << i for i, bit in enumerate(bits))


class Uart(Peripheral):
    """One UART. What leaves the chip goes to ``on_byte``, as a receiver at ``baud`` understands it."""

    REGISTERS = (
        Register(0x00, "txdata", 0, 8),
        Register(0x04, "rxdata"),
        Register(0x08, "txctrl"),
        Register(0x0C, "rxctrl"),
        Register(0x10, "ie"),
        Register(0x14, "ip"),
        Register(0x18, "div", 0xFFFF),
    )

    def __init__(
        self,
        name: str,
        base: int,
        clock: Clock,
        reports: Reports,
        gpio: Gpio,
        pins: tuple[int, int],
        baud: int = 115200,
    ) -> None:
        self._gpio = gpio
        self._rx_pin, self._tx_pin = pins
        self._baud = baud
        self._tx: deque[int] = deque()
        self._rx: deque[int] = deque()
        self._sending: int | None = None
        self._sending_hz = 0
        self._leaving: Event | None = None
        self._incoming: deque[int] = deque()
        self._arrival: Event | None = None
        self.on_byte: Callable[[int], None] = lambda byte: None
        super().__init__(name, base, clock, reports)
        gpio.set_iof(self._tx_pin, 0, 1)

    def reset(self) -> None:
        super().reset()
        self._tx.clear()
        self._rx.clear()
        self._sending = None
        self.clock.cancel(self._leaving)

    @property
    def character_cycles(self) -> int:
        """Core cycles of one character: start, eight data bits, one or two stop bits."""
        return (self.values["div"] + 1) * (11 if self.values["txctrl"] & 2 else 10)

    def flush(self) -> None:
        """Let everything that is still inside leave at once; for the end of a run."""
        while self._sending is not None or (self._tx and self.values["txctrl"] & 1):
            self._sent(self._sending)

    # -- transmit ------------------------------------------------------------------------------------------------

    def read_txdata(self) -> int:
        return FULL_OR_EMPTY if len(self._tx) >= DEPTH else 0

    def write_txdata(self, value: int) -> None:
        if len(self._tx) >= DEPTH:
            self.reports.add("uart", f"{self.name}: a byte was written to a full txdata and lost")
            return
        self._tx.append(value & 0xFF)
        self._start()

    def write_txctrl(self, value: int) -> None:
        self.values["txctrl"] = value & 0x7_0003
        self._start()

    def write_div(self, value: int) -> None:
        if self._sending is not None and value != self.values["div"]:
            self.reports.add("uart", f"{self.name}: div changed while a character was leaving; it arrives damaged")
            self._sending_hz = -1
        self.values["div"] = value & 0xFFFF

    def _start(self) -> None:
        if self._sending is None and self._tx and self.values["txctrl"] & 1:
            self._sending = self._tx.popleft()
            self._sending_hz = self.clock.core_hz
            byte = self._sending
            self._leaving = self.clock.after_cycles(  # hard: seen outside at once
                self.character_cycles, lambda: self._sent(byte), hard=True
            )

    def _sent(self, byte: int | None) -> None:
        if self._sending is None or byte is None:
            return  # a reset came between
        self._sending = None
        self._deliver(byte)
        self._start()
        self.signal()

    def _deliver(self, byte: int) -> None:
        if not self._gpio.muxed(self._tx_pin):
            self.reports.add(
                "uart",
                f"{self.name}: characters do not leave the chip: GPIO{self._tx_pin} is not muxed (iof_en, iof_sel)",
            )
            return
        if self._sending_hz != self.clock.core_hz:
            if self._sending_hz > 0:
                self.reports.add("uart", f"{self.name}: the core clock changed while a character was leaving")
            self.on_byte(0xFF)
            return
        baud = self.clock.core_hz / (self.values["div"] + 1)
        if abs(baud / self._baud - 1) > TOLERANCE:
            self.reports.add(
                "uart",
                f"{self.name} sends at {baud:.0f} baud (core {self.clock.core_hz / 1e6:g} MHz, div "
                f"{self.values['div']}), the receiver listens at {self._baud}",
            )
        self.on_byte(as_received(byte, baud, self._baud))

    # -- receive -------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Bytes from the other end; they arrive one character time apart."""
        self._incoming.extend(data)
        self._next_arrival()

    def _next_arrival(self) -> None:
        if self._incoming and self._arrival is None:
            self._arrival = self.clock.after_ps(
                10 * PS_PER_SECOND // self._baud, self._arrived, hard=bool(self.values["ie"] & RXWM)
            )

    def _arrived(self) -> None:
        self._arrival = None
        byte = self._incoming.popleft()
        if not self._gpio.reaches(self._rx_pin):
            self.reports.add("uart", f"{self.name}: a byte came in, but GPIO{self._rx_pin} is not muxed (iof_en)")
        elif self.values["rxctrl"] & 1:
            self._take(byte)
        self._next_arrival()
        self.signal()

    def _take(self, byte: int) -> None:
        baud = self.clock.core_hz / (self.values["div"] + 1)
        if abs(baud / self._baud - 1) > TOLERANCE:
            self.reports.add(
                "uart",
                f"{self.name} listens at {baud:.0f} baud (div {self.values['div']}), a byte came at {self._baud}",
            )
        if len(self._rx) >= DEPTH:
            self.reports.add("uart", f"{self.name}: receive overrun, a byte was lost")
        else:
            self._rx.append(as_received(byte, self._baud, baud))

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
        txwm = len(self._tx) < (self.values["txctrl"] >> 16 & 7)
        rxwm = len(self._rx) > (self.values["rxctrl"] >> 16 & 7)
        return txwm | rxwm << 1

    def interrupt_lines(self) -> int:
        return int(self.read_ip() & self.values["ie"] != 0)

    def may_interrupt_on_receive(self) -> bool:
        """Whether a byte from outside would interrupt the core, as far as UART and PLIC go."""
        return bool(self.values["ie"] & RXWM and self.values["rxctrl"] & 1 and self.enabled_lines)

    def write_ie(self, value: int) -> None:
        self.values["ie"] = value & (TXWM | RXWM)
        if value & RXWM:
            self.clock.harden(self._arrival)

    def write_ip(self, value: int) -> None:
        """Read-only."""
