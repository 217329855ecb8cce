"""What int8 costs a network, layer by layer, so that a user sees which layer hurts; and the ranges it comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from uc_nn_pio.escape import terminal
from uc_nn_pio.quantize.noise import LayerNoise
from uc_nn_pio.quantize.params import Range


def noise_data(noise: Sequence[LayerNoise]) -> list[Mapping[str, Any]]:
    """A row a layer, for JSON, in the network's order.

    ``db`` is the signal to noise of its output, to a tenth; null where there is no figure, because the integers are
    ``exact`` or all values are 0. ``drop_db`` is what was lost against the layer in front (below 0: gained), null
    beside one without a figure; ``worst`` marks the largest drop.
    """
    figures = [round(row.db, 1) if math.isfinite(row.db) else None for row in noise]
    drops = [None, *(_drop(before, after) for before, after in pairwise(figures))]
    worst = max((drop for drop in drops if drop is not None), default=0.0)
    return [
        {
            "layer": row.layer,
            "operators": row.kind,
            "db": db,
            "exact": row.db == math.inf,
            "drop_db": drop,
            "worst": drop == worst and worst > 0,
        }
        for row, db, drop in zip(noise, figures, drops, strict=False)
    ]


def _drop(before: float | None, after: float | None) -> float | None:
    return round(before - after, 1) if before is not None and after is not None else None


def noise_text(noise: Sequence[LayerNoise]) -> str:
    """The same as a table for a terminal; a line that says so where nothing was measured."""
    if not noise:
        return "signal to noise of int8: not measured, for want of calibration samples"
    lines = [
        "signal to noise of int8 on calibration samples (a layer's output against float32, noise of all before it)"
    ]
    for row in noise_data(noise):
        figure = f"{row['db']:.1f} dB" if row["db"] is not None else "exact" if row["exact"] else "all 0"
        mark = f"  <- largest drop, {row['drop_db']:.1f} dB" if row["worst"] else ""
        lines.append(f"{terminal(row['layer']):14}{row['operators']:36}{figure:>10}{mark}")
    return "\n".join(lines)


def ranges_text(ranges: Mapping[str, Range]) -> str:
    """Smallest and largest value of every tensor, as a table for a terminal."""
    rows = [f"{terminal(name):26}{item.low:14.6g}{item.high:14.6g}" for name, item in ranges.items()]
    return "\n".join([f"{'tensor':26}{'low':>14}{'high':>14}", *rows])
