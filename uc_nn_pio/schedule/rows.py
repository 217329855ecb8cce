"""What a layer that works row by row needs: which rows of its input each row of its output is made from.

A streamed layer holds a *window* of its input's rows: those from the first that the next output row needs on. When the
last one that it needs has come, the output row is made, the rows that no later one needs are dropped, and the rest
move to the window's front. So rows lie one behind the other, and kernels address them as in a whole map; what moving
costs is one load and one store a word kept, once for each output row.

A layer may take several *calls* to make an output row: a convolution with a pool behind it can add one of its own rows
a call, and keep the maximum in the output row. Its window then holds the rows of one call, not those of the whole pool.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RowNeed:
    """Call p, which makes output row p where a row takes one call, reads the input rows from ``max(0, p * step + top)``
    to ``min(p * step + top + span, size) - 1``, and none behind ``last``.

    Attributes:
        size: rows of the input.
        out: calls until the output is whole.
        step: input rows from a call to the next.
        top: first input row of call 0; below 0 where it lies in padding.
        span: rows from a call's first to behind its last.
        last: the last input row that any call needs.
        calls: calls that make an output row.
    """

    size: int
    out: int
    step: int
    top: int
    span: int
    last: int
    calls: int = 1

    def first_of(self, p: int) -> int:
        """First row that call ``p`` needs. ``p`` may be ``out``: what comes when all are made."""
        return max(0, p * self.step + self.top)

    def last_of(self, p: int) -> int:
        """Last row that call ``p`` needs; may be above its first where all of them are padding."""
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
        """Whether rows are ever kept when a call has been made."""
        made = 0
        for come in range(1, self.size + 1):
            while made < self.out and self.last_of(made) < come:
                made += 1
                if come > self.first_of(made):
                    return True
        return False
