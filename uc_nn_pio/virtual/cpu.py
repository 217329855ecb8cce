"""The core: RV32IMAC by Unicorn, with memory, register accesses, traps, counters and poll skipping.

Unicorn runs the instructions; the hooks of ``native.py`` count them. Everything else that a FE310 core does and Unicorn
does not is here: cycle and instruction counters without the host's clock, exceptions and interrupts into the firmware's
handler, ``wfi``, misaligned accesses (which this core does not do), and clear stops where the chip has nothing.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from unicorn import UC_ARCH_RISCV, UC_MODE_RISCV32, UC_PROT_ALL, UC_PROT_EXEC, UC_PROT_READ, Uc, UcError
from unicorn import riscv_const as rv
from unicorn import unicorn_const as uc_const
from unicorn.unicorn_py3 import unicorn as binding

from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.virtual import native
from uc_nn_pio.virtual.bus import Bus, BusError, Peripheral
from uc_nn_pio.virtual.clock import Clock
from uc_nn_pio.virtual.firmware import Firmware
from uc_nn_pio.virtual.hooks import CycleHooks
from uc_nn_pio.virtual.polling import PollSkip
from uc_nn_pio.virtual.privileged import Privileged
from uc_nn_pio.virtual.refusals import FETCH_FAULT, LOAD_FAULT, STORE_FAULT
from uc_nn_pio.virtual.reports import Reports
from uc_nn_pio.virtual.timing import CycleModel

NOWHERE = 0xFFFF_FFFE  # an address that is never run

_lib = binding.uclib
_MMIO_READ = binding.MMIO_READ_CFUNC
_MMIO_WRITE = binding.MMIO_WRITE_CFUNC


@dataclass
class Memory:
    """A span of memory with its bytes. ``writable`` is false for flash."""

    name: str
    base: int
    data: np.ndarray
    writable: bool


class Cpu:
    """One core. ``run`` executes until a cycle, an instruction limit or a request to stop."""

    def __init__(
        self,
        memories: list[Memory],
        bus: Bus,
        clock: Clock,
        firmware: Firmware,
        reports: Reports,
        costs: CycleModel,
        poll_skip: bool = True,
        compiled: bool = True,
    ) -> None:
        self.memories = memories
        self.bus = bus
        self.clock = clock
        self.firmware = firmware
        self.reports = reports
        self.skipped_cycles = 0  # asleep; polls count theirs
        self.interrupts: Callable[[], int] = lambda: 0  # pending bits of mip
        self.outside_may_wake: Callable[[], bool] = lambda: False  # the UART's other end may send something
        self.run_until = 0  # the cycle at which this run ends
        self.life = 0  # register accesses so far: a program that makes none may be stuck
        self._interrupts_changed = False
        self._error: BaseException | None = None
        self._trap: tuple[int, int, int] | None = None  # cause, pc, value
        self._undo_registers: list[int] | None = None
        self._keep: list[object] = []  # callbacks that C code holds
        self._running = False
        self._reset_pc: int | None = None
        self.pc = self._left_at = firmware.entry
        self.exits: frozenset[int] = frozenset()  # a debugger's: stop in front of these addresses
        self.halted = False  # the last run ended at one of them, or the debugger asked for a halt
        self.hold_interrupts = False

        self.uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV32)
        self.uc.ctl_set_cpu_model(rv.UC_CPU_RISCV32_SIFIVE_E31)
        self._handle = self.uc._uch
        self.state = np.zeros(native.STATE_WORDS, np.int64)
        self._state = (ctypes.c_int64 * native.STATE_WORDS).from_buffer(self.state)
        self._prepare_registers()
        self.privileged = Privileged(self)
        self._map_memories()
        self.hooks = CycleHooks(self, costs, compiled)
        self.polls = PollSkip(self._state, clock, self.snapshot, self.hooks.table) if poll_skip else None
        for peripheral in bus.peripherals:
            self._map_peripheral(peripheral)
        self._add_hooks()

    # -- set-up ----------------------------------------------------------------------------------------------------

    def _prepare_registers(self) -> None:
        names = [*(getattr(rv, f"UC_RISCV_REG_X{i}") for i in range(1, 32)), rv.UC_RISCV_REG_PC]
        self._register_ids = (ctypes.c_int32 * 32)(*names)
        self._register_values = (ctypes.c_uint64 * 32)()
        base = ctypes.addressof(self._register_values)
        self._register_pointers = (ctypes.c_void_p * 32)(*(base + 8 * i for i in range(32)))

    def _map_memories(self) -> None:
        for memory in self.memories:
            protection = UC_PROT_ALL if memory.writable else UC_PROT_READ | UC_PROT_EXEC
            self.uc.mem_map_ptr(memory.base, len(memory.data), protection, memory.data.ctypes.data)

    def _map_peripheral(self, peripheral: Peripheral) -> None:
        def read(engine: int, offset: int, size: int, user: int) -> int:
            try:
                return self._read_register(peripheral, offset, size)
            except BaseException as error:  # it must cross C code first
                return self.fail(error)

        def write(engine: int, offset: int, size: int, value: int, user: int) -> None:
            try:
                self._write_register(peripheral, offset, size, value)
            except BaseException as error:
                self.fail(error)

        callbacks = _MMIO_READ(read), _MMIO_WRITE(write)
        self._keep.extend(callbacks)
        size = -(-peripheral.size // 0x1000) * 0x1000
        self._check(
            _lib.uc_mmio_map(
                self._handle, peripheral.base, size,
                ctypes.cast(callbacks[0], ctypes.c_void_p), None, ctypes.cast(callbacks[1], ctypes.c_void_p), None,
            )
        )  # fmt: skip

    def _add_hooks(self) -> None:
        self.uc.hook_add(uc_const.UC_HOOK_INTR, self._on_exception)
        self.uc.hook_add(uc_const.UC_HOOK_INSN_INVALID, self._on_invalid)
        self.uc.hook_add(uc_const.UC_HOOK_MEM_INVALID, self._on_bad_access)
        for address in self.privileged.specials:
            self.look_at(address)

    def look_at(self, address: int) -> None:
        """Have ``privileged`` called in front of the instruction at ``address``."""
        self.uc.hook_add(uc_const.UC_HOOK_CODE, self.privileged.on_special, begin=address, end=address)
        self.uc.ctl_remove_cache(address, address + 4)

    @staticmethod
    def _check(error: int) -> None:
        if error:
            raise UcError(error)

    # -- state -----------------------------------------------------------------------------------------------------

    @property
    def cycles(self) -> int:
        """Core cycles since power-up, skipped polls included."""
        return self._state[native.CYCLES]

    @property
    def instructions(self) -> int:
        """Instructions executed; those of skipped polls are counted apart."""
        return self._state[native.INSTRUCTIONS]

    def add_instructions(self, count: int) -> None:
        """Mend the count: a block was counted whole and left early."""
        self._state[native.INSTRUCTIONS] += count

    def memory_counts(self) -> tuple[int, int]:
        """Data reads from flash, and the cycles that the core waited for them."""
        return self._state[native.FLASH_READS], self._state[native.FLASH_CYCLES]

    def cycle_counts(self) -> dict[str, int]:
        """I-cache misses and their cycles, mispredicted branches, register accesses and the cycles waited for them."""
        names = ("icache_misses", "icache_cycles", "mispredicts", "mmio_accesses", "mmio_cycles", "replays")
        return dict(zip(names, self._state[native.ICACHE_MISSES : native.REPLAYS + 1], strict=True))

    def snapshot(self) -> bytes:
        """x1 to x31 and pc, exact also inside a register access."""
        _lib.uc_reg_read_batch(self._handle, self._register_ids, self._register_pointers, 32)
        return bytes(self._register_values)

    def current_pc(self) -> int:
        """Address of the instruction under way, or of the next one."""
        return self.uc.reg_read(rv.UC_RISCV_REG_PC) if self._running else self.pc

    def where(self) -> str:
        """``pc 0x... in function`` for messages."""
        return self.firmware.where(self.current_pc())

    def register(self, name: str) -> int:
        """A register by name (``a0``, ``mcause``...), for tests and messages."""
        return self.uc.reg_read(getattr(rv, f"UC_RISCV_REG_{name.upper()}"))

    def set_register(self, name: str, value: int) -> None:
        """Set a register by name."""
        self.uc.reg_write(getattr(rv, f"UC_RISCV_REG_{name.upper()}"), value)

    def stop_soon(self) -> None:
        """Stop in front of the next block."""
        self._state[native.STOP_AT] = 0

    # -- running ---------------------------------------------------------------------------------------------------

    def run(self, stop_at: int, instruction_limit: int) -> None:
        """Execute until cycle ``stop_at``, ``instruction_limit`` executed instructions, or ``stop_soon``.

        Raises:
            VirtualBoardError: the firmware did what the chip cannot do, or took a trap without a handler.
        """
        self.clock.sync(self.cycles)
        self.apply_reset()
        self.halted = False
        self.run_until = stop_at
        if self.privileged.asleep:
            self.privileged.sleep()
            if self.privileged.asleep:
                return
        self.privileged.refresh()
        if not self.hold_interrupts:
            self.privileged.take_interrupt()
        if self.pc != self._left_at:
            self.hooks.table.redirect()
        self.hooks.price_flash()
        self._state[native.STOP_AT] = min(stop_at, self.clock.next_hard_event())
        self._state[native.INSTRUCTION_LIMIT] = instruction_limit
        self._running = True
        before = self.cycles, self.instructions
        try:
            error = _lib.uc_emu_start(self._handle, self.pc, NOWHERE, 0, 0)
        finally:
            self._running = False
        self.pc = self.uc.reg_read(rv.UC_RISCV_REG_PC)
        if self.uc._hook_exception is not None:
            self._error, self.uc._hook_exception = self.uc._hook_exception, None
        if self._state[native.SQUASH]:
            self._undo()
        self._left_at = self.pc
        if self._error is not None:
            failure, self._error = self._error, None
            raise failure
        if self._reset_pc is not None:
            self._trap = None
        elif self._trap is not None:
            self.privileged.take_trap(*self._take_pending_trap())
        elif error:
            raise self.stop_error(f"the emulator stopped: {UcError(error)}", why="no rule of the model covers it")
        elif self.pc == NOWHERE and before == (self.cycles, self.instructions):
            self.privileged.take_trap(FETCH_FAULT, self.pc, self.pc)
        self.clock.sync(self.cycles)
        self.apply_reset()
        self.halted = self.halted or self.pc in self.exits

    def halt(self) -> None:
        """A debugger's halt from inside a memory access: in front of this instruction, nothing behind it done."""
        self.halted = True
        self._begin_squash()

    def interrupts_changed(self) -> None:
        """A device's interrupt line has changed."""
        self._interrupts_changed = True
        self.stop_soon()

    def _interrupt_behind_store(self) -> None:
        """After a store to a register: an interrupt that it raised comes in front of the next instruction."""
        self._interrupts_changed = False
        pc = self.current_pc()
        behind = pc + self.instruction_length(pc)
        if self.hold_interrupts or self.squashing or not self.privileged.interrupted() or (behind ^ pc) >> 12:
            return
        self._begin_squash()
        assert self._undo_registers is not None
        self._undo_registers[31] = behind
        self.privileged.uncount(behind)

    def raise_illegal(self, pc: int) -> None:
        """The instruction at ``pc``, in front of which the emulator is, does not exist on this core."""
        self._begin_squash()
        self._trap = (2, pc, self.instruction(pc))

    @property
    def resetting(self) -> bool:
        """A device has asked for a reset, which the end of this run brings."""
        return self._reset_pc is not None

    @property
    def squashing(self) -> bool:
        """What is left of the block will be undone."""
        return self._state[native.SQUASH] != 0

    def log_old_word(self, address: int) -> None:
        """Have the store to ``address``, which is about to happen, undone too; stores to registers are dropped."""
        for number, memory in enumerate(self.memories):
            if memory.base <= address < memory.base + len(memory.data):
                word = (address - memory.base) // 4
                count = self._state[native.SQUASH] - 1
                self._state[native.UNDO + 2 * count] = number << 32 | word
                self._state[native.UNDO + 2 * count + 1] = int(memory.data.view(np.int32)[word])
                self._state[native.SQUASH] += 1

    def instruction_length(self, pc: int) -> int:
        """2 or 4 bytes."""
        return 4 if self.instruction(pc) & 3 == 3 else 2

    def set_exits(self, addresses: frozenset[int]) -> None:
        """Stop in front of these addresses, also in the middle of a block; the counts do not change by that."""
        if addresses != self.exits:
            self.exits = addresses
            self.uc.ctl_exits_enabled(True)
            self.uc.ctl_set_exits([NOWHERE, *sorted(addresses)])
            self.uc.ctl_flush_tb()

    def code_changed(self) -> None:
        """A debugger has written to memory that may hold code; no cycle follows from that."""
        self.hooks.look_again()
        self.uc.ctl_flush_tb()

    def reset(self, pc: int) -> None:
        """A device resets the chip: the core goes on at ``pc``; memory stays."""
        self._reset_pc = pc
        if self._running and not self._state[native.SQUASH]:
            self._begin_squash()

    def apply_reset(self) -> None:
        """Carry out a reset that was asked for."""
        if self._reset_pc is not None:
            self.pc, self._reset_pc = self._reset_pc, None
            for name in ("mie", "mtvec", "mcause", "mepc", "mtval"):
                self.set_register(name, 0)
            self.privileged.reset()

    # -- register accesses -----------------------------------------------------------------------------------------

    def _read_register(self, peripheral: Peripheral, offset: int, size: int) -> int:
        if self._state[native.SQUASH]:
            return 0
        self.life += 1
        self.clock.sync(self._state[native.CYCLES])
        peripheral.pure_read = True
        value = peripheral.read(offset, size)
        if self.polls is not None:
            if peripheral.pure_read:
                self.polls.saw(peripheral.base + offset, value)
            else:
                self.polls.forget()
        return value

    def _write_register(self, peripheral: Peripheral, offset: int, size: int, value: int) -> None:
        if self._state[native.SQUASH]:
            return
        self.life += 1
        self.clock.sync(self._state[native.CYCLES])
        if self.polls is not None:
            self.polls.forget()
        peripheral.write(offset, size, value)
        self.hooks.price_flash()
        if self._interrupts_changed:
            self._interrupt_behind_store()
        hard = self.clock.next_hard_event()
        if hard < self._state[native.STOP_AT]:
            self._state[native.STOP_AT] = hard

    def _begin_squash(self) -> None:
        """Undo what is left of this block: Unicorn only stops at its end."""
        self._undo_registers = list(np.frombuffer(self.snapshot(), np.uint64).tolist())
        self._state[native.SQUASH] = 1
        _lib.uc_emu_stop(self._handle)

    def _undo(self) -> None:
        words = self._state[native.SQUASH] - 1
        for i in reversed(range(words)):
            where, old = self._state[native.UNDO + 2 * i], self._state[native.UNDO + 2 * i + 1]
            self.memories[where >> 32].data.view(np.int32)[where & 0xFFFF_FFFF] = old
        self._state[native.SQUASH] = self._state[native.LINKED] = 0
        assert self._undo_registers is not None
        for i in range(1, 32):
            self.uc.reg_write(rv.UC_RISCV_REG_X0 + i, self._undo_registers[i - 1])
        self.pc = self._undo_registers[31]

    def forget_blocks(self) -> None:
        """Code in RAM has changed (fence.i): count its blocks anew."""
        self.hooks.forget_blocks()

    def pass_time(self, cycle: int) -> None:
        """Nothing runs until ``cycle``."""
        self.skipped_cycles += max(cycle - self.cycles, 0)
        self._state[native.CYCLES] = max(cycle, self.cycles)
        self.clock.sync(self.cycles)

    def fail(self, error: BaseException) -> int:
        """Stop at this instruction, with nothing behind it done, and raise ``error`` from ``run``."""
        if isinstance(error, BusError):
            error = self.stop_error(error.what, error.why, error.next_step)
        if self._error is None:
            self._error = error
        self._begin_squash()
        return 0

    # -- exceptions ---------------------------------------------------------------------------------

    def _take_pending_trap(self) -> tuple[int, int, int]:
        assert self._trap is not None
        trap, self._trap = self._trap, None
        return trap

    def _on_misaligned(self, address: int, kind: int) -> int:
        self._begin_squash()
        assert self._undo_registers is not None
        cause = 6 if kind == uc_const.UC_MEM_WRITE else 4
        self._trap = (cause, self._undo_registers[31], address)
        return 0

    def _on_exception(self, uc: Uc, number: int, user: object) -> None:
        # Unicorn has moved pc behind the instruction, by 4 whatever its length.
        pc = uc.reg_read(rv.UC_RISCV_REG_PC) - 4
        if not self._state[native.SQUASH]:
            self._trap = (11 if number == 8 else number, pc, self.instruction(pc) if number == 2 else 0)
        uc.emu_stop()

    def _on_invalid(self, uc: Uc, user: object) -> bool:
        pc = uc.reg_read(rv.UC_RISCV_REG_PC)
        word = self.instruction(pc)
        breakpoint_ = word == 0x0010_0073 or word & 0xFFFF == 0x9002
        if not self._state[native.SQUASH]:
            self._trap = (3, pc, 0) if breakpoint_ else (2, pc, word)
        return False

    def read_half(self, address: int) -> int:
        """16 bits of memory; 0 where none is."""
        for memory in self.memories:
            offset = address - memory.base
            if 0 <= offset < len(memory.data) - 1:
                return int(memory.data[offset]) | int(memory.data[offset + 1]) << 8
        return 0

    def memory_at(self, address: int) -> Memory | None:
        """The memory that holds ``address``."""
        return next((m for m in self.memories if m.base <= address < m.base + len(m.data)), None)

    def instruction(self, pc: int) -> int:
        """The instruction at ``pc``; 0 where there is no memory."""
        for memory in self.memories:
            if memory.base <= pc < memory.base + len(memory.data) - 3:
                word = int.from_bytes(memory.data[pc - memory.base :][:4].tobytes(), "little")
                return word if word & 3 == 3 else word & 0xFFFF
        return 0

    def _on_bad_access(self, uc: Uc, kind: int, address: int, size: int, value: int, user: object) -> bool:
        if self._state[native.SQUASH]:
            return False
        cause = {
            uc_const.UC_MEM_READ_UNMAPPED: LOAD_FAULT,
            uc_const.UC_MEM_WRITE_UNMAPPED: STORE_FAULT,
            uc_const.UC_MEM_WRITE_PROT: STORE_FAULT,
        }.get(kind, FETCH_FAULT)
        pc = address if cause == FETCH_FAULT else uc.reg_read(rv.UC_RISCV_REG_PC)
        self._trap = (cause, pc, address)
        return False

    def stop_error(self, what: str, why: str | None = None, next_step: str | None = None) -> VirtualBoardError:
        """The error for a stop at the instruction under way."""
        return VirtualBoardError(
            what, where=f"{self.where()} ({self.firmware.path.name})", why=why, next_step=next_step
        )
