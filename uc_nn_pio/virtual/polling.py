"""Poll skipping: a busy-wait costs no host time, and changes nothing.

Firmware waits by reading a status register until it changes. When the same register is read again with the same value,
all processor registers are the same, the stores since then were those of the round before, branch predictor, I-cache
and bus are as they were, and no device has changed in between, then the machine is in the very state that it was in: it
will go round and round until the next device event or timer tick. So time jumps over all rounds that end before it. The
rounds are whole, so cycles, register accesses that matter and everything the firmware can see are as if they had run;
only the instructions are counted apart.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import Array, c_int64

from uc_nn_pio.virtual import native
from uc_nn_pio.virtual.clock import Clock
from uc_nn_pio.virtual.timing_table import TimingTable

OTHER_READS = 8  # of other registers within a round


class PollSkip:
    """Watches register reads without side effects; ``state`` is the native state array."""

    def __init__(self, state: Array[c_int64], clock: Clock, snapshot: Callable[[], bytes], timing: TimingTable) -> None:
        self._state = state
        self._timing = timing
        self._habit: object = None
        self._clock = clock
        self._snapshot = snapshot
        self.skipped_cycles = 0
        self.skipped_instructions = 0
        self._anchor: tuple[int, int] | None = None
        self._epoch = -1
        self._others = 0
        self._registers: bytes | None = None
        self._stores = 0
        self._cycle = 0
        self._instruction = 0

    def forget(self) -> None:
        """A write, or a read that changes something: start over."""
        self._anchor = None

    def saw(self, address: int, value: int) -> None:
        """A register without side effects was read."""
        if self._epoch != self._clock.epoch:
            self._epoch = self._clock.epoch
            self._anchor = None
        read = (address, value)
        if read == self._anchor:
            self._round()
        elif self._anchor is None or self._others >= OTHER_READS:
            self._anchor = read
            self._registers = None
            self._others = 0
            self._state[native.STORE_HASH] = 0
        else:
            self._others += 1

    def _round(self) -> None:
        state = self._state
        self._others = 0
        registers = self._snapshot()
        stores = state[native.STORE_HASH]
        state[native.STORE_HASH] = 0
        if registers == self._registers and stores == self._stores:
            habit = self._timing.habit()
            if habit == self._habit:
                self._jump(state[native.CYCLES] - self._cycle, state[native.INSTRUCTIONS] - self._instruction)
                habit = self._timing.habit()
            self._habit = habit
        else:
            self._habit = None  # dear to look up, and most rounds are not alike: one more round is cheaper
        self._registers = registers
        self._stores = stores
        self._cycle = state[native.CYCLES]
        self._instruction = state[native.INSTRUCTIONS]

    def _jump(self, cycles: int, instructions: int) -> None:
        state = self._state
        now = state[native.CYCLES]
        change = min(self._clock.next_event(), self._clock.stable_until, state[native.STOP_AT])
        rounds = (change - 1 - now) // cycles
        if rounds > 0:
            self._timing.skip(rounds * cycles)
            self.skipped_cycles += rounds * cycles
            self.skipped_instructions += rounds * instructions
