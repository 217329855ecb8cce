"""The driver of streamed layers: which may go on, where its next row goes, which rows it drops."""

from __future__ import annotations

from dataclasses import dataclass

from uc_nn_pio.emit.expressions import affine, times
from uc_nn_pio.schedule.rows import RowNeed


@dataclass(frozen=True)
class StreamedLayer:
    """One layer of the driver, as the template sees it. ``rows[index + 1]`` counts its calls, ``rows[index]`` those of
    the layer in front, which gives it a row every ``given`` calls.

    Attributes:
        name: of the layer in C; ``function`` computes one row of its output.
        window: C expression for its window, of ``row`` elements a row. Rows move in units of ``unit`` elements a row,
            from ``units``.
        collects: C expression for the map that its output rows make up; None where they go to the next layer.
        made_row: elements of an output row, 0 where the output has no rows; ``elements`` of the whole output.
        scratch: C expression, or None.
        takes_row: whether the function is told which row it makes.
    """

    index: int
    name: str
    function: str
    need: RowNeed
    given: int
    window: str
    units: str
    row: int
    unit: int
    collects: str | None
    made_row: int
    elements: int
    scratch: str | None
    takes_row: bool

    def come(self, rows: str = "rows") -> str:
        """C: how many rows of its input have come."""
        return _whole(f"{rows}[{self.index}]", self.given)

    def made(self, rows: str = "rows") -> str:
        """C: how many whole rows it has made."""
        return _whole(f"{rows}[{self.index + 1}]", self.need.calls)

    def ends(self) -> tuple[str, str]:
        """C: from where on the call at hand has made whole elements of the output, and how many."""
        made, calls = f"rows[{self.index + 1}]", self.need.calls
        if not self.made_row:
            return "0", f"{made} == {self.need.out - 1} ? {self.elements} : 0"
        count = f"{self.made_row}" if calls == 1 else f"{made} % {calls} == {calls - 1} ? {self.made_row} : 0"
        return times(self.made(), self.made_row), count

    @property
    def ready(self) -> str:
        """C: whether the next call can be made."""
        need, come, made = self.need, self.come(), f"rows[{self.index + 1}]"
        reach = need.top + need.span - 1
        enough = f"{come} > {affine(made, need.step, reach)}"
        if (need.out - 1) * need.step + reach > need.last:  # the last ones reach beyond the map
            enough = f"({enough} || {come} > {need.last})"
        return f"{made} < {need.out} && {enough}"

    def first(self, made: str, ahead: int = 0) -> str:
        """C: the first row that call ``made + ahead`` needs."""
        need = self.need
        top = need.top + ahead * need.step
        row = affine(made, need.step, top)
        return f"{row} > 0 ? {row} : 0" if top < 0 else row

    @property
    def skips(self) -> bool:
        """Whether a row ever comes that lies in front of all that are still needed."""
        need, made = self.need, 0
        for come in range(need.size):
            if come < need.first_of(made):
                return True
            while made < need.out and need.last_of(made) <= come:
                made += 1
        return False


def _whole(counter: str, calls: int) -> str:
    return counter if calls == 1 else f"{counter} / {calls}"
