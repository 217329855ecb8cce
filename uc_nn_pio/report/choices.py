"""The ways in which a network could be laid out, beside the one that was taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from uc_nn_pio.choose import alternatives
from uc_nn_pio.design import Design
from uc_nn_pio.emit.kernels import Kernel, select
from uc_nn_pio.emit.kernels.tuning import tuning_of


def choices_data(design: Design) -> list[Mapping[str, Any]]:
    """A row a way, for JSON: the design's own, and the fastest and smallest of each schedule; the largest first.

    ``streamed_layers`` come row by row, from windows of ``rows_held``. ``weight_words_read`` are words of constant
    tables that an inference reads.
    """
    kernels = tuple(select(design.graph, design.spec.name, tuning_of(design.board)))
    ways = {(c.plan.schedule, c.plan.total_bytes): c.kernels for c in alternatives(design.graph, kernels)}
    own = (design.plan.schedule, design.plan.total_bytes)
    ways[own] = design.kernels
    return [
        {
            "schedule": schedule,
            "streamed_layers": sum(kernel.rows_apart for kernel in taken),
            "rows_held": [k.row_need.rows for k in taken if k.rows_apart and k.row_need],
            "context_bytes": size,
            "weight_words_read": sum(_words_read(kernel) for kernel in taken),
            "taken": (schedule, size) == own,
        }
        for (schedule, size), taken in sorted(ways.items(), key=lambda item: -item[0][1])
    ]


def _words_read(kernel: Kernel) -> int:
    return kernel.passes * sum(table.bytes // 4 for table in kernel.tables())


def choices_text(choices: Sequence[Mapping[str, Any]]) -> list[str]:
    """A small table for the terminal."""
    head = ("streamed layers", "rows held", "context B", "weight words read")
    lines = [f"{'ways to lay it out':20}{head[0]:>17}{head[1]:>14}{head[2]:>12}{head[3]:>20}"]
    for way in choices:
        rows = " ".join(map(str, way["rows_held"])) or "-"
        lines.append(
            f"{way['schedule']:20}{way['streamed_layers'] or '-':>17}{rows:>14}{way['context_bytes']:12,}"
            f"{way['weight_words_read']:20,}{'  <- taken' if way['taken'] else ''}"
        )
    return lines
