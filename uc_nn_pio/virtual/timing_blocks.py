"""The schedule of one basic block: when each instruction issues if nothing from outside makes it wait.

In order, one a cycle; an instruction waits until the registers that it reads or writes are there (read-after-write and
write-after-write interlocks) and, for a multiplication or division, until the unit is free. Loads are scheduled as from
RAM; what a load from flash or a register takes longer is added when the address is known (``timing_core.py``).

Instruction formats: The RISC-V Instruction Set Manual, volume I, chapters 2, 7, 8 and 16 (RV32IMAC).
"""

from __future__ import annotations

from dataclasses import dataclass

from uc_nn_pio.virtual.timing import CycleModel

# How a block ends.
FALL, BRANCH, JUMP, RETURN, FLUSH = range(5)
CALL = 8  # flag: it writes the return address
INDIRECT = 16  # flag: the target is in a register
# What an entry of ``Block.operations`` is.
LOAD, STORE, DIVIDE = range(3)
UNIT = 32  # the multiplier and divider, as a register
NEVER = 255  # later than the block's end, or than can be told


@dataclass(frozen=True)
class Instruction:
    """One instruction: ``reads`` and ``writes`` are registers, 0 for none; ``kind`` is a word of this file."""

    kind: str
    size: int
    reads: tuple[int, ...] = ()
    writes: int = 0
    offset: int = 0  # of a branch or jump; what is added to the stack pointer


@dataclass(frozen=True)
class Operation:
    """A load, store or division. ``remaining``: cycles from its issue to the block's end; ``slack``: from its issue to
    the first instruction that waits for it (``NEVER``: none in this block)."""

    kind: int
    register: int
    remaining: int
    slack: int


@dataclass(frozen=True)
class Block:
    """``first_use``: cycles until each register, and the unit, is first asked for; ``pending``: (register, cycles) of
    results that come after the end; ``target`` and ``branch`` are addresses; ``stack``: 0 if sp is not
    written, otherwise 1 + the bytes that it was below its last value in the block."""

    instructions: int
    cycles: int
    operations: tuple[Operation, ...]
    first_use: tuple[int, ...]
    pending: tuple[tuple[int, int], ...]
    end: int
    branch: int
    target: int
    stack: int


def schedule(code: bytes, address: int, model: CycleModel) -> Block:
    """The schedule of the instructions in ``code``, which lie at ``address`` and are one basic block."""
    latency = {
        "load": model.load_word, "load_byte": model.load_byte, "csr": model.csr, "mul": model.mul, "div": model.div[0],
        "atomic": model.load_word,
    }  # fmt: skip
    ready = [0] * 33
    first_use = [NEVER] * 33
    issued: list[tuple[int, Instruction, int]] = []  # time, instruction, its address
    time, at = 0, 0
    while at < len(code):
        instruction = decode(int.from_bytes(code[at : at + 4].ljust(4, b"\0"), "little"))
        unit = instruction.kind in ("mul", "div")
        asks = [*(r for r in (*instruction.reads, instruction.writes) if r), *([UNIT] if unit else [])]
        time = max([time, *(ready[r] for r in asks)])
        for register in asks:
            first_use[register] = min(first_use[register], time)
        done = time + latency.get(instruction.kind, 1)
        if instruction.writes:
            ready[instruction.writes] = done
        if unit:
            ready[UNIT] = done
        issued.append((time, instruction, address + at))
        time += 1
        at += instruction.size
    pending = sorted(((r, ready[r] - time) for r in range(33) if ready[r] > time), key=lambda item: -item[1])[:3]
    end, branch, target = _ending(issued[-1][1], issued[-1][2]) if issued else (FALL, address, 0)
    return Block(
        instructions=len(issued), cycles=time, operations=tuple(_operations(issued, time)), first_use=tuple(first_use),
        pending=tuple(pending), end=end, branch=branch, target=target,
        stack=_stack([instruction for _, instruction, _ in issued if instruction.writes == 2]),
    )  # fmt: skip


def _operations(issued: list[tuple[int, Instruction, int]], end: int) -> list[Operation]:
    found = []
    for index, (time, instruction, _) in enumerate(issued):
        kinds = {
            "load": [LOAD], "load_byte": [LOAD], "store": [STORE], "div": [DIVIDE], "atomic": [LOAD, STORE],
        }.get(instruction.kind, [])  # fmt: skip
        for kind in kinds:
            slack = NEVER if kind == STORE else _slack(issued, index)
            found.append(Operation(kind, instruction.writes, min(end - time, 0xFFFF), slack))
    return found


def _stack(writes: list[Instruction]) -> int:
    below, lowest = 0, 0
    for instruction in reversed(writes):
        if instruction.offset == 0:
            break  # set, not moved: half an address (auipc, lui) perhaps, and what it was before says nothing
        lowest = max(lowest, below)
        below += instruction.offset
    return 1 + lowest if writes else 0


def _slack(issued: list[tuple[int, Instruction, int]], index: int) -> int:
    start, instruction, _ = issued[index]
    for time, later, _ in issued[index + 1 :]:
        waits = instruction.writes and instruction.writes in (*later.reads, later.writes)
        if waits or (instruction.kind == "div" and later.kind in ("mul", "div")):
            return min(time - start, NEVER - 1)
    return NEVER


