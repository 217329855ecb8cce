"""Finds the few instructions of a program that the emulator must see: counters, interrupt masks, wfi, mret, fence.i."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MSTATUS, MIE, MIP = 0x300, 0x304, 0x344
COUNTERS = frozenset({0xB00, 0xB02, 0xB80, 0xB82, 0xC00, 0xC02, 0xC80, 0xC82})
CSR_HIGH_OFFSET = 0x80
MRET, WFI, FENCE_I = 0x3020_0073, 0x1050_0073, 0x0000_100F


@dataclass(frozen=True)
class Special:
    """One such instruction. ``operation``: 1 csrrw, 2 csrrs, 3 csrrc; ``source``: register, or the immediate."""

    kind: str  # csr, mask, wfi, mret, fence.i
    csr: int = 0
    operation: int = 0
    immediate: bool = False
    source: int = 0
    target: int = 0


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
    if csr in (MSTATUS, MIE):
        return Special("mask", csr)
    if csr not in COUNTERS and csr != MIP:
        return None
    return Special(
        "csr", csr, operation=function & 3, immediate=bool(function & 4), source=word >> 15 & 31, target=word >> 7 & 31
    )
