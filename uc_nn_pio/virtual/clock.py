"""Emulated time: core cycles, seconds, and the events of the devices.

Cycles drive everything. Seconds follow from them through the core clock, which may change (PLL); time is kept in whole
picoseconds, so that the same program gives the same times on every machine.

Events are functions called when their time has come. Most are *soft*: nothing outside the device can see them before
the firmware's next register access, so they run then. *Hard* events (watchdog, timer interrupt) stop the CPU on time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

PS_PER_SECOND = 10**12
NEVER = 1 << 62


@dataclass(order=True)
class Event:
    """A function with its time: in cycles for what the core clock drives, in picoseconds for the rest."""

    due: int
    order: int
    function: Callable[[], None] = field(compare=False)
    hard: bool = field(compare=False, default=False)
    cancelled: bool = field(compare=False, default=False)


class Clock:
    """Core cycles, seconds and events of one board.

    ``now`` is the cycle up to which devices are simulated: the cycle of the event that runs, or of the register access.
    ``epoch`` changes whenever a device's visible state may have; ``stable_until`` is the cycle at which a time register
    that was read in this epoch shows its next value.
    """

    def __init__(self, core_hz: int) -> None:
        self.now = 0
        self.epoch = 0
        self.stable_until = NEVER
        self.core_hz = core_hz
        self.on_core_hz: Callable[[], None] = lambda: None
        self._base_cycle = 0
        self._base_ps = 0
        self._order = 0
        self._by_cycle: list[Event] = []
        self._by_time: list[Event] = []
        self._next = NEVER  # cycle of the next event
        self._next_hard = NEVER

    # -- time ------------------------------------------------------------------------------------------------

    def ps(self, cycle: int | None = None) -> int:
        """Picoseconds since power-up at ``cycle`` (default: now)."""
        cycle = self.now if cycle is None else cycle
        return self._base_ps + (cycle - self._base_cycle) * PS_PER_SECOND // self.core_hz

    def seconds(self, cycle: int | None = None) -> float:
        """Seconds since power-up."""
        return self.ps(cycle) / PS_PER_SECOND

    def cycle_at(self, ps: int) -> int:
        """First cycle at which at least ``ps`` picoseconds have passed, at today's core clock."""
        return self._base_cycle - (-(ps - self._base_ps) * self.core_hz // PS_PER_SECOND)

    def ticks(self, hz: int) -> int:
        """Value of a counter that has run at ``hz`` since power-up; notes when it will change."""
        value = self.ps() * hz // PS_PER_SECOND
        change = self.cycle_at(-(-(value + 1) * PS_PER_SECOND // hz))
        self.stable_until = min(self.stable_until, max(change, self.now + 1))
        return value

    def set_core_hz(self, hz: int) -> None:
        """The core clock changes now; cycle-driven events keep their cycle, the others their time."""
        if hz != self.core_hz:
            self._base_ps = self.ps()
            self._base_cycle = self.now
            self.core_hz = hz
            self.epoch += 1
            self.on_core_hz()
            self._look_ahead()

    # -- events ----------------------------------------------------------------------------------------------

    def after_cycles(self, cycles: int, function: Callable[[], None], *, hard: bool = False) -> Event:
        """Call ``function`` ``cycles`` core cycles from now."""
        return self._push(self._by_cycle, self.now + cycles, function, hard)

    def at_ps(self, ps: int, function: Callable[[], None], *, hard: bool = False) -> Event:
        """Call ``function`` at ``ps`` picoseconds since power-up."""
        return self._push(self._by_time, ps, function, hard)

    def after_ps(self, ps: int, function: Callable[[], None], *, hard: bool = False) -> Event:
        """Call ``function`` ``ps`` picoseconds from now."""
        return self.at_ps(self.ps() + ps, function, hard=hard)

    def cancel(self, event: Event | None) -> None:
        """Forget an event; none is fine."""
        if event is not None and not event.cancelled:
            event.cancelled = True
            self._look_ahead()

    def harden(self, event: Event | None) -> None:
        """Make a pending event stop the CPU on time after all: somebody now waits for its interrupt."""
        if event is not None and not event.cancelled and not event.hard:
            event.hard = True
            self._look_ahead()

    def sync(self, cycle: int) -> None:
        """Run every event due by ``cycle``, in order, and make it ``now``."""
        while self._next <= cycle:
            heap = self._by_cycle if self._first_by_cycle() == self._next else self._by_time
            event = heapq.heappop(heap)
            event.cancelled = True  # it is no longer pending
            self.now = max(self.now, self._next)
            self._look_ahead()
            self.epoch += 1
            event.function()
        if cycle > self.now:
            self.now = cycle
        if self.now >= self.stable_until:
            self.epoch += 1
            self.stable_until = NEVER

    def next_event(self) -> int:
        """Cycle of the next event of any kind, or ``NEVER``."""
        return self._next

    def next_hard_event(self) -> int:
        """Cycle of the next event that must stop the CPU, or ``NEVER``."""
        return self._next_hard

    def _push(self, heap: list[Event], due: int, function: Callable[[], None], hard: bool) -> Event:
        self._order += 1
        event = Event(due, self._order, function, hard)
        heapq.heappush(heap, event)
        if hard:
            self._look_ahead()
        else:
            self._next = min(self._next, due if heap is self._by_cycle else self.cycle_at(due))
        return event

    def _first_by_cycle(self) -> int:
        heap = self._by_cycle
        while heap and heap[0].cancelled:
            heapq.heappop(heap)
        return heap[0].due if heap else NEVER

    def _first_by_time(self) -> int:
        heap = self._by_time
        while heap and heap[0].cancelled:
            heapq.heappop(heap)
        return self.cycle_at(heap[0].due) if heap else NEVER

    def _look_ahead(self) -> None:
        """Find the next events anew, after one went or the clock changed."""
        self._next = min(self._first_by_cycle(), self._first_by_time())
        hard = [event.due for event in self._by_cycle if event.hard and not event.cancelled]
        hard += [self.cycle_at(event.due) for event in self._by_time if event.hard and not event.cancelled]
        self._next_hard = min(hard) if hard else NEVER
