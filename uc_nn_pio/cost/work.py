"""The work of a kernel: operations of its C, as they are done in one inference and as they are written down."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from uc_nn_pio.cost.walk import Source, Tally, executed, written
from uc_nn_pio.emit.kernels import Kernel
from uc_nn_pio.emit.render import kernel_source


@dataclass(frozen=True)
class Work:
    """Operations by kind; see :mod:`uc_nn_pio.cost.walk`: as they are done, and as they are written in the kernel's own
    functions and in those, by name, that kernels share. ``calls`` of the kernel's function; ``text`` is its C without
    its name: a compiler makes one function of those that are alike. ``zeros`` is the share of its input that is likely
    to be 0, with which soft-float routines are done sooner."""

    done: Counter[str]
    written: Counter[str]
    shared: Mapping[str, Counter[str]]
    calls: int
    text: str = ""
    zeros: float = 0.0


NOTHING = Work(Counter(), Counter(), {}, 0)


def work_of(kernel: Kernel) -> Work:
    """One inference's work: of a kernel that makes its rows apart, all its calls."""
    tables = tuple((f"{kernel.prefix}_{table.name}", table.ctype) for table in kernel.tables())
    text = kernel_source(kernel)
    work = _work(text, tables, kernel.function, tuple(_rows(kernel)))
    plain = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).replace(kernel.function, "")
    return replace(work, text=plain)


@lru_cache(maxsize=512)
def _work(
    text: str, tables: tuple[tuple[str, str], ...], function: str, rows: tuple[tuple[int | None, int], ...]
) -> Work:
    """Of ``function`` in the C ``text``. Reports and choices ask for the same kernels again."""
    source = Source(text, dict(tables))
    total: Tally = Counter()
    for row, times in rows:
        for key, count in source.tally(function, {} if row is None else {"py": row}).items():
            total[key] += times * count
    places = written(total, source)
    shared = {name: kinds for name, kinds in places.items() if not f"{name}_".startswith(f"{function}_")}
    own = sum((kinds for name, kinds in places.items() if name not in shared), Counter())
    return Work(executed(total), own, shared, sum(times for _, times in rows))


def _rows(kernel: Kernel) -> list[tuple[int | None, int]]:
    """The calls of a kernel: for which row each is, where that matters, and how many are alike. Those are alike whose
    windows lie within the map, and that are the same part of making an output row."""
    need = kernel.row_need
    if not kernel.rows_apart or need is None:
        return [(None, 1)]
    if not kernel.row_parameter:
        return [(None, need.out)]
    alike: dict[int, int] = {}
    first: dict[int, int] = {}
    for call in range(need.out):
        top = need.top + call * need.step
        inner = top >= 0 and top + need.span <= need.size
        key = first.setdefault(call % need.calls, call) if inner else call
        alike[key] = alike.get(key, 0) + 1
    return list(alike.items())
