"""What an inference takes, and what is predicted of a design: plain figures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """Of one inference, predicted or counted. ``core`` are cycles without waits for flash; ``flash`` and ``code`` are
    the waits for constants and for lines of code."""

    instructions: float = 0.0
    core: float = 0.0
    flash: float = 0.0
    code: float = 0.0

    @property
    def cycles(self) -> float:
        return self.core + self.flash + self.code

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.instructions + other.instructions,
            self.core + other.core,
            self.flash + other.flash,
            self.code + other.code,
        )


@dataclass(frozen=True)
class Prediction:
    """``layers`` in the kernels' order. ``moving`` is what moves rows between streamed layers and decides whose turn it
    is; ``code_bytes`` are estimated."""

    layers: tuple[Cost, ...]
    moving: Cost
    code_bytes: int

    @property
    def total(self) -> Cost:
        return sum(self.layers, self.moving)
