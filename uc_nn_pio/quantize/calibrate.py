"""Ranges of a network's tensors, from samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

import numpy as np

from uc_nn_pio.errors import ModelError
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.progress import track
from uc_nn_pio.quantize.histogram import Histogram, least_error, percentile
from uc_nn_pio.quantize.params import Range
from uc_nn_pio.quantize.prepare import prepare
from uc_nn_pio.reference import run_batch

Batch = np.ndarray | Mapping[str, np.ndarray]
"""Samples for the network's only input, or for each by its name."""


class Method(Enum):
    """How a range follows from the values that a tensor takes. The value is the name in specs."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    MSE = "mse"


DEFAULT_PERCENTILE = 99.99


def calibrate(
    graph: Graph,
    batches: Sequence[Batch],
    method: Method = Method.MINMAX,
    keep: float = DEFAULT_PERCENTILE,
) -> Mapping[str, Range]:
    """The range of every tensor of ``prepare(graph)``, by name.

    Args:
        graph: lowered, in float32.
        batches: float32, (batch, *input shape) each, or one for each input by its name; run one at a time, twice for
            methods other than min/max.
        method: ``MINMAX``, all values; ``PERCENTILE``, so that ``keep`` % of them lie within; ``MSE``, the range with
            the least mean squared error of the quantized values. A graph's inputs are always min/max: their range is
            known, and pixels stay what they are.
        keep: in %, for ``PERCENTILE``.

    Raises:
        ModelError: no samples, or values that are no numbers.
    """
    graph = prepare(graph)
    if not sum(len(batch) for batch in batches):
        raise ModelError("there are no calibration samples", where=graph.name)
    if not 50 < keep <= 100:
        raise ModelError(f"a percentile of {keep:g} is not between 50 and 100")
    ranges = _extremes(graph, batches)
    if method is Method.MINMAX:
        return ranges
    chosen = {}
    for name, histogram in _histograms(graph, batches, ranges).items():
        fixed = name in graph.inputs or not histogram.counts.any()
        chosen[name] = ranges[name] if fixed else _chosen(histogram, method, keep)
    return chosen


def _chosen(histogram: Histogram, method: Method, keep: float) -> Range:
    return percentile(histogram, keep) if method is Method.PERCENTILE else least_error(histogram)


def _extremes(graph: Graph, batches: Sequence[Batch]) -> dict[str, Range]:
    ranges: dict[str, Range] = {}
    for batch in track(batches, "calibrating: ranges"):
        if not len(batch):
            continue
        for name, values in run_batch(graph, batch).items():
            low, high = float(values.min()), float(values.max())
            if not (np.isfinite(low) and np.isfinite(high)):
                raise ModelError(
                    f"tensor {name!r} takes values that are not finite",
                    where=graph.name,
                    why="float32 overflows on the calibration data",
                    next_step="look at the data and at the weights in front of this tensor",
                )
            seen = ranges.get(name, Range(low, high))
            ranges[name] = Range(min(low, seen.low), max(high, seen.high))
    return ranges


def _histograms(graph: Graph, batches: Sequence[Batch], ranges: Mapping[str, Range]) -> dict[str, Histogram]:
    histograms = {name: Histogram.over(range_) for name, range_ in ranges.items()}
    for batch in track(batches, "calibrating: distributions"):
        for name, values in run_batch(graph, batch).items():
            histograms[name] = histograms[name].with_values(values)
    return histograms
