"""Whether a network fits on each board that there are data of, and how fast it would be there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from uc_nn_pio.boards import board_ids, load_board
from uc_nn_pio.converter import budget_of, design_of_graph
from uc_nn_pio.design import Design
from uc_nn_pio.errors import PlanError
from uc_nn_pio.progress import track
from uc_nn_pio.report.speed import speed_data
from uc_nn_pio.report.summary import prediction_of
from uc_nn_pio.spec import LEAST


def fits_data(design: Design) -> list[Mapping[str, Any]]:
    """A row a board, for JSON: laid out anew for its RAM, or, where it does not fit, for the fewest bytes.

    The spec's own schedule is kept; its RAM budget is not, since it is that of another board.
    """
    rows = []
    memory = replace(design.spec.memory, ram_budget=None)
    for board_id in track(board_ids(), "laying out for every board"):
        board = load_board(board_id)
        spec = replace(design.spec, memory=memory)
        budget = budget_of(spec, board)
        try:
            made, fits = design_of_graph(spec, design.captured, design.graph, board), True
        except PlanError:
            least = replace(spec, memory=replace(memory, ram_budget=LEAST, ram_weights="none"))
            made, fits = design_of_graph(least, design.captured, design.graph, board), False
        speed = speed_data(prediction_of(made), board)
        rows.append(
            {
                "board": board.id,
                "name": board.name,
                "fits": fits and made.weight_bytes <= board.flash.size,
                "schedule": made.plan.schedule,
                "ram_bytes": made.plan.total_bytes + made.placement.ram_bytes,
                "ram_for_models": budget,
                "flash_bytes": made.weight_bytes,
                "board_flash_bytes": board.flash.size,
                "inferences_per_second": speed and round(speed["core_hz"] / speed["cycles"], 2),
            }
        )
    return rows
