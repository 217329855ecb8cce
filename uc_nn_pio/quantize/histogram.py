"""Ranges chosen from a histogram of a tensor's values."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from uc_nn_pio.quantize.params import Range

BINS = 4096
"""Sixteen bins a step of int8."""

SHRINK = np.linspace(0.2, 1.0, 81)
"""Parts of an end of the range that :func:`least_error` tries."""


@dataclass(frozen=True)
class Histogram:
    """Counts of values in :data:`BINS` bins of one width over ``range``, which holds them all."""

    range: Range
    counts: np.ndarray

    @staticmethod
    def over(range_: Range) -> Histogram:
        return Histogram(range_, np.zeros(BINS, np.int64))

    @property
    def width(self) -> float:
        return (self.range.high - self.range.low) / BINS

    @property
    def centers(self) -> np.ndarray:
        return self.range.low + (np.arange(BINS) + 0.5) * self.width

    def with_values(self, values: np.ndarray) -> Histogram:
        """These values counted as well; none where the range is a single value."""
        if not self.width > 0:
            return self
        bins = ((values.ravel().astype(np.float64) - self.range.low) / self.width).astype(np.int64)
        return replace(self, counts=self.counts + np.bincount(np.clip(bins, 0, BINS - 1), minlength=BINS))


def percentile(histogram: Histogram, keep: float) -> Range:
    """The range that leaves out ``(100 - keep)`` % of the values, counted over both ends together: whole bins, the
    one farther from 0 first."""
    counts, centers = histogram.counts, histogram.centers
    budget = (1 - keep / 100) * counts.sum()
    first, last = 0, BINS - 1
    while first < last:
        end = first if abs(centers[first]) > abs(centers[last]) else last
        budget -= counts[end]
        if budget < 0:
            break
        first, last = (first + 1, last) if end == first else (first, last - 1)
    half = histogram.width / 2
    return Range(float(centers[first] - half), float(centers[last] + half))


def least_error(histogram: Histogram) -> Range:
    """The range with the least mean squared error between values and their int8 neighbours: each end is moved towards 0
    in turn, twice, on a grid of :data:`SHRINK`. It finds the best of these, not of all ranges."""
    best = histogram.range.with_zero()
    full = best
    for _ in range(2):
        best = min((Range(best.low, full.high * float(part)) for part in SHRINK), key=lambda r: _error(histogram, r))
        best = min((Range(full.low * float(part), best.high) for part in SHRINK), key=lambda r: _error(histogram, r))
    return best


def _error(histogram: Histogram, range_: Range) -> float:
    scale = (range_.high - range_.low) / 255
    if scale <= 0:
        return float("inf")
    centers = histogram.centers
    zero = np.rint(-range_.low / scale)
    steps = np.clip(np.rint(centers / scale) + zero, 0, 255)
    return float(histogram.counts @ np.square((steps - zero) * scale - centers))
