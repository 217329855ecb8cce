"""Machine mode, which Unicorn leaves out: traps, interrupts, wfi, and counters without the host's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unicorn import Uc
from unicorn import riscv_const as rv

from uc_nn_pio.virtual.clock import NEVER
from uc_nn_pio.virtual.instructions import CSR_HIGH_OFFSET, MIP, Special, find_specials

if TYPE_CHECKING:
    from uc_nn_pio.virtual.cpu import Cpu

CAUSES = {
    0: "instruction address misaligned",
    1: "instruction access fault",
    2: "illegal instruction",
    3: "breakpoint",
    4: "load address misaligned",
    6: "store address misaligned",
    8: "environment call",
    11: "environment call",
}
MSTATUS_MIE = 1 << 3
MSTATUS_MPIE = 1 << 7
MSTATUS_MPP = 3 << 11
INTERRUPT = 1 << 31


class Privileged:
    """Machine mode of one core."""

    def __init__(self, cpu: Cpu) -> None:
        self._cpu = cpu
        self._counter_offset = {"cycle": 0, "instret": 0}
        self.specials: dict[int, Special] = {}
        for segment in cpu.firmware.segments:
            self.specials.update(find_specials(segment.data, segment.run_address))

    # -- traps -----------------------------------------------------------------------------------------------------

    def take_trap(self, cause: int, pc: int, value: int) -> None:
        """An exception: into the firmware's handler, or a stop if it has none."""
        cpu = self._cpu
        name = CAUSES.get(cause, f"cause {cause}")
        text = f"{name} at pc 0x{pc:08X}" + (f", value 0x{value:08X}" if cause in (2, 4, 6) else "")
        handler = cpu.register("mtvec")
        cpu.pc = pc
        if handler & ~3 == 0:
            raise cpu.stop_error(
                f"exception {cause}: {text}",
                why="the firmware has no trap handler (mtvec is 0), so the chip would run off to address 0",
                next_step="mend the instruction, or set mtvec to a handler that prints mcause, mepc and mtval",
            )
        if pc == handler & ~3:
            raise cpu.stop_error(
                f"exception {cause}: {text}",
                why="it is the first instruction of the trap handler: the chip would loop here for ever",
                next_step="mend the trap handler",
            )
        cpu.reports.add("trap", text)
        self._enter_handler(cause, pc, value)

    def take_interrupt(self) -> None:
        """Enter the handler if an enabled interrupt is pending."""
        cpu = self._cpu
        pending = cpu.interrupts() & cpu.register("mie")
        if not pending or not cpu.register("mstatus") & MSTATUS_MIE:
            return
        cause = 3 if pending & 1 << 3 else 7
        self._enter_handler(INTERRUPT | cause, cpu.pc, 0)

    def _enter_handler(self, cause: int, pc: int, value: int) -> None:
        cpu = self._cpu
        mstatus = cpu.register("mstatus")
        mpie = MSTATUS_MPIE if mstatus & MSTATUS_MIE else 0
        cpu.set_register("mstatus", mstatus & ~(MSTATUS_MIE | MSTATUS_MPIE) | mpie | MSTATUS_MPP)
        cpu.set_register("mepc", pc)
        cpu.set_register("mcause", cause)
        cpu.set_register("mtval", value)
        handler = cpu.register("mtvec")
        vectored = handler & 1 and cause & INTERRUPT
        cpu.pc = (handler & ~3) + (4 * (cause & 0xFF) if vectored else 0)

    # -- instructions ----------------------------------------------------------------------------------------------

    def on_special(self, uc: Uc, address: int, size: int, user: object) -> None:
        """Code hook in front of the instructions of ``specials``."""
        special = self.specials[address]
        if special.kind == "csr":
            self._access_counter(special)
            uc.reg_write(rv.UC_RISCV_REG_PC, address + 4)
        elif special.kind == "wfi":
            self._wait_for_interrupt()
            uc.reg_write(rv.UC_RISCV_REG_PC, address + 4)
        elif special.kind == "fence.i":
            self._cpu.forget_blocks()
        else:  # it may unmask an interrupt: look again behind it
            self._cpu.stop_soon()

    def _counters(self) -> dict[str, int]:
        cpu = self._cpu
        skipped = cpu.polls.skipped_instructions if cpu.polls is not None else 0
        return {"cycle": cpu.cycles, "instret": cpu.instructions + skipped}

    def _counter(self, csr: int) -> tuple[str, int]:
        name = "cycle" if csr & 0xF == 0 else "instret"
        return name, self._counters()[name] + self._counter_offset[name]

    def counter(self, csr: int) -> int:
        """What one of the counter CSRs shows now."""
        return self._counter(csr)[1] >> (32 if csr & CSR_HIGH_OFFSET else 0) & 0xFFFF_FFFF

    def _access_counter(self, special: Special) -> None:
        """Read, and perhaps write, mip or a counter; the counters are emulated cycles, never the host's clock."""
        if special.csr == MIP:
            self._cpu.clock.sync(self._cpu.cycles)
            old = self._cpu.interrupts()
        else:
            name, full = self._counter(special.csr)
            high = bool(special.csr & CSR_HIGH_OFFSET)
            old = full >> 32 & 0xFFFF_FFFF if high else full & 0xFFFF_FFFF
            operand = special.source if special.immediate else self._x(special.source)
            writes = special.operation == 1 or special.source != 0
            if writes and special.csr < 0xC00:
                new = {1: operand, 2: old | operand, 3: old & ~operand}[special.operation]
                wanted = (full & 0xFFFF_FFFF | new << 32) if high else (full & ~0xFFFF_FFFF | new)
                self._counter_offset[name] += wanted - full
        if special.target:
            self._cpu.uc.reg_write(rv.UC_RISCV_REG_X0 + special.target, old)

    def _x(self, number: int) -> int:
        return self._cpu.uc.reg_read(rv.UC_RISCV_REG_X0 + number) & 0xFFFF_FFFF if number else 0

    def _wait_for_interrupt(self) -> None:
        """Let time pass until an interrupt that mie enables is pending; the handler runs if mstatus lets it."""
        cpu = self._cpu
        cpu.clock.sync(cpu.cycles)
        while not cpu.interrupts() & cpu.register("mie"):
            event = cpu.clock.next_event()
            if event == NEVER:
                cpu.fail(
                    cpu.stop_error(
                        "wfi with nothing that could wake the core",
                        why="no enabled interrupt is armed (the CLINT's timer and software interrupts are modelled)",
                        next_step="set mtimecmp and mie before wfi",
                    )
                )
                return
            cpu.pass_time(event)
        cpu.stop_soon()
