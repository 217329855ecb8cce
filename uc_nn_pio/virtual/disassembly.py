"""Names an instruction in messages: mnemonic and operands of RV32IMAC, or its hexadecimal digits and its class."""

from __future__ import annotations

REGISTERS = (
    "zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6"
).split()
LOADS = {0: "lb", 1: "lh", 2: "lw", 4: "lbu", 5: "lhu"}
STORES = {0: "sb", 1: "sh", 2: "sw"}
BRANCHES = {0: "beq", 1: "bne", 4: "blt", 5: "bge", 6: "bltu", 7: "bgeu"}
IMMEDIATES = {0: "addi", 2: "slti", 3: "sltiu", 4: "xori", 6: "ori", 7: "andi"}
OPERATIONS = {
    0x00: ("add", "sll", "slt", "sltu", "xor", "srl", "or", "and"),
    0x01: ("mul", "mulh", "mulhsu", "mulhu", "div", "divu", "rem", "remu"),
    0x20: ("sub", None, None, None, None, "sra", None, None),
}
ATOMICS = {0: "amoadd", 1: "amoswap", 2: "lr", 3: "sc", 4: "amoxor", 8: "amoor", 12: "amoand", 16: "amomin",
           20: "amomax", 24: "amominu", 28: "amomaxu"}  # fmt: skip
CSRS = {1: "csrrw", 2: "csrrs", 3: "csrrc", 5: "csrrwi", 6: "csrrsi", 7: "csrrci"}
SYSTEM = {0x0000_0073: "ecall", 0x0010_0073: "ebreak", 0x3020_0073: "mret", 0x1050_0073: "wfi", 0x1000_0073: "sret"}
COMPRESSED = {(0, 2): "lw", (0, 6): "sw", (2, 2): "lw", (2, 6): "sw"}
FLOATS = {0x07: "a floating-point load", 0x27: "a floating-point store", 0x53: "floating point",
          0x43: "floating point", 0x47: "floating point", 0x4B: "floating point", 0x4F: "floating point"}  # fmt: skip


def signed(value: int, bits: int) -> int:
    """The value of a field of so many bits in two's complement."""
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


def disassemble(word: int) -> str:
    """``lw a0, 16(a5)``; what has no name here is given as ``0x...``, with its class where that helps."""
    text = _full(word) if word & 3 == 3 else _compressed(word & 0xFFFF)
    return text or f"0x{word:08X}" if word & 3 == 3 else text or f"0x{word & 0xFFFF:04X}"


def _full(word: int) -> str | None:
    opcode, funct3, funct7 = word & 0x7F, word >> 12 & 7, word >> 25
    rd, rs1, rs2 = (REGISTERS[word >> shift & 31] for shift in (7, 15, 20))
    immediate = signed(word >> 20, 12)
    if word in SYSTEM:
        return SYSTEM[word]
    if word == 0xFFFF_FFFF:
        return "0xFFFFFFFF (erased flash)"
    if opcode == 0x03 and funct3 in LOADS:
        return f"{LOADS[funct3]} {rd}, {immediate}({rs1})"
    if opcode == 0x23 and funct3 in STORES:
        return f"{STORES[funct3]} {rs2}, {signed(funct7 << 5 | word >> 7 & 31, 12)}({rs1})"
    if opcode == 0x2F and funct3 == 2 and word >> 27 in ATOMICS:
        return f"{ATOMICS[word >> 27]}.w {rd}, {rs2}, ({rs1})"
    if opcode == 0x13 and funct3 in IMMEDIATES:
        return f"{IMMEDIATES[funct3]} {rd}, {rs1}, {immediate}"
    if opcode == 0x33 and funct7 in OPERATIONS and OPERATIONS[funct7][funct3]:
        return f"{OPERATIONS[funct7][funct3]} {rd}, {rs1}, {rs2}"
    if opcode == 0x63 and funct3 in BRANCHES:
        return f"{BRANCHES[funct3]} {rs1}, {rs2}, ..."
    if opcode == 0x67 and funct3 == 0:
        return f"jalr {rd}, {immediate}({rs1})"
    if opcode == 0x6F:
        return f"jal {rd}, ..."
    if opcode == 0x73 and funct3 in CSRS:
        source = str(word >> 15 & 31) if funct3 & 4 else rs1
        return f"{CSRS[funct3]} {rd}, 0x{word >> 20:03X}, {source}"
    if opcode in FLOATS:
        return f"0x{word:08X} ({FLOATS[opcode]}: this core has none; compile with -march=rv32imac -mabi=ilp32)"
    return None


def _compressed(half: int) -> str | None:
    quadrant, funct3 = half & 3, half >> 13
    if half == 0:
        return "0x0000 (zeros: no code)"
    if half == 0x9002:
        return "c.ebreak"
    if half == 0xFFFF:
        return "0xFFFF (erased flash)"
    if (quadrant, funct3) in COMPRESSED:
        name = COMPRESSED[quadrant, funct3]
        if quadrant == 0:
            offset = (half >> 6 & 1) << 2 | (half >> 10 & 7) << 3 | (half >> 5 & 1) << 6
            return f"c.{name} {REGISTERS[8 + (half >> 2 & 7)]}, {offset}({REGISTERS[8 + (half >> 7 & 7)]})"
        if name == "lw":
            offset = (half >> 4 & 7) << 2 | (half >> 12 & 1) << 5 | (half >> 2 & 3) << 6
            return f"c.lwsp {REGISTERS[half >> 7 & 31]}, {offset}(sp)"
        offset = (half >> 9 & 15) << 2 | (half >> 7 & 3) << 6
        return f"c.swsp {REGISTERS[half >> 2 & 31]}, {offset}(sp)"
    if quadrant == 2 and funct3 == 4 and half >> 2 & 31 == 0 and half >> 7 & 31:
        return f"c.{'jalr' if half >> 12 & 1 else 'jr'} {REGISTERS[half >> 7 & 31]}"
    if (quadrant, funct3) in ((0, 1), (0, 3), (0, 5), (0, 7), (2, 1), (2, 3), (2, 5), (2, 7)):
        return f"0x{half:04X} (a compressed floating-point load or store: this core has none)"
    return None
