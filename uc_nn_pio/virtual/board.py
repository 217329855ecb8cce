"""The virtual HiFive1: chip, camera and UART put together, and the run loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uc_nn_pio.boards import Board, load_board
from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.virtual.bus import Bus
from uc_nn_pio.virtual.camera.arduchip import ArduChip
from uc_nn_pio.virtual.camera.link import CameraLink
from uc_nn_pio.virtual.camera.ov2640 import ADDRESS, Ov2640
from uc_nn_pio.virtual.camera.sccb import SccbSlave
from uc_nn_pio.virtual.clock import Clock
from uc_nn_pio.virtual.cpu import Cpu, Memory
from uc_nn_pio.virtual.faults import Fault, Faults
from uc_nn_pio.virtual.firmware import Firmware, load_firmware
from uc_nn_pio.virtual.layers import LayerWatch
from uc_nn_pio.virtual.peripherals import plic
from uc_nn_pio.virtual.peripherals.aon import Aon
from uc_nn_pio.virtual.peripherals.clint import Clint
from uc_nn_pio.virtual.peripherals.gpio import Gpio
from uc_nn_pio.virtual.peripherals.prci import Prci
from uc_nn_pio.virtual.peripherals.pwm import Pwm
from uc_nn_pio.virtual.peripherals.qspi0 import Qspi0
from uc_nn_pio.virtual.peripherals.spi import Spi
from uc_nn_pio.virtual.peripherals.uart import Uart
from uc_nn_pio.virtual.profile import FunctionCounts, MemoryUse, functions, memory_use
from uc_nn_pio.virtual.reports import Reports
from uc_nn_pio.virtual.scene import Item, Player, Scene
from uc_nn_pio.virtual.stack import StackWatch
from uc_nn_pio.virtual.stall import StallLimit, StallWatch
from uc_nn_pio.virtual.timing import PLAIN_NOTICE, CycleModel
from uc_nn_pio.virtual.uart_link import UartLink

SLICE_CYCLES = 1_000_000  # how long the CPU runs before the outside is looked at
UNLIMITED = 1 << 62
GRAY = Item("mid-gray", np.full((64, 64), 128, np.uint8))
MEIP = 1 << 11  # external interrupt, in mip
GARBLE = 0x5A  # how bytes of a flash that does not understand differ from what lies in it
LEFTOVER_WATCHDOG_TICKS = 1638  # 50 ms, for a warm start


@dataclass(frozen=True)
class RunResult:
    """How a run ended, and the board's counts since power-up.

    ``reason``: ``until``, ``frames``, ``scene`` (it is over), ``instructions``, ``seconds``, ``halted`` (a debugger's
    breakpoint) or ``stopped``.
    ``instructions`` were executed; ``skipped_*`` are those of busy-waits over which time jumped; ``cycles`` has both.
    """

    reason: str
    instructions: int
    skipped_instructions: int
    cycles: int
    skipped_cycles: int
    flash_reads: int
    flash_read_cycles: int
    seconds: float
    frames: int
    icache_misses: int = 0
    icache_cycles: int = 0
    mispredicts: int = 0
    mmio_accesses: int = 0
    mmio_cycles: int = 0
    replays: int = 0


class VirtualBoard:
    """A HiFive1 with an ArduCAM Mini 2MP, running one firmware.

    Args:
        elf: the firmware.
        board: a board, or its name.
        scene: what the camera sees: a :class:`Scene`, or a path for ``Scene.load``; mid-gray if not given.
        uart: other end of UART0; all that the board prints is in ``output`` besides.
        camera: False: nothing is plugged in.
        module: ``mini`` (first Mini 2MP: one dummy byte after 0x3C) or ``plus``.
        seed: for the random content of RAM at power-up.
        warm: enter as after an upload on the real board: PLL at 352 MHz, UART divisor wrong, watchdog armed, QSPI0
            divider changed, interrupt enables left over.
        faults: what goes wrong, as texts (``unplugged@1.5``) or :class:`Fault` values; ``board.faults`` at run time.
        stall_limit: how long the firmware may be silent: ``10s``, ``500M`` instructions, ``off``; see ``stall.py``.
        poll_skip: False runs every round of every busy-wait; same output, same cycles, slower.
        compiled: False counts in plain Python: same counts, some hundred times slower.

    Raises:
        VirtualBoardError: the ELF is not for this chip or does not fit its memory.
    """

    def __init__(
        self,
        elf: Path | str,
        board: Board | str = "hifive1_virtual",
        scene: Scene | Path | str | None = None,
        uart: UartLink | None = None,
        *,
        camera: bool = True,
        module: str = "mini",
        seed: int = 0,
        warm: bool = False,
        faults: Sequence[Fault | str] = (),
        stall_limit: StallLimit | str | None = None,
        poll_skip: bool = True,
        compiled: bool = True,
    ) -> None:
        self.board = load_board(board) if isinstance(board, str) else board
        self.firmware = load_firmware(elf)
        self.scene = scene if isinstance(scene, Scene) else Scene([GRAY]) if scene is None else Scene.load(scene)
        self.player = Player(self.scene)
        self.uart = uart
        self.output = bytearray()
        self.frames: list[dict[str, Any]] = []
        self.on_frame: Callable[[dict[str, Any]], None] = lambda record: None
        self._until: bytes | None = None
        self._until_from = 0
        self._max_frames: int | None = None
        self._reason: str | None = None

        self.clock = Clock(core_hz=1)
        self.reports = Reports(self.clock.seconds, lambda: self.cpu.where())
        memories = _memories(self.board, self.firmware, seed)
        self._make_peripherals()
        self.cpu = Cpu(
            *(memories, self.bus, self.clock, self.firmware, self.reports, CycleModel.of(self.board)),
            poll_skip=poll_skip,
            compiled=compiled,
        )
        self.layers = LayerWatch(self.cpu, self.cpu.hooks.table.counts)
        self.cpu.interrupts = self._pending_interrupts
        self.cpu.outside_may_wake = lambda: self.uart is not None and self.uart0.may_interrupt_on_receive()
        self.clint.on_change = self.plic.on_change = self.cpu.interrupts_changed
        limit = StallLimit.of(stall_limit) if isinstance(stall_limit, str) else stall_limit or StallLimit()
        self.stall = StallWatch(self.cpu, limit)
        self.stack = StackWatch(self.cpu)
        self._flash_garbled = False
        self.qspi0.on_change = self._flash_changed
        self.qspi0.flash_reads = lambda: self.cpu.memory_counts()[0] + self.cpu.cycle_counts()["icache_misses"]
        self.clock.on_core_hz = self.qspi0.check_clock
        self.faults = Faults(self, seed, self._reset)
        self.camera_link: CameraLink | None = None
        self.camera = self._plug_in_camera(module) if camera else None
        if warm:
            self._leave_traces()
        for fault in faults:
            self.faults.schedule(fault)

    # -- parts -----------------------------------------------------------------------------------------------------

    def _make_peripherals(self) -> None:
        clock, reports, clocks = self.clock, self.reports, self.board.clocks
        rtc_hz = clocks["rtc_hz"]
        self.prci = Prci(clock, reports, clocks["crystal_hz"], clocks["core_max_hz"])
        self.clint = Clint(clock, reports, rtc_hz)
        self.aon = Aon(clock, reports, rtc_hz, self._reset)
        self.gpio = Gpio(clock, reports)
        self.uart0 = Uart("UART0", 0x1001_3000, clock, reports, self.gpio, (16, 17))
        self.uart1 = Uart("UART1", 0x1002_3000, clock, reports, self.gpio, (24, 25))
        self.uart0.on_byte = self._printed
        self.qspi0 = Qspi0(
            *(clock, reports, self.gpio, lambda: self._in_flash(self.cpu.current_pc())), self._read_flash
        )
        self.spi1 = Spi(
            "SPI1", 0x1002_4000, clock, reports, self.gpio, cs_pins={0: 2, 1: 8, 2: 9, 3: 10}, data_pins=(3, 4, 5)
        )
        self.spi2 = Spi("SPI2", 0x1003_4000, clock, reports, self.gpio, cs_pins={0: 26}, data_pins=(27, 28, 29))
        bases = (0x1001_5000, 8), (0x1002_5000, 16), (0x1003_5000, 16)  # PWM0 compares 8 bits
        self.pwms = [Pwm(f"PWM{i}", base, bits, clock, reports) for i, (base, bits) in enumerate(bases)]
        self.plic = plic.Plic(clock, reports)
        for peripheral, first, lines in (
            *((self.aon, plic.WATCHDOG, 2), (self.uart0, plic.UART0, 1), (self.uart1, plic.UART1, 1)),
            *((self.qspi0, plic.QSPI0, 1), (self.spi1, plic.SPI1, 1), (self.spi2, plic.SPI2, 1)),
            *((self.gpio, plic.GPIO, 32), *zip(self.pwms, (plic.PWM0, plic.PWM1, plic.PWM2), (4, 4, 4), strict=True)),
        ):
            self.plic.connect(peripheral, first, lines)
        self.bus = Bus(
            [
                *(self.prci, self.clint, self.aon, self.gpio, self.uart0, self.uart1),
                *(self.qspi0, self.spi1, self.spi2, *self.pwms, self.plic),
            ]
        )

    def _pending_interrupts(self) -> int:
        """Bits of mip."""
        return self.clint.pending() | (MEIP if self.plic.interrupting else 0)

    def _read_flash(self, offset: int) -> int:
        flash = self.cpu.memories[0].data
        return int(flash[offset % len(flash)])

    def _plug_in_camera(self, module: str) -> ArduChip:
        pins = self.board.pins
        sensor = Ov2640(self.clock, self.reports, lambda *view: self.player.see(self.clock.seconds(), *view))
        chip = ArduChip(self.clock, self.reports, sensor, module)
        chip.on_frame_read = self._frame_read
        chip.on_read_start = self._read_starts
        sda, scl, cs = pins["sccb_sda"], pins["sccb_scl"], pins["camera_cs"]
        link = CameraLink(self.faults, chip, sensor, lambda low: self.gpio.drive(sda, "the camera", 0 if low else None))
        link.on_lines = SccbSlave(ADDRESS, link, link.pull_sda).lines
        self.gpio.watch(1 << sda | 1 << scl, lambda levels: link.lines(levels >> scl & 1, levels >> sda & 1))
        self.gpio.watch(1 << cs, lambda levels: link.select(not levels >> cs & 1))
        link.select(not self.gpio.level(cs))
        self.spi1.attach(link)
        self.camera_link = link
        return chip

    def _leave_traces(self) -> None:
        """What an earlier firmware left, since an upload does not reset the chip."""
        self.prci.set_pll(r=2, f=88, q=2)
        self.uart0.values.update(div=138, txctrl=1)
        self.gpio.values.update(iof_en=1 << 16 | 1 << 17)
        self.qspi0.values["sckdiv"] = 5
        self.aon.arm(LEFTOVER_WATCHDOG_TICKS)
        self.cpu.set_register("mie", 1 << 3 | 1 << 7 | 1 << 11)

    def _in_flash(self, address: int) -> bool:
        flash = self.board.flash
        start = flash.device_origin if flash.device_origin is not None else flash.origin
        return start <= address < start + (flash.device_size or flash.size)

    def _reset(self) -> None:
        """The watchdog resets the chip; RAM, backup registers and the camera keep what they have."""
        self.bus.reset()
        self.cpu.reset(self.firmware.entry)

    # -- what happens while it runs --------------------------------------------------------------------------------

    def _printed(self, byte: int) -> None:
        byte = self.faults.noisy("uart-noise", byte)
        self.output.append(byte)
        if self.uart is not None:
            self.uart.write(bytes([byte]))
        if self._until and byte == self._until[-1]:
            start = max(self._until_from, len(self.output) - len(self._until))
            if self.output.find(self._until, start) >= 0:
                self._end("until")

    def _frame_read(self, frame: int) -> None:
        item = self.player.seen
        self.player.frame_read(self.clock.seconds())
        record: dict[str, Any] = {"frame": frame, "item": item.name}
        if item.label is not None:
            record["label"] = item.label
        self.frames.append(record)
        self.on_frame(record)

    def _read_starts(self, frame: int) -> None:
        assert self.camera_link is not None
        self.camera_link.frame_starts(frame)
        if self.player.over:
            self._end("scene")
        elif self._max_frames is not None and frame >= self._max_frames:
            self._end("frames")

    def _end(self, reason: str) -> None:
        self._reason = self._reason or reason
        self.cpu.stop_soon()

    # -- the door --------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """All that UART0 printed, as text."""
        return self.output.decode("utf-8", "replace")

    @property
    def seconds(self) -> float:
        """Emulated time since power-up."""
        return self.clock.seconds(max(self.cpu.cycles, self.clock.now))

    def stop(self) -> None:
        """End a run soon; may be called from another thread or a signal handler."""
        self._end("stopped")

    def run(
        self,
        until: str | bytes | Callable[[VirtualBoard], bool] | None = None,
        *,
        max_instructions: int | None = None,
        max_seconds: float | None = None,
        max_frames: int | None = None,
        on_slice: Callable[[VirtualBoard], None] | None = None,
    ) -> RunResult:
        """Run until something ends it; call again to go on.

        Args:
            until: text on the UART (what was printed before this call does not count), or a function asked every
                1,000,000 cycles.
            max_instructions: executed in this run, skipped ones apart.
            max_seconds: of emulated time in this run.
            max_frames: end when the firmware begins to read the frame after this many (counted since power-up), so that
                it has had its say about the last one.
            on_slice: called every 1,000,000 cycles; may call ``stop``.

        Raises:
            VirtualBoardError: the firmware did what the chip cannot do.
        """
        self._until = until.encode() if isinstance(until, str) else until if isinstance(until, bytes) else None
        self._until_from = len(self.output)
        self._max_frames = max_frames
        self._reason = None
        if not self.cpu.hooks.compiled:
            self.reports.add("speed", PLAIN_NOTICE)
        instruction_limit = UNLIMITED if max_instructions is None else self.cpu.instructions + max_instructions
        end_ps = UNLIMITED if max_seconds is None else self.clock.ps(self.cpu.cycles) + int(max_seconds * 10**12)
        while self._reason is None:
            stop_at = self.cpu.cycles + SLICE_CYCLES
            if end_ps != UNLIMITED:
                stop_at = min(stop_at, self.clock.cycle_at(end_ps))
            if self.qspi0.unreadable() or self.qspi0.unsettled:
                stop_at = self.cpu.cycles + 1  # block by block, to see the way back to flash
            self.cpu.run(stop_at, instruction_limit)
            self._check_flash()
            self.stack.look()
            self._look_outside(on_slice)
            if self._reason is None:
                self.stall.look(end_ps)
            if self.cpu.halted:
                self._end("halted")
            elif callable(until) and until(self):
                self._end("until")
            elif self.cpu.instructions >= instruction_limit:
                self._end("instructions")
            elif self.clock.ps(self.cpu.cycles) >= end_ps:
                self._end("seconds")
        return self.result(self._reason)

    def _flash_changed(self) -> None:
        """QSPI0 or the flash's mode has changed: reads of a flash that does not understand give other bytes."""
        if self.qspi0.garbles != self._flash_garbled:
            self._flash_garbled = not self._flash_garbled
            flash = self.cpu.memories[0].data
            np.bitwise_xor(flash, GARBLE, out=flash)
        if self.qspi0.unreadable() or self.qspi0.unsettled:
            self.cpu.stop_soon()

    def _check_flash(self) -> None:
        self._flash_changed()
        problem = self.qspi0.unreadable()
        if problem and self._in_flash(self.cpu.pc):
            back = "set QSPI0 back (fctrl 1, ffmt 0x00030007) before the code in RAM returns"
            if self.qspi0.continuous is not None:
                back = "let ffmt.pad_code be 0x00: on the board only cutting the flash's supply ends this mode"
            raise self.cpu.stop_error(
                "code runs from flash that cannot be read", why=f"QSPI0: {problem}", next_step=back
            )

    def _look_outside(self, on_slice: Callable[[VirtualBoard], None] | None) -> None:
        if self.uart is not None:
            data = self.uart.read()
            if data:
                self.uart0.receive(bytes(self.faults.noisy("uart-noise", byte) for byte in data))
        if on_slice is not None:
            on_slice(self)

    def result(self, reason: str = "stopped") -> RunResult:
        """Counts so far."""
        polls, counts = self.cpu.polls, self.cpu.memory_counts()
        return RunResult(
            reason=reason,
            instructions=self.cpu.instructions,
            skipped_instructions=polls.skipped_instructions if polls else 0,
            cycles=self.cpu.cycles,
            skipped_cycles=self.cpu.skipped_cycles + (polls.skipped_cycles if polls else 0),
            flash_reads=counts[0],
            flash_read_cycles=counts[1],
            seconds=self.seconds,
            frames=len(self.frames),
            **self.cpu.cycle_counts(),
        )

    def profile(self) -> list[FunctionCounts]:
        """Counts by function since power-up, the most cycles first."""
        return functions(self.cpu)

    def memory_use(self) -> MemoryUse:
        """RAM ever stored to, and how deep the stack went."""
        return memory_use(self.cpu)


