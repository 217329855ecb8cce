"""How many bytes of stack a linked program needs: ``stack_need.py FIRMWARE.elf [BUILD_DIR]``.

The call graph is read from the machine code (RV32IMC), so assembly, libgcc and tail calls are in it, whatever compiler
made them. From the entry on, every path is followed with the bytes that the stack pointer has gone down by; a call adds
what the callee needs. Interrupt handlers (functions with ``mret``) come on top. Where ``BUILD_DIR`` holds files of
``-fstack-usage``, a function counts with the larger of the two figures.

An indirect call may go to any function whose address is taken somewhere, so it counts with the deepest of them. What
has no bound cannot be computed and is said: recursion, alloca and arrays of variable length, stack pointers loaded from
memory. Nothing is assumed about them.

Standard library only: it runs in PlatformIO's own Python, from the folder of generated files.
"""

import os
import struct
import sys

RA, SP, T0, FP = 1, 2, 5, 8
CALLER_SAVED = (1, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31)
MRET = 0x30200073
RUN_COPIES = ("_start", "fe310_flash_set")
"""These jump to code that they have copied to the stack, and that uses none of it."""
FRESH = ("fe310_trap",)
"""Entered with an empty stack, so they need no more than the program and these, whichever is deeper."""
GROWTH = 64  # so often may a deeper path come to the same instruction; a loop that pushes comes for ever


class UnboundedError(Exception):
    """The need cannot be computed; the text says where and why."""


class Image:
    """An ELF32 file: ``functions`` (start, end, name), sorted; ``code`` and ``data`` as (address, bytes)."""

    def __init__(self, path):
        with open(path, "rb") as file:
            raw = file.read()
        if raw[:6] != b"\x7fELF\x01\x01" or struct.unpack_from("<H", raw, 18)[0] != 243:
            raise ValueError("not an ELF file of a 32-bit RISC-V")
        self.entry = struct.unpack_from("<I", raw, 24)[0]
        table = struct.unpack_from("<I", raw, 32)[0]
        size, count = struct.unpack_from("<HH", raw, 46)
        sections = [struct.unpack_from("<10I", raw, table + i * size) for i in range(count)]
        self.code, self.data, symbols = [], [], []
        for _, kind, flags, address, offset, length, link, *_ in sections:
            if kind == 1 and flags & 2:  # PROGBITS, ALLOC
                (self.code if flags & 4 else self.data).append((address, raw[offset : offset + length]))
            elif kind == 2:
                strings = sections[link][4]
                for at in range(offset, offset + length, 16):
                    name, value, bytes_, info = struct.unpack_from("<IIIB", raw, at)
                    if info & 15 == 2 and bytes_:  # FUNC
                        end = raw.index(b"\0", strings + name)
                        symbols.append((value, value + bytes_, raw[strings + name : end].decode("utf-8", "replace")))
        self.functions = sorted(symbols)
        self.entries = {start: name for start, _, name in self.functions}

    def half(self, address):
        """The 16 bits at a code address; ``None`` where there is no code."""
        for start, content in self.code:
            if start <= address <= start + len(content) - 2:
                return struct.unpack_from("<H", content, address - start)[0]
        return None

    def function(self, address):
        """(start, end, name) of the function that holds an address."""
        for start, end, name in self.functions:
            if start <= address < end:
                return start, end, name
        return address, address, f"0x{address:08X}"

    def words_at(self, address):
        """The words of data from an address on, to the end of their section."""
        for start, content in self.data:
            if start <= address < start + len(content) and address % 4 == 0:
                at = address - start
                return struct.unpack_from(f"<{(len(content) - at) // 4}I", content, at)
        return ()

    def data_words(self):
        """Every aligned word of constants and initial data."""
        for _, content in self.data:
            for at in range(0, len(content) - 3, 4):
                yield struct.unpack_from("<I", content, at)[0]


# Instructions --------------------------------------------------------------------------------------------------------
#
# (kind, length, rd, rs, value): kinds are 'addi' (rd = rs + value), 'const' (rd = value; auipc too), 'add' and 'sub'
# (rd = rs +- register value), 'jump', 'branch' (to value), 'call' (to value, link in rd), 'jalr' (to rs + value, link
# in rd), 'mret', 'stop', 'sets' (rd = something), 'none'.


def signed(value, bits):
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


