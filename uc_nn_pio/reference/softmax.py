"""Softmax and its logarithm in float32: over a vector, or over the channels of a map, one pixel at a time."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.graph.ops import LogSoftmax, Softmax


def softmax(op: Softmax, x: np.ndarray) -> np.ndarray:
    """exp(x - max) / sum; x has a batch axis in front, which ``op.axis`` does not count."""
    exponentials = np.exp(_below_max(op.axis, x))
    return exponentials / _sum(op.axis, exponentials)


def log_softmax(op: LogSoftmax, x: np.ndarray) -> np.ndarray:
    """(x - max) - log(sum of exp(x - max)); axes as :func:`softmax`."""
    below = _below_max(op.axis, x)
    return below - np.log(_sum(op.axis, np.exp(below)))


def _axis(axis: int) -> int:
    return axis + 1 if axis >= 0 else axis


def _below_max(axis: int, x: np.ndarray) -> np.ndarray:
    return x - x.max(axis=_axis(axis), keepdims=True)


def _sum(axis: int, x: np.ndarray) -> np.ndarray:
    """Sum in index order, one float32 addition a step (NumPy's own sum pairs its terms)."""
    terms = np.moveaxis(x, _axis(axis), 0)
    total = np.zeros_like(terms[0])
    for term in terms:
        total = total + term
    return np.expand_dims(total, _axis(axis))
