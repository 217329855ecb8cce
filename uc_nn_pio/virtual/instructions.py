"""Finds the few instructions of a program that the emulator must see: CSRs that Unicorn does not have as a FE310-G000,
interrupt masks, wfi, mret, fence.i.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MSTATUS, MIE, MIP = 0x300, 0x304, 0x344
COUNTERS = frozenset({0xB00, 0xB02, 0xB80, 0xB82, 0xC00, 0xC02, 0xC80, 0xC82})
CSR_HIGH_OFFSET = 0x80
# What the FE310-G000's read-only CSRs hold. misa: OpenOCD's log of a HiFive1 (RV32IMAC, machine mode only). The others:
# rocket-chip CSR.scala of late 2016. Hart 0 is the only one.
CONSTANTS = {0x301: 0x4000_1105, 0xF11: 0, 0xF12: 0, 0xF13: 0, 0xF14: 0}
MISA = 0x301
# CSRs of user mode, supervisor mode and memory protection, none of which this core has, but Unicorn's E31 does:
# medeleg, mideleg, mcounteren, pmpcfg, pmpaddr.
ABSENT = frozenset({0x302, 0x303, 0x306, *range(0x3A0, 0x3A4), *range(0x3B0, 0x3C0)})
MRET, WFI, FENCE_I = 0x3020_0073, 0x1050_0073, 0x0000_100F


@dataclass(frozen=True)
class Special:
    """One such instruction. ``operation``: 1 csrrw, 2 csrrs, 3 csrrc; ``source``: register, or the immediate."""

    kind: str  # csr, mask (csr mie), absent (csr), wfi, mret, fence.i
    csr: int = 0
    operation: int = 0
    immediate: bool = False
    source: int = 0
    target: int = 0

    @property
    def writes(self) -> bool:
        """Whether the CSR is written: csrrs and csrrc with x0 or 0 only read."""
        return self.operation == 1 or self.source != 0


def find_specials(code: bytes, address: int) -> dict[int, Special]:
    """Specials in ``code``, which runs at ``address``, by address.

    Every halfword is looked at, so that data between instructions cannot hide one. Data that looks like one never
    runs, so it does no harm.
    """
    data = np.frombuffer(code + b"\0" * (4 + len(code) % 2), np.uint8)
    halves = data[: len(data) // 2 * 2].view("<u2").astype(np.uint32)
    words = halves[:-1] | halves[1:] << np.uint32(16)
    system = np.flatnonzero((words & 0x7F == 0x73) | (words == FENCE_I))
    found: dict[int, Special] = {}
    for index in system.tolist():
        special = _special(int(words[index]))
        if special is not None:
            found[address + 2 * index] = special
    return found


def _special(word: int) -> Special | None:
    named = {MRET: "mret", WFI: "wfi", FENCE_I: "fence.i"}.get(word)
    if named is not None:
        return Special(named)
    function = word >> 12 & 7
    if word & 0x7F != 0x73 or function in (0, 4):
        return None
    csr = word >> 20
    if csr == MIE:
        return Special("mask", csr)
    if csr in ABSENT:
        return Special("absent", csr)
    if csr not in COUNTERS and csr not in CONSTANTS and csr not in (MSTATUS, MIP):
        return None
    return Special(
        "csr", csr, operation=function & 3, immediate=bool(function & 4), source=word >> 15 & 31, target=word >> 7 & 31
    )


def instructions_to_block_end(read_half: Callable[[int], int], pc: int) -> int:
    """Instructions from ``pc`` to the end of Unicorn's block: a jump, a system instruction, or the end of a page."""
    page_end = (pc & ~0xFFF) + 0x1000
    count = 0
    while pc < page_end:
        half = read_half(pc)
        length = 4 if half & 3 == 3 else 2
        if pc + length > page_end:
            break
        count += 1
        if _ends_block(half, read_half(pc + 2) if length == 4 else 0):
            break
        pc += length
    return count


def _ends_block(half: int, upper: int) -> bool:
    if half & 3 == 3:
        opcode = half & 0x7F
        if opcode == 0x73:
            return upper << 16 | half != WFI
        return opcode in (0x63, 0x67, 0x6F) or (opcode == 0x0F and half >> 12 & 7 == 1)
    quadrant, function = half & 3, half >> 13
    if quadrant == 1:  # c.jal, c.j, c.beqz, c.bnez
        return function in (1, 5, 6, 7)
    return half == 0 or (quadrant == 2 and function == 4 and half & 0x7C == 0)  # c.jr, c.jalr, c.ebreak
