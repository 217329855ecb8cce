"""How far long work is: a bar on standard error, for the command line; from Python nothing is shown.

Code that takes its time goes through :func:`track` what it would go through anyway. Nothing comes of it, and nothing is
imported for it, unless the command line has said :func:`shown` around it.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeVar

Item = TypeVar("Item")

DELAY_SECONDS = 0.5
"""Work that is done sooner shows nothing."""


class _Screen:
    """The terminal as long as bars may be shown on it: one at a time."""

    def __init__(self) -> None:
        self.taken = False
        self._bar: Any = None

    def advance(self, label: str, done: int, total: int, seconds: float) -> None:
        if self._bar is not None:
            self._bar.update(1)
        elif done < total and seconds >= DELAY_SECONDS:
            import click

            self._bar = click.progressbar(length=total, label=label, file=sys.stderr)
            self._bar.__enter__()
            self._bar.update(done)

    def finish(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.__exit__(None, None, None)


_screen: _Screen | None = None


@contextlib.contextmanager
def shown(wanted: bool = True) -> Iterator[None]:
    """Show bars within, if ``wanted`` and standard error is a terminal. No bar is left unfinished behind it, so that
    an error's text begins on a line of its own."""
    global _screen
    before, _screen = _screen, _Screen() if wanted and sys.stderr.isatty() else None
    try:
        yield
    finally:
        if _screen is not None:
            _screen.finish()
        _screen = before


def track(items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Every one of ``items``, with a bar that moves on when the next is asked for.

    What is tracked while another bar is there is part of one step of that, and shows nothing.

    Args:
        label: what is being done, as ``calibrating``; a text of the code's own, nothing of the user's.
        total: how many they are, where ``items`` has no length; without either there is no bar.
    """
    screen = _screen
    if total is None and isinstance(items, Sized):
        total = len(items)
    if total is None or screen is None or screen.taken:
        yield from items
        return
    screen.taken, begun = True, time.monotonic()
    try:
        for done, item in enumerate(items, 1):
            yield item
            screen.advance(label, done, total, time.monotonic() - begun)
    finally:
        screen.taken = False
        screen.finish()
