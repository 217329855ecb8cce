"""What a live network would need on a board, while it is still being designed: no spec, no file, no training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from uc_nn_pio.boards import Board, load_board
from uc_nn_pio.converter import design_of_graph
from uc_nn_pio.design import Design
from uc_nn_pio.errors import PlanError, SpecError
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import Method, calibrate, quantize
from uc_nn_pio.report import report, report_line, report_text
from uc_nn_pio.spec import LEAST, InputSpec, MemorySpec, ModelSource, ModelSpec, OutputSpec

if TYPE_CHECKING:
    import torch

SAMPLES = 4
"""Random inputs with which int8 ranges are found: bytes and cycles do not depend on them."""


@dataclass(frozen=True)
class Estimate:
    """A network on a board. What is predicted is None on a board without a cost model.

    Attributes:
        fits: whether the budget holds it.
        ram_bytes: context and tables in RAM; the least there is where it does not fit.
        flash_bytes: tables.
        macs: multiply-accumulates of an inference.
        cycles, milliseconds: predicted, at the board's default clock.
        why_not: what the budget lacks, and what would help; None where it fits.
        data: the whole report, as ``uc-nn report --json`` has it.
        design: kernels, plan and placement.
    """

    fits: bool
    ram_bytes: int
    flash_bytes: int
    macs: int
    cycles: int | None
    milliseconds: float | None
    why_not: str | None
    data: Mapping[str, Any]
    design: Design

    def __str__(self) -> str:
        """One line."""
        return report_line(self.data) + ("" if self.fits else "; does not fit")

    def text(self) -> str:
        """The whole report, for reading."""
        return report_text(self.design)


def estimate(
    network: torch.nn.Module,
    input_shape: tuple[int, ...] | Mapping[str, tuple[int, ...]],
    *,
    board: str | Board = "hifive1",
    precision: str = "int8",
    memory: MemorySpec | None = None,
    name: str = "network",
) -> Estimate:
    """RAM, flash and predicted cycles of a network, trained or not.

    Args:
        network: left as it is; eval mode is used.
        input_shape: without the batch axis: (C, H, W), (C, L) or (F,); of several inputs, each by its name, in the
            order of ``forward``'s arguments.
        board: a name of ``uc-nn`` (``boards/``), or one loaded.
        precision: ``int8`` or ``float32``. int8 is calibrated with random inputs, which says nothing of accuracy.
        memory: schedule and budget, as the section of a spec; the board's RAM without it.
        name: of the model in the report.

    Raises:
        UnsupportedError, ErrorGroup: layers that cannot be converted, all at once.
        ModelError, BoardError: the network cannot take the shape; no such board.
    """
    from uc_nn_pio.capture import capture_module  # imports torch

    if precision not in ("int8", "float32"):
        raise SpecError(f"no precision {precision!r}", next_step="int8 or float32")
    board = load_board(board) if isinstance(board, str) else board
    memory = memory or MemorySpec()
    shapes = input_shape if isinstance(input_shape, Mapping) else {"input": input_shape}
    inputs = tuple(InputSpec(tuple(shape), name=each) for each, shape in shapes.items())
    spec = ModelSpec(
        Path(f"{name}.yaml"),
        name,
        ModelSource(),
        input=inputs[0],
        inputs=inputs if len(inputs) > 1 else (),
        output=OutputSpec(),
        precision=precision,
        memory=memory,
        text_sha256="",
    )
    captured = capture_module(network, {each.name: each.shape for each in inputs}, name)
    graph = lower(captured)
    if precision == "int8":
        rng = np.random.default_rng(0)
        samples = {each.name: rng.normal(size=(SAMPLES, *each.shape)).astype(np.float32) for each in inputs}
        graph = quantize(graph, calibrate(graph, [samples], Method.MINMAX))
    why_not = None
    try:
        design = design_of_graph(spec, captured, graph, board)
    except PlanError as error:
        why_not = str(error)
        least = replace(spec, memory=MemorySpec(memory.schedule, ram_budget=LEAST))
        design = design_of_graph(least, captured, graph, board)
    return _estimate(design, why_not)


def _estimate(design: Design, why_not: str | None) -> Estimate:
    data = report(design)
    speed = data["predicted"]
    return Estimate(
        fits=why_not is None,
        ram_bytes=data["ram"]["context_bytes"] + data["ram"]["constants_bytes"],
        flash_bytes=data["flash"]["weight_bytes"],
        macs=data["macs"],
        cycles=speed and speed["cycles"],
        milliseconds=speed and round(1000 * speed["cycles"] / speed["core_hz"], 3),
        why_not=why_not,
        data=data,
        design=design,
    )
