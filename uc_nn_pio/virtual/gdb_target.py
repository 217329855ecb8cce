"""What gdb sees of a virtual board: registers, memory, their descriptions in XML, and commands for ``monitor``."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from uc_nn_pio.errors import UcNnError
from uc_nn_pio.virtual.bus import BusError, Peripheral

if TYPE_CHECKING:
    from uc_nn_pio.virtual.board import VirtualBoard

X_NAMES = "zero ra sp gp tp t0 t1 t2 fp s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6".split()
PC = 32
FIRST_CSR = 65  # gdb numbers a CSR as 65 + its address
# The CSRs of a core with machine mode alone (RISC-V privileged architecture 1.10; FE310-G000 manual v2, chapter 3).
CSRS = {
    0x300: "mstatus", 0x301: "misa", 0x304: "mie", 0x305: "mtvec", 0x340: "mscratch", 0x341: "mepc", 0x342: "mcause",
    0x343: "mtval", 0x344: "mip", 0xB00: "mcycle", 0xB02: "minstret", 0xB80: "mcycleh", 0xB82: "minstreth",
    0xC00: "cycle", 0xC02: "instret", 0xC80: "cycleh", 0xC82: "instreth",
    0xF11: "mvendorid", 0xF12: "marchid", 0xF13: "mimpid", 0xF14: "mhartid",
}  # fmt: skip
WRITABLE_CSRS = frozenset({0x300, 0x304, 0x305, 0x340, 0x341, 0x342, 0x343})
FLASH_SECTOR = 4096  # smallest erase of the flash chip (ISSI IS25LP128 data sheet)


class RefusedError(UcNnError):
    """What gdb asked for cannot be done; the text goes to its user."""


class Target:
    """Registers and memory of one board, as gdb numbers and addresses them."""

    def __init__(self, board: VirtualBoard) -> None:
        self.board = board

    # -- registers -------------------------------------------------------------------------------------------------

    def register(self, number: int) -> int:
        """Value of x0 to x31 (0 to 31), pc (32) or a CSR (65 + its address).

        Raises:
            RefusedError: this core has no such register.
        """
        cpu = self.board.cpu
        if number == PC:
            return cpu.pc
        if 0 <= number < PC:
            return cpu.register(f"x{number}") & 0xFFFF_FFFF
        csr = number - FIRST_CSR
        if csr not in CSRS:
            raise RefusedError(f"no register {number}")
        if csr & 0xF00 in (0xB00, 0xC00):
            return cpu.privileged.counter(csr)
        if CSRS[csr] == "mip":
            return cpu.interrupts()
        return cpu.register(CSRS[csr]) & 0xFFFF_FFFF

    def set_register(self, number: int, value: int) -> None:
        """Write a register.

        Raises:
            RefusedError: there is none, or it follows from the machine's state and cannot be set.
        """
        cpu = self.board.cpu
        value &= 0xFFFF_FFFF
        if number == PC:
            cpu.pc = value & ~1
        elif 0 <= number < PC:
            if number:
                cpu.set_register(f"x{number}", value)
        elif number - FIRST_CSR in WRITABLE_CSRS:
            cpu.set_register(CSRS[number - FIRST_CSR], value)
        else:
            name = CSRS.get(number - FIRST_CSR, str(number))
            raise RefusedError(f"register {name} cannot be written from gdb")

    # -- memory ----------------------------------------------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """Up to ``size`` bytes; fewer where the next are nowhere. Reading a register changes nothing.

        Raises:
            RefusedError: nothing is at ``address``.
        """
        data = bytearray()
        while len(data) < size:
            at = address + len(data)
            memory = next((m for m in self.board.cpu.memories if 0 <= at - m.base < len(m.data)), None)
            if memory is not None:
                offset = at - memory.base
                data += memory.data[offset : offset + size - len(data)].tobytes()
                continue
            word = self.peek(at & ~3)
            if word is None:
                break
            data += word.to_bytes(4, "little")[at & 3 :]
        if not data and size:
            raise RefusedError(f"nothing is at address 0x{address:08X}")
        return bytes(data[:size])

    def peek(self, address: int) -> int | None:
        """The register at ``address``, with no side effect; ``None`` where there is none."""
        peripheral = self.board.bus.find(address)
        if peripheral is None:
            return None
        with _put_back(self.board, peripheral):
            try:
                return peripheral.read(address - peripheral.base, 4) & 0xFFFF_FFFF
            except BusError:
                return None

    def write(self, address: int, data: bytes) -> None:
        """Write RAM, or registers as the firmware would: whole words, with all that follows from them.

        Raises:
            RefusedError: flash, half a register, or nothing there.
        """
        cpu = self.board.cpu
        for memory in cpu.memories:
            offset = address - memory.base
            if offset >= 0 and offset + len(data) <= len(memory.data):
                if not memory.writable:
                    raise RefusedError("flash is read-only; gdb's breakpoints there are hardware breakpoints")
                memory.data[offset : offset + len(data)] = list(data)
                cpu.code_changed()
                return
        peripheral = self.board.bus.find(address)
        if peripheral is None:
            raise RefusedError(f"nothing that can be written is at address 0x{address:08X}")
        if address & 3 or len(data) != 4:
            raise RefusedError("registers are written as whole words")
        try:
            peripheral.write(address - peripheral.base, 4, int.from_bytes(data, "little"))
        except BusError as error:
            raise RefusedError(error.what, why=error.why) from error

    def holds(self, address: int, data: bytes) -> bool:
        """These bytes are already there."""
        try:
            return self.read(address, len(data)) == data
        except RefusedError:
            return False

    # -- descriptions ----------------------------------------------------------------------------------------------

    def features_xml(self) -> str:
        """The target description: rv32, x registers, pc, and the CSRs that the core has."""
        pointers = {"ra": "code_ptr", "sp": "data_ptr", "gp": "data_ptr", "tp": "data_ptr", "fp": "data_ptr"}
        lines = [
            '<?xml version="1.0"?>',
            '<!DOCTYPE target SYSTEM "gdb-target.dtd">',
            '<target version="1.0">',
            "<architecture>riscv:rv32</architecture>",
            '<feature name="org.gnu.gdb.riscv.cpu">',
            *(
                f'<reg name="{name}" bitsize="32" type="{pointers.get(name, "int")}" regnum="{i}"/>'
                for i, name in enumerate(X_NAMES)
            ),
            f'<reg name="pc" bitsize="32" type="code_ptr" regnum="{PC}"/>',
            "</feature>",
            '<feature name="org.gnu.gdb.riscv.csr">',
            *(
                f'<reg name="{name}" bitsize="32" regnum="{FIRST_CSR + csr}" save-restore="no"/>'
                for csr, name in CSRS.items()
            ),
            "</feature>",
            "</target>",
        ]
        return "\n".join(lines)

    def memory_map_xml(self) -> str:
        """Flash, RAM and register windows; gdb then sets hardware breakpoints in flash by itself."""
        lines = [
            '<?xml version="1.0"?>',
            '<!DOCTYPE memory-map PUBLIC "+//IDN gnu.org//DTD GDB Memory Map V1.0//EN"',
            ' "http://sourceware.org/gdb/gdb-memory-map.dtd">',
            "<memory-map>",
        ]
        for memory in self.board.cpu.memories:
            span = f'start="0x{memory.base:x}" length="0x{len(memory.data):x}"'
            if memory.writable:
                lines.append(f'<memory type="ram" {span}/>')
            else:
                lines.append(
                    f'<memory type="flash" {span}><property name="blocksize">{FLASH_SECTOR}</property></memory>'
                )
        for peripheral in self.board.bus.peripherals:
            lines.append(f'<memory type="ram" start="0x{peripheral.base:x}" length="0x{peripheral.size:x}"/>')
        return "\n".join([*lines, "</memory-map>"])


@contextmanager
def _put_back(board: VirtualBoard, peripheral: Peripheral) -> Iterator[None]:
    """Undo what a register's read changes: FIFOs, flags, the clock's notes, remarks."""
    clock, reports = board.clock, board.reports
    kept = [
        (owner, {name: copy.copy(value) if _is_plain(value) else value for name, value in vars(owner).items()})
        for owner in (peripheral, clock)
    ]
    on_report, reports.on_report = reports.on_report, None
    items, counts = list(reports.items), dict(reports._counts)
    try:
        yield
    finally:
        for owner, state in kept:
            vars(owner).clear()
            vars(owner).update(state)
        reports.items[:] = items
        reports._counts.clear()
        reports._counts.update(counts)
        reports.on_report = on_report


def _is_plain(value: Any) -> bool:
    """A container whose copy stands for its state."""
    return isinstance(value, list | dict | set | bytearray) or type(value).__name__ == "deque"
