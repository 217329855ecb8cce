"""The part of the cycle model that depends on addresses and history, as functions over arrays of 64-bit words.

``s`` is the state (``timing_state.py``), ``r`` the records of the basic blocks, ``o`` their operations. The functions
are compiled by numba; as ordinary Python (``jit.plain``) they give the same counts.

Branches, as rocket-chip's btb.scala of late 2016 has them: a branch is foreseen only if the BTB knows it; then two bits
of the BHT, found by address and the outcomes of the last seven such branches, say whether it is taken. A return goes
where the RAS says. What was wrong and taken enters the BTB, in turn. Chosen: the BTB is searched by the branch's own
address, not that of its fetch word; its table of six pages is left out.
"""

from __future__ import annotations

from uc_nn_pio.virtual import timing_state as f
from uc_nn_pio.virtual.jit import compiled
from uc_nn_pio.virtual.timing_blocks import BRANCH, CALL, DIVIDE, FLUSH, LOAD, NEVER, RETURN, STORE


@compiled
def enter_block(s, r, at, block):
    """The block with record ``block`` begins at address ``at``."""
    now = s[f.CYCLES]
    last = s[f.CURRENT]
    if last >= 0:
        if s[f.LINKED]:
            end = r[last + f.R_END]
            if end:
                now += _follow(s, r, last, end, at)
                if end & 7 > BRANCH:
                    r[block + f.R_ENTERED] += 1
        r[last + f.R_SPENT] += now - s[f.SINCE]
    s[f.SINCE] = now
    s[f.CURRENT] = block
    s[f.LINKED] = 1
    if s[f.SETS]:
        now = _fetch(s, r, at, block, now)
    if s[f.PENDING]:
        now += _wait_for_results(s, r, block, now)
    s[f.INSTRUCTIONS] += r[block + f.R_INSTRUCTIONS]
    r[block + f.R_RUNS] += 1
    now += r[block + f.R_CYCLES]
    s[f.CYCLES] = now
    s[f.OPERATION] = r[block + f.R_OPERATIONS]
    late = r[block + f.R_PENDING]
    if late:
        s[f.PENDING] = 1
        for slot in range(f.SLOT_SCHEDULE, f.SLOTS):
            s[f.PENDING_REGISTER + slot] = late & 255
            cycles = late >> 8 & 255
            s[f.PENDING_READY + slot] = now + cycles if cycles else 0
            late >>= 16


@compiled
def moved_stack(s, r):
    """0 if the block under way has not written the stack pointer; otherwise 1 + how far below its value now it was."""
    return r[s[f.CURRENT] + f.R_STACK] if s[f.CURRENT] >= 0 else 0


@compiled
def note_stack(s, pointer):
    """The stack pointer is ``pointer``; it counts where it is in RAM, its end included."""
    if 0 < pointer - s[f.RAM_REGION] <= s[f.RAM_REGION + 1]:
        if s[f.STACK_HIGH] == 0 or pointer < s[f.STACK_LOW]:
            s[f.STACK_LOW] = pointer
        s[f.STACK_HIGH] = max(s[f.STACK_HIGH], pointer)


@compiled
def _follow(s, r, last, end, at):
    """Cycles lost because block ``last`` went on at ``at``; teaches the predictor."""
    kind = end & 7
    if kind == FLUSH:
        return s[f.COST_MISPREDICT]
    address = r[last + f.R_BRANCH]
    after = r[last + f.R_AFTER]
    taken = kind != BRANCH or at != after
    if kind == BRANCH and taken and at != r[last + f.R_TARGET]:
        return 0  # not by this branch
    slot = r[last + f.R_SLOT]
    if slot < 0 or s[f.BTB_ADDRESS + slot] != address:
        slot = -1
        for i in range(s[f.BTB_SIZE]):
            if s[f.BTB_ADDRESS + i] == address:
                slot = i
                break
        r[last + f.R_SLOT] = slot
    guess = after
    if slot >= 0:
        guess = s[f.BTB_TARGET + slot]
        if kind == BRANCH:
            if not _foresee(s, address, taken):
                guess = after
        elif kind == RETURN and s[f.RAS_COUNT]:
            guess = s[f.RAS + s[f.RAS_TOP]]
            s[f.RAS_COUNT] -= 1
            s[f.RAS_TOP] = (s[f.RAS_TOP] + s[f.RAS_SIZE] - 1) % s[f.RAS_SIZE]
    if end & CALL and s[f.RAS_SIZE]:
        s[f.RAS_TOP] = (s[f.RAS_TOP] + 1) % s[f.RAS_SIZE]
        s[f.RAS + s[f.RAS_TOP]] = after
        s[f.RAS_COUNT] = min(s[f.RAS_COUNT] + 1, s[f.RAS_SIZE])
    if guess == at:
        return 0
    if taken and s[f.BTB_SIZE]:
        if slot < 0:
            slot = s[f.BTB_NEXT]
            s[f.BTB_NEXT] = (slot + 1) % s[f.BTB_SIZE]
            s[f.BTB_ADDRESS + slot] = address
            r[last + f.R_SLOT] = slot
        s[f.BTB_TARGET + slot] = at
    s[f.MISPREDICTS] += 1
    r[last + f.R_MISPREDICTS] += 1
    return s[f.COST_MISPREDICT]


