"""Machine mode, which Unicorn leaves out: traps, interrupts, wfi, and counters without the host's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unicorn import Uc
from unicorn import riscv_const as rv

from uc_nn_pio.virtual.clock import NEVER
from uc_nn_pio.virtual.instructions import (
    CONSTANTS,
    CSR_HIGH_OFFSET,
    MIP,
    MISA,
    MSTATUS,
    Special,
    find_specials,
    instructions_to_block_end,
)
from uc_nn_pio.virtual.refusals import FETCH_FAULT, trap_reason, trap_text

if TYPE_CHECKING:
    from uc_nn_pio.virtual.cpu import Cpu

MSTATUS_MIE = 1 << 3
MSTATUS_MPIE = 1 << 7
MSTATUS_MPP = 3 << 11
INTERRUPT = 1 << 31
SAME_TRAPS = 1000  # of one kind, with nothing done in between: a loop
TRAP_REPORTS = 20
# Cause and bit of mip and mie, most urgent first: external, software, timer (privileged specification 1.10, 3.1.14).
INTERRUPTS = (11, 3, 7)


class Privileged:
    """Machine mode of one core, the only mode that a FE310-G000 has: ``mstatus.mpp`` is always 3."""

    def __init__(self, cpu: Cpu) -> None:
        self._cpu = cpu
        self._counter_offset = {"cycle": 0, "instret": 0}
        self.asleep = False  # in wfi
        self._stale = False  # code in RAM may have changed
        self._last_trap: tuple[object, ...] = ()
        self._same_traps = 0
        self.specials: dict[int, Special] = {}
        for segment in cpu.firmware.segments:
            self.specials.update(find_specials(segment.data, segment.run_address))
        self.reset()

    def reset(self) -> None:
        """State after a chip reset."""
        self.asleep = False
        self._cpu.set_register("mstatus", MSTATUS_MPP)

    def refresh(self) -> None:
        """Between runs: find the instructions to look at in code that was written to RAM before a ``fence.i``."""
        if not self._stale:
            return
        self._stale = False
        cpu = self._cpu
        for memory in cpu.memories:
            if not memory.writable:
                continue
            found = find_specials(memory.data.tobytes(), memory.base)
            new = found.keys() - self.specials.keys()
            for address in [a for a in self.specials if memory.base <= a < memory.base + len(memory.data)]:
                if address not in found:
                    self.specials[address] = Special("gone")  # its hook stays
            self.specials.update(found)
            for address in new:
                cpu.look_at(address)

    # -- traps -----------------------------------------------------------------------------------------------------

    def take_trap(self, cause: int, pc: int, value: int) -> None:
        """An exception: into the firmware's handler, or a stop if it has none."""
        cpu = self._cpu
        text = trap_text(cpu, cause, pc, value)
        reason = trap_reason(cpu, cause, value)
        handler = cpu.register("mtvec")
        cpu.pc = pc
        if handler & ~3 == 0:
            why = "the firmware has no trap handler (mtvec is 0), so the chip would run off to address 0"
            raise cpu.stop_error(
                f"exception {cause}: {text}",
                why=f"{reason}; {why}" if reason else why,
                next_step="mend the instruction, or set mtvec to a handler that prints mcause, mepc and mtval",
            )
        if pc == handler & ~3 or self._again(cause, pc, value):
            raise cpu.stop_error(
                f"exception {cause}: {text}",
                why="it is the first instruction of the trap handler: the chip would loop here for ever"
                if pc == handler & ~3
                else f"it has come {SAME_TRAPS} times with the same registers, and no device was touched in between",
                next_step="mend the trap handler" + (f" ({reason})" if reason else ""),
            )
        if len(cpu.reports.of("trap")) < TRAP_REPORTS:
            cpu.reports.add("trap", text + (f" ({reason})" if reason else ""))
        if cause != FETCH_FAULT:
            self.uncount(pc)
        self._enter_handler(cause, pc, value)

    def _again(self, cause: int, pc: int, value: int) -> bool:
        """Whether this trap comes over and over, with the core in the same state each time."""
        key = (cause, pc, value, self._cpu.life, self._cpu.snapshot())
        self._same_traps = self._same_traps + 1 if key == self._last_trap else 1
        self._last_trap = key
        return self._same_traps >= SAME_TRAPS

    def uncount(self, pc: int) -> None:
        """The instructions from ``pc`` to the block's end were counted when the block began, and have not run."""
        self._cpu.add_instructions(-instructions_to_block_end(self._cpu.read_half, pc))

    def interrupted(self) -> int:
        """Interrupts that are pending and let through, as bits of mip."""
        cpu = self._cpu
        pending = cpu.interrupts() & cpu.register("mie")
        return pending if cpu.register("mstatus") & MSTATUS_MIE else 0

    def take_interrupt(self) -> None:
        """Enter the handler if an enabled interrupt is pending."""
        cpu = self._cpu
        pending = self.interrupted()
        if not pending:
            return
        cause = next(number for number in INTERRUPTS if pending >> number & 1)
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
        if special.kind == "gone" or self._cpu.squashing:
            return
        if special.kind == "csr":
            if special.csr in CONSTANTS and special.csr != MISA and special.writes:
                self._cpu.raise_illegal(address)
                return
            self._access_csr(special)
            uc.reg_write(rv.UC_RISCV_REG_PC, address + 4)
            if special.csr == MSTATUS:
                self._cpu.stop_soon()
        elif special.kind == "absent":
            self._cpu.raise_illegal(address)
        elif special.kind == "wfi":
            self.uncount(address + 4)
            uc.reg_write(rv.UC_RISCV_REG_PC, address + 4)
            self.asleep = True
            self.sleep()
            self._cpu.stop_soon()
        elif special.kind == "mret":
            self._return_from_trap(uc)
        elif special.kind == "fence.i":
            self._cpu.forget_blocks()
            self._stale = True
            self._cpu.stop_soon()
        else:  # it may unmask an interrupt: look again behind it
            self._cpu.stop_soon()

    def _return_from_trap(self, uc: Uc) -> None:
        mstatus = self._cpu.register("mstatus")
        mie = MSTATUS_MIE if mstatus & MSTATUS_MPIE else 0
        self._cpu.set_register("mstatus", mstatus & ~MSTATUS_MIE | mie | MSTATUS_MPIE | MSTATUS_MPP)
        uc.reg_write(rv.UC_RISCV_REG_PC, self._cpu.register("mepc") & ~1)
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

    def _access_csr(self, special: Special) -> None:
        """Read, and perhaps write, a CSR; the counters are emulated cycles, never the host's clock."""
        cpu = self._cpu
        if special.csr == MIP:
            cpu.clock.sync(cpu.cycles)
            old = cpu.interrupts()
        elif special.csr == MSTATUS:
            old = cpu.register("mstatus")
        elif special.csr in CONSTANTS:
            old = CONSTANTS[special.csr]
        else:
            old = self.counter(special.csr)
        operand = special.source if special.immediate else self._x(special.source)
        new = {1: operand, 2: old | operand, 3: old & ~operand}[special.operation]
        if special.writes and special.csr == MSTATUS:
            cpu.set_register("mstatus", new & (MSTATUS_MIE | MSTATUS_MPIE) | MSTATUS_MPP)
        elif special.writes and special.csr & 0xF00 == 0xB00:
            name, full = self._counter(special.csr)
            high = bool(special.csr & CSR_HIGH_OFFSET)
            wanted = (full & 0xFFFF_FFFF | new << 32) if high else (full & ~0xFFFF_FFFF | new)
            self._counter_offset[name] += wanted - full
        if special.target:
            cpu.uc.reg_write(rv.UC_RISCV_REG_X0 + special.target, old)

    def _x(self, number: int) -> int:
        return self._cpu.uc.reg_read(rv.UC_RISCV_REG_X0 + number) & 0xFFFF_FFFF if number else 0

    # -- sleep -----------------------------------------------------------------------------------------------------

    def sleep(self) -> None:
        """In ``wfi``: time passes to the next interrupt that mie enables, or to the end of this run.

        The handler then runs if mstatus lets it; if not, the program goes on behind the ``wfi``.
        """
        cpu = self._cpu
        cpu.clock.sync(cpu.cycles)
        while not cpu.interrupts() & cpu.register("mie"):
            event = cpu.clock.next_event()
            if event == NEVER and not cpu.outside_may_wake():
                self.asleep = False
                cpu.fail(
                    cpu.stop_error(
                        "wfi with nothing that could wake the core",
                        why=self._why_none_wakes(),
                        next_step="enable an interrupt in mie, and its source (mtimecmp, or the PLIC), before wfi",
                    )
                )
                return
            if cpu.resetting or cpu.cycles >= cpu.run_until:
                return
            cpu.pass_time(min(event, cpu.run_until))
        self.asleep = False

    def _why_none_wakes(self) -> str:
        enabled = self._cpu.register("mie")
        names = [name for bit, name in ((3, "software"), (7, "timer"), (11, "external")) if enabled >> bit & 1]
        if not names:
            return "mie enables no interrupt"
        return f"mie enables {' and '.join(names)} interrupts, but no device will ever raise one"
