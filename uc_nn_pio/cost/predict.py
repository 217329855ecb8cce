"""Predicted instructions and cycles of one inference, layer by layer, without compiling anything.

1. The kernel's C is walked through (:mod:`uc_nn_pio.cost.walk`) and its operations are counted.
2. Parameters fitted to micro-kernels (:mod:`uc_nn_pio.cost.parameters`) make instructions and core cycles of them.
3. Tables in flash are waited for: their words by the board's costs, less what the kernel computes meanwhile.
4. The code's bytes are estimated, and an I-cache whose lines drop each other at random is followed through the calls of
   a few inferences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

from uc_nn_pio.boards import Board
from uc_nn_pio.cost.calls import calls_of
from uc_nn_pio.cost.icache import code_waits
from uc_nn_pio.cost.parameters import CostModel, KernelCost, cost_model, counts, stream_of, weighted
from uc_nn_pio.cost.prediction import Cost, Prediction
from uc_nn_pio.cost.work import NOTHING, Work, work_of
from uc_nn_pio.cost.zeros import zero_shares
from uc_nn_pio.emit.kernels import Kernel
from uc_nn_pio.place import ConstantPlacement

GRAPH = ("graph", "node")
"""Fields of a kernel that are the same in all its forms."""


class Predictor:
    """Predicts for the ways to lay out one graph on one board; remembers the kernels that it has walked through."""

    def __init__(self, board: Board, model: CostModel) -> None:
        self._board, self._model = board, model
        self._known: dict[object, Work] = {}
        self._zeros: Mapping[str, float] | None = None

    def predict(self, kernels: Sequence[Kernel], placement: ConstantPlacement) -> Prediction:
        works = [self._work(kernel) for kernel in kernels]
        costs = [self._model.of(kernel.cost_class, kernel.input.dtype.value) for kernel in kernels]
        calls = calls_of(kernels)
        sizes = _code_bytes(works, costs)
        bodies = _bodies(works)
        waits = code_waits(sizes, calls.order, bodies, self._board.details["icache"])
        layers = tuple(
            self._layer(kernel, work, cost, placement, wait)
            for kernel, work, cost, wait in zip(kernels, works, costs, waits, strict=True)
        )
        return Prediction(layers, Cost(calls.instructions, calls.cycles), sum(sizes))

    def _layer(
        self, kernel: Kernel, work: Work, cost: KernelCost, placement: ConstantPlacement, code_wait: float
    ) -> Cost:
        done = counts(work)
        flash = cost.wait(stream_of(kernel, self._board.flash, left_out=placement.in_ram), work)
        return Cost(weighted(done, cost.instructions), weighted(done, cost.cycles), flash, code_wait)

    def _work(self, kernel: Kernel) -> Work:
        if kernel.free_in_place:
            return NOTHING  # a plan lays its output on its input's bytes, and there is no C
        key = (type(kernel), *(getattr(kernel, field.name) for field in fields(kernel) if field.name not in GRAPH))
        if self._zeros is None:
            self._zeros = zero_shares(kernel.graph)
        if key not in self._known:
            self._known[key] = replace(work_of(kernel), zeros=self._zeros.get(kernel.node.inputs[0], 0.0))
        return self._known[key]


def _bodies(works: Sequence[Work]) -> list[int]:
    """Whose code each kernel runs: its own, or that of one in front which is the same."""
    texts = [work.text for work in works]
    return [texts.index(text) for text in texts]


def _code_bytes(works: Sequence[Work], costs: Sequence[KernelCost]) -> list[int]:
    """Of each kernel. What several share is part of the first's."""
    sizes, seen = [], set()
    for index, (work, cost, body) in enumerate(zip(works, costs, _bodies(works), strict=True)):
        size = weighted(work.written, cost.code) if body == index else 0.0
        size += sum(weighted(kinds, cost.code) for name, kinds in work.shared.items() if name not in seen)
        seen |= set(work.shared)
        sizes.append(max(0, round(size)))
    return sizes


def predictor(board: Board | None) -> Predictor | None:
    """None where the board has no cost model.

    Raises:
        BoardError: it names one that does not exist.
    """
    model = cost_model(board)
    return Predictor(board, model) if board and model else None
