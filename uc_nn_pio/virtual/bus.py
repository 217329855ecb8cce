"""The register bus: one interface for every peripheral, with the data sheet's register names.

A peripheral lists its registers in ``REGISTERS`` (offset, name, reset value). A register needs no code if it only
stores; otherwise the class defines ``read_<name>(self)`` or ``write_<name>(self, value)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from uc_nn_pio.virtual.clock import Clock
    from uc_nn_pio.virtual.reports import Reports

WORD = 0xFFFF_FFFF


class BusError(Exception):
    """An access that the chip, or this model of it, does not have. ``why`` and ``next_step`` are for the reader."""

    def __init__(self, what: str, why: str, next_step: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.next_step = next_step


@dataclass(frozen=True)
class Register:
    """A 32-bit register: offset in its peripheral, name as the data sheet spells it, value after reset.

    ``width`` is the number of bits that it takes. The bus hands a store of bytes through with its byte lanes, and a
    register takes it if all its bits are covered (rocket-chip, regmapper): a byte to a FIFO's ``txdata`` works.
    """

    offset: int
    name: str
    reset: int = 0
    width: int = 32


class Peripheral:
    """Base of all peripherals: word registers at fixed offsets.

    ``pure_read`` is cleared by a read that changes something (a FIFO that pops); poll skipping relies on it.
    """

    REGISTERS: ClassVar[tuple[Register, ...]] = ()

    def __init__(self, name: str, base: int, clock: Clock, reports: Reports, size: int = 0x1000) -> None:
        self.name = name
        self.base = base
        self.size = size
        self.clock = clock
        self.reports = reports
        self.pure_read = True
        self.values: dict[str, int] = {}
        # Interrupt lines: bit n is this peripheral's n-th source of the PLIC; which of them the PLIC has enabled.
        self.enabled_lines = 0
        self.on_lines: Callable[[int], None] | None = None
        self._lines = 0
        self._names = {register.offset: register.name for register in self.REGISTERS}
        self._widths = {register.offset: register.width for register in self.REGISTERS}
        self._readers = {r.offset: getattr(self, f"read_{r.name}", None) for r in self.REGISTERS}
        self._writers = {r.offset: getattr(self, f"write_{r.name}", None) for r in self.REGISTERS}
        self._load_reset_values()

    def _load_reset_values(self) -> None:
        self.values = {register.name: register.reset for register in self.REGISTERS}

    def reset(self) -> None:
        """Back to the state after a chip reset."""
        self._load_reset_values()

    def read(self, offset: int, size: int) -> int:
        """Read ``size`` bytes at ``offset``; parts of a word are cut out of it."""
        word = offset & ~3
        if word not in self._names:
            raise self._unmodelled(offset, "read")
        reader = self._readers[word]
        value = reader() if reader is not None else self.values[self._names[word]]
        if size == 4:
            return value & WORD
        return (value >> (8 * (offset & 3))) & ((1 << (8 * size)) - 1)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write ``size`` bytes at ``offset``; registers take whole words only."""
        if offset & ~3 not in self._names:
            raise self._unmodelled(offset, "write")
        name = self._names[offset & ~3]
        if size != 4 and (offset & 3 or self._widths[offset] > 8 * size):
            raise BusError(
                f"a {8 * size}-bit write to register {self.name}.{name}",
                "the registers of this chip are written as 32-bit words",
                "declare the register as volatile uint32_t",
            )
        value &= (1 << 8 * size) - 1
        writer = self._writers[offset]
        if writer is not None:
            writer(value)
        else:
            self.values[name] = value
        self.signal()

    def interrupt_lines(self) -> int:
        """Levels of the interrupt lines now, a bit each."""
        return 0

    def signal(self) -> None:
        """Tell the PLIC if a line has changed; called after every write and by the peripheral's own events."""
        if self.on_lines is not None:
            lines = self.interrupt_lines()
            if lines != self._lines:
                self._lines = lines
                self.on_lines(lines)

    def register_name(self, offset: int) -> str | None:
        """The register at ``offset``, or ``None``."""
        return self._names.get(offset & ~3)

    def _unmodelled(self, offset: int, verb: str) -> BusError:
        return BusError(
            f"a {verb} of {self.name} at offset 0x{offset:X} (address 0x{self.base + offset:08X})",
            f"{self.name} has no register there, or this model lacks it; it has {', '.join(self._names.values())}",
        )


class Bus:
    """All peripherals of a chip, by address."""

    def __init__(self, peripherals: Iterable[Peripheral]) -> None:
        self.peripherals = list(peripherals)

    def find(self, address: int) -> Peripheral | None:
        """The peripheral whose window holds ``address``."""
        for peripheral in self.peripherals:
            if peripheral.base <= address < peripheral.base + peripheral.size:
                return peripheral
        return None

    def reset(self) -> None:
        """Reset every peripheral."""
        for peripheral in self.peripherals:
            peripheral.reset()
        for peripheral in self.peripherals:
            peripheral.signal()