def _ending(last: Instruction, address: int) -> tuple[int, int, int]:
    if last.kind == "branch":
        return BRANCH, address, address + last.offset & 0xFFFF_FFFF
    if last.kind == "jump":
        return JUMP | (CALL if last.writes in (1, 5) else 0), address, address + last.offset & 0xFFFF_FFFF
    if last.kind == "indirect":
        if last.writes in (1, 5):
            return JUMP | CALL | INDIRECT, address, 0
        return (RETURN if last.reads[0] in (1, 5) else JUMP) | INDIRECT, address, 0
    return (FLUSH if last.kind == "flush" else FALL), address, 0


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


def decode(word: int) -> Instruction:
    """Decode the instruction in the low bits of ``word``; what is none counts as one that does nothing."""
    return _decode_word(word) if word & 3 == 3 else _decode_half(word & 0xFFFF)


def _decode_word(word: int) -> Instruction:
    opcode, function = word & 0x7F, word >> 12 & 7
    rd, rs1, rs2 = word >> 7 & 31, word >> 15 & 31, word >> 20 & 31
    if opcode == 0x03:
        return Instruction("load" if function == 2 else "load_byte", 4, (rs1,), rd)
    if opcode == 0x23:
        return Instruction("store", 4, (rs1, rs2))
    if opcode == 0x63:
        offset = word >> 31 << 12 | (word >> 7 & 1) << 11 | (word >> 25 & 0x3F) << 5 | (word >> 8 & 0xF) << 1
        return Instruction("branch", 4, (rs1, rs2), 0, _signed(offset, 13))
    if opcode == 0x6F:
        offset = word >> 31 << 20 | (word >> 12 & 0xFF) << 12 | (word >> 20 & 1) << 11 | (word >> 21 & 0x3FF) << 1
        return Instruction("jump", 4, (), rd, _signed(offset, 21))
    if opcode == 0x67:
        return Instruction("indirect", 4, (rs1,), rd)
    if opcode == 0x33:
        kind = ("mul" if function < 4 else "div") if word >> 25 == 1 else "alu"
        return Instruction(kind, 4, (rs1, rs2), rd)
    if opcode == 0x13:
        moved = _signed(word >> 20, 12) if rd == rs1 == 2 and function == 0 else 0
        return Instruction("alu", 4, (rs1,), rd, moved)
    if opcode in (0x37, 0x17):
        return Instruction("alu", 4, (), rd)
    if opcode == 0x73 and function:
        return Instruction("csr", 4, (rs1,) if function < 4 else (), rd)
    if opcode == 0x2F:
        kind = {2: "load", 3: "store"}.get(word >> 27, "atomic")
        return Instruction(kind, 4, (rs1,) if kind == "load" else (rs1, rs2), rd)
    if word in (0x3020_0073, 0x0000_100F):  # mret, fence.i
        return Instruction("flush", 4)
    return Instruction("alu", 4)


def _decode_half(half: int) -> Instruction:
    quadrant, function = half & 3, half >> 13
    rd, rs2 = half >> 7 & 31, half >> 2 & 31
    low, high = 8 + (half >> 2 & 7), 8 + (half >> 7 & 7)  # rd' or rs2', and rs1'
    if quadrant == 0:
        kind = {0: "alu", 2: "load", 6: "store"}.get(function, "other")
        if kind == "store":
            return Instruction(kind, 2, (high, low))
        return Instruction(kind, 2, (2,) if function == 0 else (high,), low)
    if quadrant == 2:
        return _decode_quadrant_2(half, function, rd, rs2)
    if function in (1, 5):
        b = [half >> n & 1 for n in range(16)]
        offset = (
            b[12] << 11 | b[11] << 4 | b[10] << 9 | b[9] << 8 | b[8] << 10 | b[7] << 6 | b[6] << 7
            | b[5] << 3 | b[4] << 2 | b[3] << 1 | b[2] << 5
        )  # fmt: skip
        return Instruction("jump", 2, (), 1 if function == 1 else 0, _signed(offset, 12))
    if function in (6, 7):
        offset = (
            (half >> 12 & 1) << 8 | (half >> 10 & 3) << 3 | (half >> 5 & 3) << 6 | (half >> 3 & 3) << 1
            | (half >> 2 & 1) << 5
        )  # fmt: skip
        return Instruction("branch", 2, (high,), 0, _signed(offset, 9))
    if function == 4:
        return Instruction("alu", 2, (high, low) if half >> 10 & 3 == 3 else (high,), high)
    moved = _moved_stack(half, function) if rd == 2 else 0
    return Instruction("alu", 2, (rd,) if function == 0 or (function == 3 and rd == 2) else (), rd, moved)


def _moved_stack(half: int, function: int) -> int:
    """What c.addi and c.addi16sp add to the stack pointer."""
    if function == 0:
        return _signed((half >> 12 & 1) << 5 | half >> 2 & 31, 6)
    if function == 3:
        b = [half >> n & 1 for n in range(16)]
        return _signed(b[12] << 9 | b[4] << 8 | b[3] << 7 | b[5] << 6 | b[2] << 5 | b[6] << 4, 10)
    return 0


def _decode_quadrant_2(half: int, function: int, rd: int, rs2: int) -> Instruction:
    if function == 0:
        return Instruction("alu", 2, (rd,), rd)
    if function == 2:
        return Instruction("load", 2, (2,), rd)
    if function == 6:
        return Instruction("store", 2, (2, rs2))
    if function == 4 and rs2:
        return Instruction("alu", 2, (rd, rs2) if half >> 12 & 1 else (rs2,), rd)
    if function == 4 and rd:
        return Instruction("indirect", 2, (rd,), 1 if half >> 12 & 1 else 0)
    return Instruction("alu", 2)  # ebreak, or no instruction