def _memories(board: Board, firmware: Firmware, seed: int) -> list[Memory]:
    """Flash with the program in it, RAM (and ITIM) with random content."""
    flash = board.flash
    start = flash.device_origin if flash.device_origin is not None else flash.origin
    memories = [Memory("flash", start, np.full(flash.device_size or flash.size, 0xFF, np.uint8), writable=False)]
    noise = np.random.default_rng(seed)
    for name in ("ram", "itim"):
        region = board.regions.get(name)
        if region is not None:
            content = noise.integers(0, 256, region.size, dtype=np.uint8)
            memories.append(Memory(name, region.origin, content, writable=True))
    for segment in firmware.segments:
        offset = segment.load_address - flash.origin
        if not 0 <= offset <= flash.size - len(segment.data):
            raise VirtualBoardError(
                f"the firmware has {len(segment.data)} bytes at 0x{segment.load_address:08X}, outside user flash",
                where=str(firmware.path),
                why=f"user code lies from 0x{flash.origin:08X} to 0x{flash.end:08X}; below is the bootloader",
                next_step="link for this board: .data too must be loaded from flash (AT> flash)",
            )
        at = segment.load_address - start
        memories[0].data[at : at + len(segment.data)] = np.frombuffer(segment.data, np.uint8)
    return memories
