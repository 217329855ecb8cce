"""Peripherals whose registers only store: PWM and PLIC. Firmware may set them up; nothing follows."""

from __future__ import annotations

from uc_nn_pio.virtual.bus import Peripheral, Register
from uc_nn_pio.virtual.clock import Clock
from uc_nn_pio.virtual.reports import Reports

PLIC_SOURCES = 52


class Pwm(Peripheral):
    """PWM0 to PWM2 (FE310-G000 manual v2, chapter 20)."""

    REGISTERS = (
        Register(0x00, "pwmcfg"),
        Register(0x08, "pwmcount"),
        Register(0x10, "pwms"),
        *(Register(0x20 + 4 * i, f"pwmcmp{i}", 0xFFFF) for i in range(4)),
    )


class Plic(Peripheral):
    """Interrupt controller (FE310-G000 manual v2, chapter 10). No source is connected yet: claim reads 0."""

    REGISTERS = (
        *(Register(4 * i, f"priority{i}") for i in range(PLIC_SOURCES)),
        Register(0x1000, "pending1"),
        Register(0x1004, "pending2"),
        Register(0x2000, "enable1"),
        Register(0x2004, "enable2"),
        Register(0x20_0000, "threshold"),
        Register(0x20_0004, "claim"),
    )

    def __init__(self, clock: Clock, reports: Reports) -> None:
        super().__init__("PLIC", 0x0C00_0000, clock, reports, size=0x20_1000)

    def read_claim(self) -> int:
        return 0

    def write_claim(self, value: int) -> None:
        """Completion of nothing."""