def decode(image, pc):
    low = image.half(pc)
    if low is None:
        return None
    if low & 3 != 3:
        return decode_compressed(low, pc)
    return decode_word(low | (image.half(pc + 2) or 0) << 16, pc)


def decode_word(word, pc):
    opcode, rd, function, rs = word & 0x7F, word >> 7 & 31, word >> 12 & 7, word >> 15 & 31
    immediate = signed(word >> 20, 12)
    if opcode == 0x6F:
        offset = (word >> 31) << 20 | (word >> 12 & 0xFF) << 12 | (word >> 20 & 1) << 11 | (word >> 21 & 0x3FF) << 1
        return "call" if rd else "jump", 4, rd, 0, pc + signed(offset, 21)
    if opcode == 0x63:
        offset = (word >> 31) << 12 | (word >> 7 & 1) << 11 | (word >> 25 & 0x3F) << 5 | (word >> 8 & 15) << 1
        return "branch", 4, 0, 0, pc + signed(offset, 13)
    if opcode == 0x67:
        return "jalr", 4, rd, rs, immediate
    if opcode == 0x37:
        return "const", 4, rd, 0, word & 0xFFFFF000
    if opcode == 0x17:
        return "const", 4, rd, 0, (pc + (word & 0xFFFFF000)) & 0xFFFFFFFF
    if opcode == 0x13 and function == 0:
        return "addi", 4, rd, rs, immediate
    if opcode == 0x33 and function == 0 and word >> 25 in (0, 32):
        return "sub" if word >> 30 else "add", 4, rd, rs, word >> 20 & 31
    if word == MRET:
        return "mret", 4, 0, 0, 0
    return ("none" if opcode in (0x23, 0x0F) else "sets"), 4, rd, 0, 0


def decode_compressed(half, pc):
    quadrant, function, rd = half & 3, half >> 13, half >> 7 & 31
    six = signed((half >> 12 & 1) << 5 | half >> 2 & 31, 6)
    if half == 0:
        return "stop", 2, 0, 0, 0
    if quadrant == 0:
        return ("sets" if function < 4 else "none"), 2, 8 + (half >> 2 & 7), 0, 0
    if quadrant == 1:
        if function in (1, 5):
            bits = ((12, 11), (11, 4), (10, 9), (9, 8), (8, 10), (7, 6), (6, 7), (5, 3), (4, 2), (3, 1), (2, 5))
            offset = sum((half >> source & 1) << target for source, target in bits)
            return "call" if function == 1 else "jump", 2, int(function == 1), 0, pc + signed(offset, 12)
        if function >= 6:
            bits = ((12, 8), (11, 4), (10, 3), (6, 7), (5, 6), (4, 2), (3, 1), (2, 5))
            offset = sum((half >> source & 1) << target for source, target in bits)
            return "branch", 2, 0, 0, pc + signed(offset, 9)
        if function == 0:
            return "addi", 2, rd, rd, six
        if function == 2:
            return "addi", 2, rd, 0, six
        if function == 3 and rd == SP:
            bits = ((12, 9), (6, 4), (5, 6), (4, 8), (3, 7), (2, 5))
            return "addi", 2, SP, SP, signed(sum((half >> source & 1) << target for source, target in bits), 10)
        if function == 3:
            return "const", 2, rd, 0, (six << 12) & 0xFFFFFFFF
        return "sets", 2, 8 + (half >> 7 & 7), 0, 0
    rs = half >> 2 & 31
    if function == 4:
        if rs == 0 and rd == 0:
            return "stop", 2, 0, 0, 0
        if rs == 0:
            return "jalr", 2, half >> 12 & 1, rd, 0
        return ("add", 2, rd, rd, rs) if half >> 12 & 1 else ("addi", 2, rd, rs, 0)
    return ("sets" if function < 4 else "none"), 2, rd, 0, 0


def form_address(step, known):
    """The address that an instruction of a straight sweep forms, or ``None``; ``known`` registers are kept up."""
    kind, _, rd, rs, value = step
    if kind == "const":
        known[rd] = value
    elif kind == "addi" and rs in known:
        known[rd] = (known[rs] + value) & 0xFFFFFFFF
    else:
        if kind in ("sets", "add", "sub", "addi"):
            known.pop(rd, None)
        return None
    return known[rd]


# The walk ------------------------------------------------------------------------------------------------------------


