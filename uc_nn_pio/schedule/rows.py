"""What a layer that works row by row needs: which rows of its input each row of its output is made from.

A streamed layer holds a *window* of its input's rows: those from the first that the next output row needs on. When the
last one that it needs has come, the output row is made, the rows that no later one needs are dropped, and the rest
move to the window's front. So rows lie one behind the other, and kernels address them as in a whole map; what moving
costs is one load and one store a word kept, once for each output row.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RowNeed:
    """Output row p reads the input rows from ``max(0, p * step + top)`` to ``min(p * step + top + span, size) - 1``,
    and none behind ``last``.

    Attributes:
        size: rows of the input; ``out`` of the output.
        step: input rows from an output row to the next.
        top: first input row of output row 0; below 0 where it lies in padding.
        span: rows from an output row's first to behind its last.
        last: the last input row that any output needs.
    """

    size: int
    out: int
    step: int
    top: int
    span: int
    last: int

    def first_of(self, p: int) -> int:
        """First row that output row ``p`` needs. ``p`` may be ``out``: what comes when all are made."""
        return max(0, p * self.step + self.top)

    def last_of(self, p: int) -> int:
        """Last row that output row ``p`` needs; may be above its first where all of them are padding."""
        return min(p * self.step + self.top + self.span - 1, self.last)

    @property
    def rows(self) -> int:
        """Rows that the window has to hold: the most that are in it, found by counting them through a map."""
        most = made = 0
        for come in range(self.size):
            most = max(most, come - self.first_of(made) + 1, 1)
            while made < self.out and self.last_of(made) <= come:
                made += 1
        return most

    @property
    def moves(self) -> bool:
        """Whether rows are ever kept when an output row is made."""
        made = 0
        for come in range(1, self.size + 1):
            while made < self.out and self.last_of(made) < come:
                made += 1
                if come > self.first_of(made):
                    return True
        return False
