"""What test firmwares print, as values; and C that many of them share."""

from __future__ import annotations

import re

from uc_nn_pio.virtual import VirtualBoard

# A handler that records cause and claimed source, and calls the test's served(). With mie and mstatus open.
INTERRUPTS = """
#define PLIC(o) REG(0x0C000000u + (o))
static volatile uint32_t hits, cause_, source_;
static void served(void);
__attribute__((interrupt, aligned(64))) void handler(void) {
  hits++; cause_ = CSR_READ(mcause);
  if (cause_ == 0x8000000Bu) { source_ = PLIC(0x200004); served(); PLIC(0x200004) = source_; }
  else served();
}
static void plic_on(uint32_t source, uint32_t priority) {
  CSR_WRITE(mtvec, (uint32_t)handler);
  PLIC(4 * source) = priority; PLIC(0x2000 + source / 32 * 4) |= 1u << source % 32;
  CSR_SET(mie, 1 << 11); CSR_SET(mstatus, 1 << 3);
}
/* wfi wakes with interrupts off too: asked and asleep without a gap between, so that no interrupt is missed */
static __attribute__((noinline)) void until_hits(uint32_t n) {
  for (;;) {
    __asm__ volatile("csrci mstatus, 8" ::: "memory");
    if (hits >= n) break;
    __asm__ volatile("wfi\\ncsrsi mstatus, 8" ::: "memory");
  }
  __asm__ volatile("csrsi mstatus, 8" ::: "memory");
}
"""
END = 'puts_("done\\n"); for (;;) {}'


def values(board: VirtualBoard) -> dict[str, int]:
    """The ``name=hex`` lines that a firmware printed."""
    return {name: int(value, 16) for name, value in re.findall(r"(\w+)=([0-9a-f]{8})", board.text)}


class Link:
    """The other end of the UART: keeps what comes, and sends ``data`` when it has seen a ``?``."""

    def __init__(self, data: bytes = b"") -> None:
        self.sent = b""
        self.data = data

    def write(self, data: bytes) -> None:
        self.sent += data

    def read(self) -> bytes:
        if b"?" not in self.sent:
            return b""
        data, self.data = self.data, b""
        return data

    def close(self) -> None:
        pass
