"""Faults on demand: a camera that is unplugged, lines that hang, bits that flip, clocks that are wrong, a reset.

Faults sit on the wires and in the parts, never in the firmware: the camera's models stay as they are, and what they say
is changed on its way. A fault is injected and cleared at run time (``board.faults.inject``), or at a time, a frame or a
capture that its text names: ``unplugged@1.5``, ``spi-errors=0.001@frame3``, ``reset@capture12.5``. What happened when
is among the board's reports, under ``fault``.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.virtual.clock import PS_PER_SECOND

if TYPE_CHECKING:
    from uc_nn_pio.virtual.board import VirtualBoard

CAPTURE_PS = PS_PER_SECOND // 15  # what a fraction of a capture is counted in: the sensor gives 15 frames/s
FAULT_STREAM = 0xFA017  # the random numbers of faults are apart from those of RAM


@dataclass(frozen=True)
class Kind:
    """What a name means. ``value``: the one that holds where the text gives none; None: the fault takes no value."""

    text: str
    value: str | None = None
    camera: bool = False  # needs one


KINDS = {
    "unplugged": Kind("the camera is unplugged; plugged in again, it powers up anew", camera=True),
    "done-never": Kind("the ArduChip's done bit stays 0", camera=True),
    "done-always": Kind("the ArduChip's done bit stays 1", camera=True),
    "fifo-length": Kind("the ArduChip says this FIFO length; with a sign, so much more or less", "0", camera=True),
    "sccb-no-ack": Kind("the sensor acknowledges nothing", camera=True),
    "sda-low": Kind("SDA is shorted to ground"),
    "scl-low": Kind("SCL is shorted to ground"),
    "spi-errors": Kind("each bit between SPI1 and the camera flips with this probability", "0.001", camera=True),
    "crystal": Kind("the 16 MHz crystal is off by so many per cent", "-5%"),
    "crystal-dead": Kind("the crystal oscillator does not get ready"),
    "pll-no-lock": Kind("the PLL does not lock"),
    "uart-noise": Kind("each bit between UART0 and the computer flips with this probability", "0.001"),
    "flash-dual": Kind("what the flash sends over two lines at once does not arrive"),
    "reset": Kind("the chip is reset; the camera keeps its power and its state"),
}


@dataclass(frozen=True)
class When:
    """A moment: ``unit`` is ``s``, ``frame`` (a frame's bytes are read) or ``capture`` (one is under way).

    Frames and captures count from 0; a fraction is the share of it that has passed.
    """

    number: float
    unit: str = "s"

    @classmethod
    def of(cls, text: str) -> When:
        """Read ``1.5``, ``1.5s``, ``frame3``, ``capture12.5``.

        Raises:
            VirtualBoardError: it is none of these.
        """
        unit = next((unit for unit in ("frame", "capture") if text.startswith(unit)), "s")
        try:
            number = float(text.removesuffix("s") if unit == "s" else text.removeprefix(unit))
        except ValueError:
            number = -1.0
        if not 0 <= number < 1e9:
            raise VirtualBoardError(
                f"{text!r} is no moment",
                why="it is a time in seconds (1.5), a frame (frame3; frame3.5: half way through) or a capture",
                next_step="frames and captures count from 0",
            )
        return cls(number, unit)


@dataclass(frozen=True)
class Fault:
    """A fault with its value (as text; see ``KINDS``), when it begins (None: at power-up) and ends (None: never)."""

    name: str
    value: str | None = None
    at: When | None = None
    until: When | None = None

    @classmethod
    def of(cls, text: str, until: str | None = None) -> Fault:
        """Read ``NAME[=VALUE][@WHEN[..UNTIL]]``; ``until`` holds where the text says none.

        Raises:
            VirtualBoardError: no such fault, or the text is not of this form.
        """
        body, _, when = text.partition("@")
        at, _, end = when.partition("..")
        name, equals, value = body.partition("=")
        fault = cls(
            name,
            value if equals else None,
            When.of(at) if at else None,
            When.of(end or until) if end or until else None,
        )
        fault.setting()
        return fault

    def setting(self) -> float:
        """The value as a number: a probability, a share of the crystal's frequency, or bytes.

        Raises:
            VirtualBoardError: no such fault, or no such value.
        """
        kind = KINDS.get(self.name)
        if kind is None:
            near = difflib.get_close_matches(self.name, KINDS, 1)
            raise VirtualBoardError(
                f"there is no fault {self.name!r}",
                why="there are " + ", ".join(KINDS),
                next_step=f"did you mean {near[0]}?" if near else None,
            )
        if kind.value is None:
            if self.value is not None:
                raise VirtualBoardError(f"the fault {self.name} takes no value", why=kind.text)
            return 0.0
        text = kind.value if self.value is None else self.value
        low, high = {"crystal": (-50.0, 50.0), "fifo-length": (-0x7FFFFF, 0x7FFFFF)}.get(self.name, (0.0, 1.0))
        try:
            number = float(text.removesuffix("%") if self.name == "crystal" else text)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise VirtualBoardError(
                f"{text!r} is no value for the fault {self.name}", why=f"{kind.text}: {low:g} to {high:g}"
            )
        return number

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value}"


class Faults:
    """The faults of one board, and the state that they make. ``active`` has those that hold now, by name."""

    def __init__(self, board: VirtualBoard, seed: int, reset: Callable[[], None]) -> None:
        self._board = board
        self._reset = reset
        self._rng = np.random.default_rng((FAULT_STREAM, seed))
        self._pending: list[tuple[When, Callable[[], None]]] = []  # at frames and captures
        self._captures = 0
        self._frame = -1
        self.active: dict[str, Fault] = {}

    # -- the door --------------------------------------------------------------------------------------------------

    def schedule(self, fault: Fault | str) -> None:
        """Let a fault come and go when it says.

        Raises:
            VirtualBoardError: the fault needs a camera, and the board has none.
        """
        fault = Fault.of(fault) if isinstance(fault, str) else fault
        self._check(fault)
        if fault.at is None:
            self.inject(fault)
        else:
            self._when(fault.at, lambda: self.inject(fault))
        if fault.until is not None:
            self._when(fault.until, lambda: self.clear(fault.name))

    def inject(self, fault: Fault | str) -> None:
        """Begin a fault now, whatever its ``at`` says."""
        fault = Fault.of(fault) if isinstance(fault, str) else fault
        self._check(fault)
        self._note(f"{fault}: {KINDS[fault.name].text}")
        if fault.name == "reset":
            self._reset()
            return
        self.active[fault.name] = fault
        self._apply(fault.name)

    def clear(self, name: str | None = None) -> None:
        """End a fault now; all of them without a name. One that does not hold is fine."""
        for each in [name] if name is not None else list(self.active):
            if self.active.pop(each, None) is not None:
                self._note(f"{each}: it has gone")
                self._apply(each)

    def value(self, name: str) -> float | None:
        """The setting of a fault that holds now, or None."""
        fault = self.active.get(name)
        return fault.setting() if fault is not None else None

    def _check(self, fault: Fault) -> None:
        fault.setting()
        if KINDS[fault.name].camera and self._board.camera is None:
            raise VirtualBoardError(f"the fault {fault.name} needs a camera", why="this board has none plugged in")

    def _note(self, text: str) -> None:
        self._board.reports.add("fault", text)

    # -- what they do ----------------------------------------------------------------------------------------------

    def _apply(self, name: str) -> None:
        board, on = self._board, name in self.active
        board.clock.epoch += 1  # what a poll reads may have changed
        if name == "unplugged" and board.camera_link is not None:
            board.camera_link.plug(not on)
        elif name in ("sda-low", "scl-low"):
            pin = board.board.pins[f"sccb_{name[:3]}"]
            board.gpio.drive(pin, "a short circuit to ground", 0 if on else None)
        elif name == "crystal":
            board.prci.set_crystal(round(board.board.clocks["crystal_hz"] * (1 + (self.value(name) or 0.0) / 100)))
        elif name == "crystal-dead":
            board.prci.crystal_starts = not on
        elif name == "pll-no-lock":
            board.prci.pll_locks = not on
        elif name == "flash-dual":
            board.qspi0.dual_broken = on
            board.qspi0.on_change()

    def noisy(self, name: str, byte: int) -> int:
        """A byte as it arrives over a wire whose bits flip while the fault ``name`` holds."""
        rate = self.value(name)
        if not rate:
            return byte
        flips = self._rng.random(8) < rate
        return byte ^ int(np.packbits(flips)[0])

    # -- when ------------------------------------------------------------------------------------------------------

    def _when(self, when: When, function: Callable[[], None]) -> None:
        if when.unit == "s":
            self._board.clock.at_ps(int(when.number * PS_PER_SECOND), function, hard=True)
        else:
            self._pending.append((when, function))

    def capture_starts(self) -> None:
        """A capture begins: what waits for it is due at its share of the sensor's frame."""
        number, self._captures = self._captures, self._captures + 1
        for when, function in self._due("capture", number, number + 0.999999):
            self._board.clock.after_ps(int((when.number - number) * CAPTURE_PS), function, hard=True)

    def frame_starts(self, frame: int) -> None:
        """The first byte of a frame is read."""
        self._frame = frame

    def frame_progress(self, share: float) -> None:
        """This share of the frame has been read."""
        if self._pending:
            for _, function in self._due("frame", 0, self._frame + min(share, 0.999999)):
                function()

    def _due(self, unit: str, low: float, high: float) -> list[tuple[When, Callable[[], None]]]:
        due = [each for each in self._pending if each[0].unit == unit and low <= each[0].number <= high]
        self._pending = [each for each in self._pending if each not in due]
        return due
