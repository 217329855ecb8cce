"""Predicted speed, as plain data and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from uc_nn_pio.boards import Board
from uc_nn_pio.cost.prediction import Cost, Prediction


def speed_data(prediction: Prediction | None, board: Board | None) -> Mapping[str, Any] | None:
    """One inference's figures; None where the board has no cost model. ``rows_cycles`` pass rows on between streamed
    layers; ``code_bytes`` is the estimate that the waits for code come from."""
    if prediction is None or board is None:
        return None
    hertz = board.clocks["core_default_hz"]
    return {
        **_figures(prediction.total),
        "rows_cycles": round(prediction.moving.cycles),
        "code_bytes": prediction.code_bytes,
        "core_hz": hertz,
        "inferences_per_second": round(hertz / prediction.total.cycles, 2),
    }


def rate(per_second: float) -> str:
    """Inferences a second, to three digits."""
    return f"{per_second:,.0f}" if per_second >= 1000 else f"{per_second:.3g}"


def layer_speed_data(prediction: Prediction | None, index: int) -> Mapping[str, Any] | None:
    """The same of a layer, and its share of the time."""
    if prediction is None:
        return None
    cost = prediction.layers[index]
    return {**_figures(cost), "share": round(cost.cycles / prediction.total.cycles, 4)}


def _figures(cost: Cost) -> dict[str, int]:
    return {
        "instructions": round(cost.instructions),
        "cycles": round(cost.cycles),
        "core_cycles": round(cost.core),
        "flash_wait_cycles": round(cost.flash),
        "code_wait_cycles": round(cost.code),
    }


HEAD = f"{'instr.':>13}{'cycles':>14}{'share':>8}"


def layer_speed_text(layer: Mapping[str, Any] | None) -> str:
    """Columns under :data:`HEAD`; nothing where nothing is predicted."""
    if layer is None:
        return ""
    return f"{layer['instructions']:13,}{layer['cycles']:14,}{100 * layer['share']:6.1f} %"


def speed_text(speed: Mapping[str, Any] | None) -> Sequence[str]:
    """Lines for the terminal."""
    if speed is None:
        return []
    waits = "".join(
        f" + {speed[key]:,} waiting for {what}"
        for key, what in (("flash_wait_cycles", "constants in flash"), ("code_wait_cycles", "code"))
        if speed[key]
    )
    return [
        f"speed {rate(speed['inferences_per_second'])} inferences/s at {speed['core_hz'] / 1e6:g} MHz, predicted: "
        f"{speed['cycles']:,} cycles",
        f"      = {speed['core_cycles']:,} of the core for {speed['instructions']:,} instructions{waits}",
    ]
