"""``monitor`` commands of the gdb server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uc_nn_pio.virtual.gdb_target import Target

if TYPE_CHECKING:
    from uc_nn_pio.virtual.debug import Debugger

HELP = """monitor commands of the virtual board:
  reset [halt|init]   reset the chip and stay halted at its first instruction; RAM keeps its content
  halt, init          nothing: whenever gdb has its prompt, the board is halted
  time                emulated time, cycles and instructions since power-up; they stand still while halted
  registers NAME      registers of a peripheral by name (GPIO, UART0, PRCI...); reading them changes nothing
  help                this text
"""


def monitor(command: str, debugger: Debugger, target: Target) -> str:
    """Carry out one command and return what to print."""
    words = command.split() or ["help"]
    board = debugger.board
    if words[0] == "reset" and words[1:] in ([], ["halt"], ["init"]):
        debugger.reset()
        return f"reset: halted at 0x{board.cpu.pc:08x}\n"
    if words in (["halt"], ["init"]):  # PlatformIO begins with init
        return ""
    if words == ["time"]:
        counts = board.result()
        return (
            f"{counts.seconds:.9f} s, {counts.cycles} cycles, {counts.instructions + counts.skipped_instructions} "
            f"instructions ({counts.skipped_instructions} of them in busy-waits that were jumped over)\n"
        )
    if words[0] == "registers":
        return _registers(words[1:], target)
    if words == ["help"]:
        return HELP
    return f"{command.strip()!r} is no monitor command here\n{HELP}"


def _registers(names: list[str], target: Target) -> str:
    peripherals = {peripheral.name: peripheral for peripheral in target.board.bus.peripherals}
    chosen = peripherals.get(names[0].upper()) if len(names) == 1 else None
    if chosen is None:
        return f"name one of: {' '.join(peripherals)}\n"
    lines = []
    for register in chosen.REGISTERS:
        value = target.peek(chosen.base + register.offset)
        text = "not readable" if value is None else f"0x{value:08x}"
        lines.append(f"0x{chosen.base + register.offset:08x}  {register.name:<14} {text}\n")
    return "".join(lines)
