"""Layer by layer: where a network first computes something else than the reference, and what each layer costs there.

A *trace* is what a run of the traced C (:func:`~uc_nn_pio.emit.render.render`) has told: on this computer every
layer's output, whole; on a board, which has no room for it, a word that stands for the output (:func:`check_word`).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from uc_nn_pio.design import Design
from uc_nn_pio.graph.layout import to_memory
from uc_nn_pio.reference import integer
from uc_nn_pio.reference import run_batch as run_float

TOLERANCE = 1e-3
"""Float32 may differ by so much, in parts of a layer's largest value; on a board, of the sum of its absolute values."""

_WEIGHTS = 8


@dataclass(frozen=True)
class LayerCheck:
    """One layer of one sample. ``agrees``: with the reference, None where the layer has no code of its own.

    ``worst`` is the largest difference, of integers or in parts of the layer's largest float; None on a board, which
    gives a word for the layer alone. ``cycles`` were spent on the board, ``predicted`` is the report's figure.
    """

    name: str
    source: str
    agrees: bool | None
    worst: float | None = None
    cycles: int | None = None
    predicted: int | None = None


@dataclass(frozen=True)
class BoardLayer:
    """What a board says of a layer: cycles of all its calls, and the word of its output."""

    cycles: int
    word: int


def check_word(values: np.ndarray) -> int:
    """Word of a layer's output (elements, in memory's order): CRC-32 of int8, or the bits of :func:`weighted_sum`."""
    if values.dtype == np.int8:
        return zlib.crc32(values.tobytes())
    return int(np.float32(weighted_sum(values)).view(np.uint32))


def weighted_sum(values: np.ndarray) -> float:
    """Sum of ``value * (1 + place % 8)``: two values that change places change it, too."""
    weights = 1 + np.arange(values.size) % _WEIGHTS
    return float((values.astype(np.float64) * weights).sum())


def expected_layers(design: Design, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray | None]:
    """The reference's outputs, (elements,) in memory's order, of each layer for one sample, given by input and (1, ...)
    each of the model's own type; None for a layer without code of its own."""
    run = integer.run_batch if design.precision == "int8" else run_float
    values = run(design.graph, inputs)
    return [
        to_memory(values[kernel.node.output], rank=len(kernel.output.shape)).reshape(-1)
        if design.is_called(kernel)
        else None
        for kernel in design.kernels
    ]


def check_values(
    design: Design, expected: Sequence[np.ndarray | None], found: Sequence[np.ndarray | None]
) -> tuple[LayerCheck, ...]:
    """Whole outputs of a trace against the reference's."""

    def compared(wanted: np.ndarray | None, made: np.ndarray | None) -> tuple[bool | None, float | None]:
        if wanted is None:
            return None, None
        if made is None or made.size != wanted.size:
            return False, None
        worst = float(np.abs(made.astype(np.float64) - wanted.astype(np.float64)).max())
        if wanted.dtype == np.int8:
            return worst == 0, worst
        worst /= max(float(np.abs(wanted).max()), float(np.finfo(np.float32).tiny))
        return worst <= TOLERANCE, worst

    return tuple(
        LayerCheck(kernel.name, str(kernel.node.source), *compared(wanted, made))
        for kernel, wanted, made in zip(design.kernels, expected, found, strict=True)
    )


def check_words(
    design: Design,
    expected: Sequence[np.ndarray | None],
    found: Sequence[BoardLayer],
    predicted: Sequence[int | None],
) -> tuple[LayerCheck, ...]:
    """Words of a board's trace against those of the reference's outputs."""

    def agrees(wanted: np.ndarray | None, word: int) -> bool | None:
        if wanted is None:
            return None
        if wanted.dtype == np.int8:
            return check_word(wanted) == word
        made = float(np.uint32(word).view(np.float32))
        return abs(made - weighted_sum(wanted)) <= TOLERANCE * max(weighted_sum(np.abs(wanted)), 1e-6)

    return tuple(
        LayerCheck(
            kernel.name,
            str(kernel.node.source),
            agrees(wanted, layer.word),
            cycles=layer.cycles if wanted is not None else None,
            predicted=cycles,
        )
        for kernel, wanted, layer, cycles in zip(design.kernels, expected, found, predicted, strict=True)
    )
