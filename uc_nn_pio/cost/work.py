"""The work of a kernel: operations of its C, as they are done in one inference and as they are written down."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from uc_nn_pio.cost.walk import Source, Tally, executed, written
from uc_nn_pio.emit.kernels import Kernel
from uc_nn_pio.emit.render import kernel_source


@dataclass(frozen=True)
class Work:
    """Operations by kind; see :mod:`uc_nn_pio.cost.walk`. ``calls`` of the kernel's function."""

    done: Counter[str]
    written: Counter[str]
    calls: int


def work_of(kernel: Kernel) -> Work:
    """One inference's work: of a kernel that makes its rows apart, all its calls."""
    source = Source(kernel_source(kernel), {f"{kernel.prefix}_{t.name}": t.ctype for t in kernel.tables()})
    calls = kernel.row_need.out if kernel.rows_apart and kernel.row_need else 1
    total: Tally = Counter()
    if kernel.rows_apart and kernel.row_parameter:
        for py in range(calls):
            total.update(source.tally(kernel.function, {"py": py}))
    else:
        once = source.tally(kernel.function, {})
        total = Counter({key: times * calls for key, times in once.items()})
    return Work(executed(total), written(total), calls)
