"""The one exception tree of the project.

Every error that a user can cause derives from :class:`UcNnError` and says four things: what is wrong, where
(``file:line:column`` or a layer's name), why, and the next step. The command line prints it without a traceback and
exits with ``exit_code``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from uc_nn_pio.escape import terminal


@dataclass(frozen=True)
class Location:
    """A place in a text file. ``line`` and ``column`` count from 1; ``None`` where only the file is known."""

    file: str | Path
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = [str(self.file)]
        if self.line is not None:
            parts.append(str(self.line))
            if self.column is not None:
                parts.append(str(self.column))
        return ":".join(parts)


class UcNnError(Exception):
    """A mistake that a user can mend.

    Args:
        what: one sentence, without a full stop at the end.
        where: a :class:`Location`, a layer's name, or any text that points at the place.
        why: the reason, or the rule that was broken.
        next_step: what to do about it.
    """

    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        where: Location | str | None = None,
        why: str | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.next_step = next_step

    def __str__(self) -> str:
        lines = [f"{self.where}: error: {self.what}" if self.where is not None else f"error: {self.what}"]
        if self.why:
            lines.append(f"  why:  {self.why}")
        if self.next_step:
            lines.append(f"  next: {self.next_step}")
        # Names from the user's files stand in here: they must not reach the terminal as commands.
        return terminal("\n".join(lines), keep_newlines=True)


class SpecError(UcNnError):
    """The YAML model spec, or a file that it names, is wrong."""


class NotBuiltError(SpecError):
    """A key or value of the spec names a feature that this version does not have yet."""


class ModelError(UcNnError):
    """The network cannot be read, does not match its weights, or takes another input."""


class UnsupportedError(ModelError):
    """An operator, or a parameter of one, that no kernel computes."""


class UnsafeFileError(UcNnError):
    """A file that would run code, or make a library run code, when loaded."""


class PlanError(UcNnError):
    """No plan fits the RAM budget."""


class BoardError(UcNnError):
    """Board data are missing or contradict themselves."""


class ToolError(UcNnError):
    """A program that is needed (compiler, PlatformIO, OpenOCD) is missing or failed."""


class VirtualBoardError(UcNnError):
    """The virtual board was asked for something it cannot do, or stopped the firmware for a fault."""

    exit_code = 3


class ErrorGroup(UcNnError):  # noqa: N818 - it holds errors, and is caught as one
    """Several errors found in one go, so that a user mends them all at once."""

    def __init__(self, errors: list[UcNnError]) -> None:
        super().__init__(f"{len(errors)} errors")
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)