class Walk:
    """Needs of functions by entry address. ``usage``: bytes by name from ``-fstack-usage``, ``None`` for no bound."""

    def __init__(self, image, usage=None):
        self.image = image
        self.usage = usage or {}
        self.done = {}  # entry -> (bytes, returns, entry of the deepest callee)
        self.under_way = []
        self.handlers = self._handlers()
        self.taken = self._taken()

    def need(self, entry):
        """Bytes below the stack pointer at ``entry``, and whether the function ever returns."""
        if entry in self.done:
            return self.done[entry][:2]
        if entry in self.under_way:
            names = [self.name(each) for each in self.under_way[self.under_way.index(entry) :]]
            raise UnboundedError("recursion: " + " > ".join([*names, names[0]]))
        self.under_way.append(entry)
        found = self._follow(entry)
        self.under_way.pop()
        self.done[entry] = found
        return found[:2]

    def name(self, entry):
        return self.image.entries.get(entry) or self.image.function(entry)[2]

    def deepest(self, entry):
        """Names along the deepest path."""
        names = []
        while entry is not None:
            names.append(self.name(entry))
            entry = self.done[entry][2]
        return names

    def _follow(self, entry):
        own, most, returns, through = 0, 0, False, None
        seen, times = {}, {}
        todo = [(entry, 0, None, {})]  # pc, depth, depth that the frame pointer stands for, known registers
        while todo:
            pc, depth, frame, known = todo.pop()
            while pc is not None and depth > seen.get(pc, -1):
                seen[pc] = depth
                times[pc] = times.get(pc, 0) + 1
                if times[pc] > GROWTH:
                    raise UnboundedError(f"the stack grows in a loop in {self.image.function(pc)[2]}")
                step = decode(self.image, pc)
                if step is None:
                    raise UnboundedError(f"{self.name(entry)} jumps to 0x{pc:08X}, where there is no code")
                kind, length, rd, _, value = step
                after = pc + length
                if kind in ("branch", "jump"):
                    if kind == "branch":
                        todo.append((value, depth, frame, dict(known)))
                    pc = after if kind == "branch" else value
                elif kind in ("call", "jalr"):
                    targets, after = self._targets(entry, pc, step, known, after)
                    if after is None and not targets:
                        returns = True
                        break
                    if rd == 0:  # the callee takes this frame's place; or a switch
                        todo.extend((target, depth, frame, dict(known)) for target in targets)
                        break
                    comes_back = not targets
                    for target in targets:
                        bytes_, back = self.need(target)
                        comes_back = comes_back or back
                        if depth + bytes_ > most:
                            most, through = depth + bytes_, target
                    for register in CALLER_SAVED:
                        known.pop(register, None)
                    pc = after if comes_back else None
                elif kind in ("mret", "stop"):
                    returns = returns or kind == "mret"
                    break
                else:
                    depth, frame = self._account(pc, step, depth, frame, known)
                    own = max(own, depth)
                    pc = after
        if own >= most:
            most, through = own, None
        return most + self._more_than_seen(entry, own), returns, through

    def _more_than_seen(self, entry, own):
        """What the compiler says beyond what the machine code shows."""
        name = self.image.entries.get(entry, "").split(".")[0]
        if self.usage.get(name, 0) is None:
            raise UnboundedError(f"{name} takes stack without a bound (alloca or an array of variable length)")
        return max(0, self.usage.get(name, 0) - own)

    def _targets(self, entry, pc, step, known, after):
        """Where a call or jump goes, and where it comes back to: (None, no targets) is a return."""
        kind, _, rd, rs, value = step
        if rd == T0:
            raise UnboundedError(
                f"{self.image.function(pc)[2]} calls -msave-restore routines; compile without that option"
            )
        if kind == "call":
            return [value], after
        start, end, name = self.image.function(pc)
        if rs in known:
            target = (known[rs] + value) & 0xFFFFFFFE
            if self.image.half(target) is not None or name not in RUN_COPIES:
                return [target], after
        if rd == 0 and rs in (RA, T0):
            return [], None
        if rd == 0:
            table = self._switch(start, end)
            if table:
                return sorted(table), after
        if name in RUN_COPIES:
            return [], None if rd == 0 else after
        if not self.taken:
            raise UnboundedError(f"{name} calls through a pointer, and no function's address is taken that it could be")
        return sorted(self.taken), after

    def _switch(self, start, end):
        """Targets of the jump tables of a function: tables of addresses, or of distances from the table's start."""
        targets, known = set(), {}
        for _, step in self._sweep([(start, end, "")]):
            base = form_address(step, known)
            words = self.image.words_at(base) if base is not None else []
            for relative in (0, base):
                for word in words:
                    target = (word + relative) & 0xFFFFFFFF
                    if not start <= target < end or target % 2:
                        break
                    targets.add(target)
        return targets

    def _account(self, pc, step, depth, frame, known):
        """Follow an instruction that is no jump: depth of the stack, frame pointer, known registers."""
        kind, _, rd, rs, value = step
        where = self.image.function(pc)[2]
        if kind == "none":
            return depth, frame
        if rd == SP:
            if kind == "const":  # start-up sets the stack pointer; the addi behind it belongs to the address
                known[SP] = value
                return 0, frame
            if kind == "addi" and SP in known:
                known.pop(SP)
                return 0, frame
            if kind == "addi" and rs == SP:
                return depth - value, frame
            if kind == "addi" and rs == FP and frame is not None:
                return frame - value, frame
            other = value if rs == SP else rs
            if kind in ("add", "sub") and (rs == SP or (kind == "add" and value == SP)) and other in known:
                amount = signed(known[other], 32)
                return depth + (amount if kind == "sub" else -amount), frame
            if kind in ("add", "sub"):
                raise UnboundedError(f"{where} takes stack without a bound (alloca or an array of variable length)")
            raise UnboundedError(f"{where} sets the stack pointer to something that is not known")
        if rd == FP:
            frame = depth - value if kind == "addi" and rs == SP else None
        if kind == "const":
            known[rd] = value
        elif kind == "addi" and (rs in known or rs == 0):
            known[rd] = (known.get(rs, 0) + value) & 0xFFFFFFFF
        else:
            known.pop(rd, None)
        return depth, frame

    def _sweep(self, functions=None):
        """Every instruction of every function, in order: (pc, step)."""
        for start, end, _ in functions or self.image.functions:
            pc = start
            while pc < end:
                step = decode(self.image, pc)
                if step is None:
                    break
                yield pc, step
                pc += step[1]

    def _handlers(self):
        return sorted({self.image.function(pc)[0] for pc, step in self._sweep() if step[0] == "mret"})

    def _taken(self):
        """Entries of functions whose address lies in data, or is formed by code."""
        found, known = {word for word in self.image.data_words() if word in self.image.entries}, {}
        for _, step in self._sweep():
            address = form_address(step, known)
            if address in self.image.entries:
                found.add(address)
        return found.difference(self.handlers, [self.image.entry])


