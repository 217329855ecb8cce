"""Parameters of the cost model out of measured micro-kernels.

For each class of kernels, costs of the kinds of operations are found that make the squares of the relative errors
least. Kinds that occur together cannot be told apart by that, so that each is held near a rough cost of its own
(ridge regression): of an integer instruction, 1; of a soft-float routine, about as many as it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from uc_nn_pio.cost.parameters import CALLS, KernelCost, Stream, counts, weighted
from uc_nn_pio.cost.prediction import Cost
from uc_nn_pio.cost.work import Work

ROUGH = {
    **{"fadd_zero": 40.0, "fmul_zero": 40.0},
    **{"fadd": 80.0, "fmul": 80.0, "fcompare": 30.0, "fdivide": 250.0, "fconvert": 60.0, "wide_divide": 100.0},
    **{
        "wide": 3.0,
        "wide_multiply": 3.0,
        "wide_shift": 12.0,
        "wide_select": 4.0,
        "call": 5.0,
        CALLS: 20.0,
        "enter": 3.0,
        "turn": 1.3,
    },
    **{"index": 0.8, "bump": 0.7, "move": 0.3, "offset": 0.1},
}
"""Instructions of an operation before anything is measured; of the others one. Index and offset are often part of a
load, and a move of registers is mostly saved."""

ROUGH_MODEL_BYTES = 250.0
"""Of a model's code besides its kernels."""

CLEARLY = 0.8
"""So much smaller errors are worth a parameter more."""

ROUGH_BYTES = 3.0
"""Of an operation as it is written; an instruction has two or four."""

MODEL = "model"

NEAR = 0.01
"""How much a cost's distance from the rough one counts, against the relative errors."""


@dataclass(frozen=True)
class Sample:
    """A measured micro-kernel. ``code_bytes`` are of its model's code, which has little else."""

    kernel: str
    precision: str
    text: str
    work: Work
    costs: Cost
    stream: Stream
    code_bytes: int | None


@dataclass(frozen=True)
class Errors:
    """Relative errors."""

    root_mean_square: float
    largest: float


def fit(samples: Sequence[Sample]) -> KernelCost:
    """Parameters of one class of kernels."""
    instructions = _ridge([counts(s.work) for s in samples], [s.costs.instructions for s in samples], ROUGH)
    cycles = _ridge([counts(s.work) for s in samples], [s.costs.core for s in samples], ROUGH)
    sized = [s for s in samples if s.code_bytes]
    code = _ridge(
        [{**sum(s.work.shared.values(), s.work.written), MODEL: 1} for s in sized],
        [s.code_bytes or 0 for s in sized],
        {MODEL: ROUGH_MODEL_BYTES},
        ROUGH_BYTES,
    )
    code.pop(MODEL, None)
    return KernelCost(instructions, cycles, code, *_waits(samples))


PARTS = 10


def errors_of(samples: Sequence[Sample]) -> dict[str, Errors]:
    """How well instructions, core cycles and waits of samples are predicted by parameters of others: a tenth of them is
    left out of the fit in turn."""
    found: dict[str, list[float]] = {"instructions": [], "core cycles": [], "waits for constants": []}
    for part in range(min(PARTS, len(samples))):
        cost = fit([sample for index, sample in enumerate(samples) if index % PARTS != part])
        for sample in samples[part::PARTS]:
            amounts, costs = counts(sample.work), sample.costs
            found["instructions"].append(weighted(amounts, cost.instructions) / costs.instructions - 1)
            found["core cycles"].append(weighted(amounts, cost.cycles) / costs.core - 1)
            if costs.flash and sample.stream.words:
                found["waits for constants"].append(cost.wait(sample.stream, sample.work) / costs.flash - 1)
    return {
        title: Errors(float(np.sqrt(np.mean(np.square(errors)))), float(np.abs(errors).max()))
        for title, errors in found.items()
        if errors
    }


def _ridge(
    amounts: Sequence[Mapping[str, float]], measured: Sequence[float], rough: Mapping[str, float], other: float = 1.0
) -> dict[str, float]:
    kinds = sorted({kind for each in amounts for kind, amount in each.items() if amount})
    x = np.array([[each.get(kind, 0.0) for kind in kinds] for each in amounts])
    y = np.array(measured, dtype=float)
    start = np.array([rough.get(kind, other) for kind in kinds])
    scale = np.maximum(start, 0.5)  # a cost may move by as much as it is
    a = np.vstack([x / y[:, None] * scale, np.sqrt(NEAR) * np.eye(len(kinds))])
    b = np.concatenate([1 - x @ start / y, np.zeros(len(kinds))])
    moved, *_ = np.linalg.lstsq(a, b, rcond=None)
    return dict(zip(kinds, (start + scale * moved).tolist(), strict=True))


def _waits(samples: Sequence[Sample]) -> tuple[float, float, float, float]:
    """Cycles hidden, folded, begun, and of routines (:class:`KernelCost`)."""
    found = [sample for sample in samples if sample.costs.flash]
    if not found:
        return 0.0, 0.0, 0.0, 0.0
    flash = np.array([sample.costs.flash for sample in found], float)
    gaps = np.array([sample.stream.cycles for sample in found]) - flash
    sums = [-counts(sample.work).get("fadd", 0) for sample in found]
    # A kernel that streams no table waits for its routines' only: its channels take nothing (KernelCost.wait).
    streams = [sample.stream if sample.stream.words else Stream(0, 0, 0, 0) for sample in found]
    columns = [[s.words for s in streams], [s.known for s in streams], [-s.channels for s in streams], sums]
    simple, whole = _least([columns[0], sums], gaps, flash), _least(columns, gaps, flash)
    if whole[1] < CLEARLY * simple[1]:
        hidden, folded, begun, routine = whole[0]
        return hidden, folded, begun, max(0.0, routine)
    return simple[0][0], 0.0, 0.0, max(0.0, simple[0][1])


def _least(columns: Sequence[Sequence[float]], gaps: np.ndarray, flash: np.ndarray) -> tuple[list[float], float]:
    """The factors of the columns with the least squares of relative errors, and these."""
    x = np.array(columns, float).T
    values, *_ = np.linalg.lstsq(x / flash[:, None], gaps / flash, rcond=None)
    return values.tolist(), float(np.sqrt(np.mean(((gaps - x @ values) / flash) ** 2)))
