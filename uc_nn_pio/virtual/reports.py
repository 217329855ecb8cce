"""What the virtual board has to say besides the UART: pulled-up lines that were not, clocks out of range, resets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """One remark. ``seconds`` is emulated time since power-up; ``where`` is ``pc 0x... in function``."""

    kind: str
    message: str
    seconds: float
    where: str

    def __str__(self) -> str:
        return f"[{self.seconds:.6f} s] {self.kind}: {self.message} ({self.where})"


class Reports:
    """Collects remarks; a remark with the same kind and text is kept once and counted."""

    def __init__(self, seconds: Callable[[], float], where: Callable[[], str]) -> None:
        self._seconds = seconds
        self._where = where
        self._counts: dict[tuple[str, str], int] = {}
        self.items: list[Report] = []
        self.on_report: Callable[[Report], None] | None = None

    def add(self, kind: str, message: str) -> None:
        """Record a remark of a short ``kind`` (``uart``, ``watchdog``, ``pins``...)."""
        key = (kind, message)
        self._counts[key] = self._counts.get(key, 0) + 1
        if self._counts[key] > 1:
            return
        report = Report(kind, message, self._seconds(), self._where())
        self.items.append(report)
        if self.on_report is not None:
            self.on_report(report)

    def count(self, kind: str, message: str) -> int:
        """How often a remark was made."""
        return self._counts.get((kind, message), 0)

    def of(self, kind: str) -> list[Report]:
        """All remarks of one kind, in order."""
        return [report for report in self.items if report.kind == kind]
