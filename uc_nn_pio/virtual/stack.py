"""Notices a stack that has grown out of its region into what lies below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uc_nn_pio.virtual import timing_state

if TYPE_CHECKING:
    from uc_nn_pio.virtual.cpu import Cpu

BOTTOMS = ("__stack_bottom", "metal_segment_stack_begin", "__stack_limit", "__StackLimit")
ENDS = ("_end", "end", "__bss_end", "_bss_end", "__bss_end__", "__BSS_END__")


class StackWatch:
    """Compares the lowest stack pointer so far with the foot of the stack that the ELF names.

    The foot is the symbol of the linker script, else the end of .bss where the stack lies above it. Firmware that keeps
    task stacks in .bss is remarked once, so this is a remark and no stop. A stack at the foot of RAM needs no remark:
    the next store is an access fault.
    """

    def __init__(self, cpu: Cpu) -> None:
        self._cpu = cpu
        self._said = False
        self._foot = self._find()

    def _find(self) -> tuple[str, int] | None:
        memories = [memory for memory in self._cpu.memories if memory.writable]
        for names in (BOTTOMS, ENDS):
            for name in names:
                address = self._cpu.firmware.addresses.get(name)
                if address is not None and any(m.base < address < m.base + len(m.data) for m in memories):
                    return name, address
                if address is not None and names is BOTTOMS:
                    return None
        return None

    def look(self) -> None:
        """Between slices: remark the first time that the stack was too deep."""
        if self._said or self._foot is None:
            return
        state = self._cpu.state
        name, foot = self._foot
        low, high = int(state[timing_state.STACK_LOW]), int(state[timing_state.STACK_HIGH])
        if high > foot > low:
            self._said = True
            self._cpu.reports.add(
                "stack",
                f"the stack pointer was 0x{low:08X}, {foot - low} bytes below the stack's foot "
                f"({name}, 0x{foot:08X}): data there are overwritten; give the stack more room, or use less of it",
            )