@compiled
def _foresee(s, address, taken):
    """What the BHT says of the branch at ``address``; it learns what became of it."""
    if s[f.BHT_SIZE] == 0:
        return True
    index = f.BHT + (((address >> 1) ^ s[f.HISTORY]) & (s[f.BHT_SIZE] - 1))
    counter = s[index]
    high, low, outcome = counter >> 1, counter & 1, 1 if taken else 0
    s[index] = outcome << 1 | ((high & low) | ((high | low) & outcome))
    s[f.HISTORY] = (s[f.HISTORY] >> 1) | (s[f.BHT_SIZE] >> 1 if taken else 0)
    return low == 1


@compiled
def _fetch(s, r, at, block, now):
    """Bring the block's lines into the I-cache; the cycle at which they are there."""
    if 0 <= at - s[f.LAST_REGION] < s[f.LAST_REGION + 1]:
        s[f.LINE] = -1
        return now  # ITIM
    shift = s[f.LINE_SHIFT]
    line = at >> shift
    last = (at + r[block + f.R_SIZE] - 1) >> shift
    if line == s[f.LINE]:
        line += 1
    while line <= last:
        tag = f.TAGS + 2 * (line & (s[f.SETS] - 1))
        if s[tag] != line and s[tag + 1] != line:
            began = now
            word = s[f.RANDOM]
            s[tag + (word & 1)] = line
            s[f.RANDOM] = (((word ^ word >> 2 ^ word >> 3 ^ word >> 5) & 1) << 15) | word >> 1
            start = line << shift
            if 0 <= start - s[f.REGION] < s[f.REGION + 1]:
                now = max(now, s[f.PORT_FREE]) + _flash_clocks(s, start, 1 << shift)
                s[f.PORT_FREE] = now
                s[f.PORT_FLASH] = 1
            else:
                now += s[f.REFILL_RAM]
            s[f.ICACHE_MISSES] += 1
            s[f.ICACHE_CYCLES] += now - began
            r[block + f.R_ICACHE_MISSES] += 1
            r[block + f.R_ICACHE_CYCLES] += now - began
        line += 1
    s[f.LINE] = last
    return now


@compiled
def _flash_clocks(s, at, size):
    """Core cycles of a read of ``size`` bytes; one that follows the last merges with it."""
    clocks = size * s[f.FLASH_BYTE] + s[f.FLASH_BUS]
    if at != s[f.NEXT_FLASH]:
        clocks += s[f.FLASH_FIRST]
    s[f.NEXT_FLASH] = at + size
    return clocks


@compiled
def _wait_for_results(s, r, block, now):
    """Cycles that a block waits for what earlier ones left outstanding."""
    wait = 0
    cause = f.SLOT_SCHEDULE
    left = 0
    for slot in range(f.SLOTS):
        ready = s[f.PENDING_READY + slot]
        if ready > now:
            left = 1
            register = s[f.PENDING_REGISTER + slot]
            use = r[block + f.R_FIRST_USE + (register >> 3)] >> (8 * (register & 7)) & 255
            if use != NEVER and ready - now - use > wait:
                wait = ready - now - use
                cause = slot
    s[f.PENDING] = left
    if cause == f.SLOT_FLASH:
        s[f.FLASH_CYCLES] += wait
        r[block + f.R_FLASH_CYCLES] += wait
    elif cause == f.SLOT_MMIO:
        s[f.MMIO_CYCLES] += wait
    return wait


@compiled
def _next_operation(s, o, kind):
    """The schedule's word on the load, store or division under way."""
    i = s[f.OPERATION]
    while o[i] & 7 != kind and o[i] != f.NO_OPERATION:
        i += 1
    word = o[i]
    s[f.OPERATION] = i if word == f.NO_OPERATION else i + 1
    return word


