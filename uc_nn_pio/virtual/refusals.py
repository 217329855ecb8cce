"""What stops and remarks of the core say: the exception, the address and what lies there, the instruction, a cure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uc_nn_pio.virtual.disassembly import disassemble

if TYPE_CHECKING:
    from uc_nn_pio.virtual.cpu import Cpu

# mcause (privileged architecture 1.10, table 3.6)
FETCH_FAULT, ILLEGAL, BREAKPOINT, LOAD_MISALIGNED, LOAD_FAULT, STORE_MISALIGNED, STORE_FAULT = 1, 2, 3, 4, 5, 6, 7
CAUSES = {
    0: "instruction address misaligned",
    FETCH_FAULT: "instruction access fault",
    ILLEGAL: "illegal instruction",
    BREAKPOINT: "breakpoint",
    LOAD_MISALIGNED: "load address misaligned",
    LOAD_FAULT: "load access fault",
    STORE_MISALIGNED: "store address misaligned",
    STORE_FAULT: "store access fault",
    8: "environment call",
    11: "environment call",
}
ADDRESSES = (FETCH_FAULT, LOAD_MISALIGNED, LOAD_FAULT, STORE_MISALIGNED, STORE_FAULT)
VERBS = {FETCH_FAULT: "a jump to", LOAD_FAULT: "a load from", STORE_FAULT: "a store to"}

# Parts of the chip's address map that exist and are not modelled (FE310-G000 manual v2, chapter 4).
KNOWN_HOLES = (
    (0x0000_0000, 0x0000_1000, "the debug unit's program buffer"),
    (0x0000_1000, 0x0000_2000, "the mask ROM"),
    (0x0002_0000, 0x0002_2000, "the OTP memory"),
    (0x1001_0000, 0x1001_1000, "the OTP controller"),
    (0x1001_6000, 0x1001_7000, "the I2C controller of the FE310-G002; the FE310-G000 has none"),
)
STACK_SLACK = 4096  # an access so far below a memory, with sp there too, is the stack's


def trap_text(cpu: Cpu, cause: int, pc: int, value: int) -> str:
    """``load access fault at pc 0x... in function: lw a0, 16(a5); a load from address 0x...``."""
    text = f"{CAUSES.get(cause, f'cause {cause}')} at {cpu.firmware.where(pc)}"
    if cause == FETCH_FAULT:
        return f"{text}: {_access(cpu, cause, value)}"
    text += f": {disassemble(cpu.instruction(pc))}"
    if cause in VERBS:
        text += f"; {_access(cpu, cause, value)}"
    elif cause in ADDRESSES:
        size = 4 if value & 1 == 0 else 2
        text += f"; address 0x{value:08X} is no multiple of {size} (or of the access's size)"
    return text


def _access(cpu: Cpu, cause: int, address: int) -> str:
    if cause == STORE_FAULT and cpu.memory_at(address) is not None:
        return f"a store to flash, address 0x{address:08X}"
    return f"{VERBS[cause]} address 0x{address:08X}, where this board has nothing that it could be"


def trap_reason(cpu: Cpu, cause: int, address: int) -> str | None:
    """Why the access cannot be done, and what it may come from."""
    if cause == ILLEGAL:
        return "it is no instruction of RV32IMAC: garbage, data, or code for another core"
    if cause not in VERBS:
        return "the FE310 has no misaligned accesses" if cause in ADDRESSES else None
    if cause == STORE_FAULT and cpu.memory_at(address) is not None:
        return "flash takes no stores: a const object cast to non-const, or data missing from .data?"
    hole = next((name for low, high, name in KNOWN_HOLES if low <= address < high), None)
    if hole is not None:
        return f"that is {hole}, which this model lacks"
    sp = cpu.register("sp")
    for memory in cpu.memories:
        if memory.writable and memory.base - STACK_SLACK <= address < memory.base and sp < memory.base:
            return f"sp is 0x{sp:08X}, below {memory.name}: the stack has overflowed"
    if cause == FETCH_FAULT:
        peripheral = cpu.bus.find(address)
        lies = f"{peripheral.name} holds no code" if peripheral else "no memory is mapped there"
        return f"{lies}; ra is 0x{cpu.register('ra'):08X} ({cpu.firmware.where(cpu.register('ra'))[3:]})"
    return "no memory and no peripheral is mapped there: a stray pointer, or a register of another chip"
