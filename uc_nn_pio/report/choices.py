"""The ways in which a network could be laid out, beside the one that was taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from uc_nn_pio.boards import Board
from uc_nn_pio.choose import alternatives
from uc_nn_pio.cost.predict import Predictor
from uc_nn_pio.design import Design
from uc_nn_pio.emit.kernels import Kernel, select
from uc_nn_pio.emit.kernels.tuning import tuning_of
from uc_nn_pio.place import ConstantPlacement
from uc_nn_pio.report.speed import rate


def choices_data(design: Design, predicted: Predictor | None) -> list[Mapping[str, Any]]:
    """A row a way, for JSON: the design's own, and the fastest and smallest of each schedule; the largest first.

    ``streamed_layers`` come row by row, from windows of ``rows_held``. ``weight_words_read`` are words of constant
    tables that an inference reads. ``inferences_per_second`` are predicted at the board's default clock, with tables
    in RAM in the design's own way alone; None where it has no cost model.
    """
    board = design.board
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
            "ram_table_bytes": design.placement.ram_bytes if (schedule, size) == own else 0,
            "inferences_per_second": predicted
            and board
            and round(_speed(predicted, board, taken, design.placement if (schedule, size) == own else FLASH), 2),
            "taken": (schedule, size) == own,
        }
        for (schedule, size), taken in sorted(ways.items(), key=lambda item: -item[0][1])
    ]


FLASH = ConstantPlacement({})
"""All tables in flash."""


def _speed(predicted: Predictor, board: Board, kernels: tuple[Kernel, ...], placement: ConstantPlacement) -> float:
    return board.clocks["core_default_hz"] / predicted.predict(kernels, placement).total.cycles


def _words_read(kernel: Kernel) -> int:
    return kernel.passes * sum(table.bytes // 4 for table in kernel.tables())


def choices_text(choices: Sequence[Mapping[str, Any]]) -> list[str]:
    """A small table for the terminal."""
    fast = any(way["inferences_per_second"] for way in choices)
    last = ("tables in RAM B", "inferences/s") if fast else ("weight words read",)
    head = ("streamed layers", "rows held", "context B", *last)
    lines = [f"{'ways to lay it out':20}" + "".join(f"{text:>17}" for text in head)]
    for way in choices:
        figures = (
            way["streamed_layers"] or "-",
            " ".join(map(str, way["rows_held"])) or "-",
            f"{way['context_bytes']:,}",
            *(
                (
                    f"{way['ram_table_bytes']:,}" if way["ram_table_bytes"] else "-",
                    rate(way["inferences_per_second"]),
                )
                if fast
                else (f"{way['weight_words_read']:,}",)
            ),
        )
        taken = "  <- taken" if way["taken"] else ""
        lines.append(f"{way['schedule']:20}" + "".join(f"{figure:>17}" for figure in figures) + taken)
    return lines