@compiled
def _stall(s, r, cycles):
    """The block under way takes longer, and so do the results that it leaves."""
    s[f.CYCLES] += cycles
    if r[s[f.CURRENT] + f.R_PENDING]:
        for slot in range(f.SLOT_SCHEDULE, f.SLOTS):
            if s[f.PENDING_READY + slot]:
                s[f.PENDING_READY + slot] += cycles


@compiled
def _use(s, word, slot, issue, done):
    """Cycles until ``done`` that are not hidden behind other instructions; leaves the rest to later blocks."""
    slack = word >> 8 & 255
    if slack != NEVER:
        return done - issue - slack
    s[f.PENDING] = 1
    s[f.PENDING_REGISTER + slot] = word >> 16 & 255
    s[f.PENDING_READY + slot] = done
    return 0


@compiled
def access(s, r, o, touched, at, size, write):
    """A load or store of the block under way, which exists and is aligned."""
    word = _next_operation(s, o, STORE if write else LOAD)
    issue = s[f.CYCLES] - (word >> 24)
    offset = at - s[f.RAM_REGION]
    if 0 <= offset < s[f.RAM_REGION + 1]:
        if write:
            s[f.LAST_STORE] = at & ~3
            s[f.LAST_STORE_TIME] = issue
            touched[offset >> 2] = 1
        elif at & ~3 == s[f.LAST_STORE] and issue - s[f.LAST_STORE_TIME] <= s[f.REPLAY_WINDOW]:
            s[f.REPLAYS] += 1
            _stall(s, r, s[f.COST_REPLAY])
        return
    in_flash = 0 <= at - s[f.REGION] < s[f.REGION + 1]
    if (not in_flash and at >= s[f.MMIO_END]) or 0 <= at - s[f.LAST_REGION] < s[f.LAST_REGION + 1]:
        return
    start = max(issue, s[f.PORT_FREE])
    wait = start - issue
    if in_flash:
        if write:
            return
        s[f.PORT_FREE] = start + _flash_clocks(s, at, size)
        wait = max(wait, _use(s, word, f.SLOT_FLASH, issue, s[f.PORT_FREE]))
        s[f.PORT_FLASH] = 1
        s[f.FLASH_READS] += 1
        s[f.FLASH_CYCLES] += wait
        r[s[f.CURRENT] + f.R_FLASH_READS] += 1
        r[s[f.CURRENT] + f.R_FLASH_CYCLES] += wait
    else:
        s[f.PORT_FREE] = start + s[f.COST_MMIO]
        if not write:
            wait = max(wait, _use(s, word, f.SLOT_MMIO, issue, s[f.PORT_FREE]))
        s[f.MMIO_ACCESSES] += 1
        behind_flash = start - issue if s[f.PORT_FLASH] else 0
        s[f.FLASH_CYCLES] += behind_flash
        r[s[f.CURRENT] + f.R_FLASH_CYCLES] += behind_flash
        s[f.MMIO_CYCLES] += wait - behind_flash
        s[f.PORT_FLASH] = 0
    if wait > 0:
        _stall(s, r, wait)


@compiled
def divide(s, r, o, function, a, b):
    """A division of the block under way: ``function`` is funct3 (bit 0 clear: signed), ``a`` and ``b`` unsigned."""
    word = _next_operation(s, o, DIVIDE)
    if word == f.NO_OPERATION:
        return
    issue = s[f.CYCLES] - (word >> 24)
    done = issue + division_cycles(s, function, a, b)
    wait = _use(s, word, f.SLOT_QUOTIENT, issue, done)
    if word >> 8 & 255 == NEVER:
        s[f.PENDING_REGISTER + f.SLOT_DIVIDER] = 32
        s[f.PENDING_READY + f.SLOT_DIVIDER] = done
    if wait > 0:
        _stall(s, r, wait)


@compiled
def division_cycles(s, function, a, b):
    """Chosen: 1 cycle, one for each bit of the quotient, one for each sign to undo; all bits if the divisor is 0."""
    signs = 0
    if function & 1 == 0:
        if a >> 31:
            a = (1 << 32) - a
            signs += 1
        if b >> 31:
            b = (1 << 32) - b
            signs += 1
    bits = 32
    if b:
        bits = 1
        while bits < 32 and a >> bits >= b:
            bits += 1
    return min(max(1 + bits + signs, s[f.DIV_LOW]), s[f.DIV_HIGH])