def read_usage(folder):
    """Bytes by function from the ``.su`` files below ``folder``; ``None``: dynamic, without a bound."""
    usage = {}
    for place, _, files in os.walk(folder):
        for file in files:
            if file.endswith(".su"):
                with open(os.path.join(place, file), encoding="utf-8", errors="replace") as lines:
                    for line in lines:
                        where, bytes_, kind = line.strip().split("\t")
                        name, bytes_ = where.rpartition(":")[2].split(".")[0], int(bytes_)
                        if kind == "dynamic" or (name in usage and usage[name] is None):
                            usage[name] = None
                        else:
                            usage[name] = max(bytes_, usage.get(name) or 0)
    return usage


def stack_need(elf, build_dir=None):
    """Return ``(bytes, names along the deepest path)``: what the program needs below the top of its stack.

    Raises:
        UnboundedError: it cannot be computed.
        ValueError: no ELF file of this machine.
    """
    walk = Walk(Image(elf), read_usage(build_dir) if build_dir else None)
    roots = [walk.image.entry, *(entry for entry, name in walk.image.entries.items() if name in FRESH)]
    program, negative = max((walk.need(root)[0], -number) for number, root in enumerate(roots))
    interrupts = [(walk.need(handler)[0], handler) for handler in walk.handlers]
    names = walk.deepest(roots[-negative])
    if interrupts:
        more, handler = max(interrupts)
        return program + more, [*names, "interrupt: " + walk.name(handler), *walk.deepest(handler)[1:]]
    return program, names


def main(arguments):
    try:
        need, path = stack_need(*arguments)
    except UnboundedError as error:
        sys.stderr.write(f"stack_need: {error}\n")
        return 1
    print(f"{need} bytes: {' > '.join(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
