"""The converter: the stages in order, from a spec file to the texts of C files. It writes nothing.

spec -> capture -> lower -> kernels -> schedule -> place -> emit, report
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from uc_nn_pio.boards import Board
from uc_nn_pio.choose import Choice, choose
from uc_nn_pio.cost import table_uses
from uc_nn_pio.cost.predict import predictor
from uc_nn_pio.design import Design
from uc_nn_pio.emit import compile_flags
from uc_nn_pio.emit.kernels import select
from uc_nn_pio.emit.kernels.tuning import tuning_of
from uc_nn_pio.emit.render import render
from uc_nn_pio.errors import ModelError, PlanError, SpecError
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.ops import Recurrent
from uc_nn_pio.lower import lower
from uc_nn_pio.place import ConstantPlacement, place_constants
from uc_nn_pio.quantize import Imported, LayerNoise, Range, lift, quantize_imported, unquantized
from uc_nn_pio.quantize.from_spec import calibrate_spec, quantize_spec
from uc_nn_pio.quantize.range_file import read_ranges
from uc_nn_pio.report import report, report_line
from uc_nn_pio.report.suggest import Suggestions, suggestions
from uc_nn_pio.spec import LEAST, ModelSpec, load_spec

DEFAULT_FIRMWARE_RESERVE = 4096
"""Bytes of a board's RAM left to drivers, data and stack where the spec does not say."""


@dataclass(frozen=True)
class Conversion:
    """A converted model. ``files`` maps file names to texts; ``dependencies`` is every file that was read."""

    name: str
    files: Mapping[str, str]
    dependencies: tuple[Path, ...]
    report: Mapping[str, Any]
    design: Design

    def line(self, core_hz: int | None, flash: str) -> str:
        """The report in a line, of a build with this core clock and this way to read flash."""
        return report_line(self.report, core_hz, predicted=flash == "reset")

    @property
    def traced(self) -> Mapping[str, str]:
        """``files`` that tell of each layer as they run (:func:`~uc_nn_pio.emit.render.render`)."""
        return render(self.design, traced=True)

    @property
    def compile_flags(self) -> tuple[str, ...]:
        """Flags for the model's C file, to stand behind those of the build."""
        tuning = tuning_of(self.design.board)
        return compile_flags(self.design.precision, tuning.packed, tuning.dual)


def convert(spec: Path | ModelSpec, board: Board | None = None) -> Conversion:
    """Turn a model spec into C for a board.

    Args:
        spec: the YAML file, or a spec already loaded.
        board: sets the default RAM budget and the costs; without one there is no budget but the spec's.

    Raises:
        UcNnError: anything that a user can mend: spec, weights, operators, budget.
    """
    from uc_nn_pio.capture import capture  # imports torch

    if not isinstance(spec, ModelSpec):
        spec = load_spec(spec)
    captured = capture(spec)
    design = make_design(spec, captured.graph, board)
    read = [spec.path, *captured.dependencies]
    if design.precision == "int8" and spec.calibration and spec.calibration.path:
        read.append(spec.calibration.path)
    paths = dict.fromkeys(path.resolve() for path in read)
    return Conversion(spec.name, render(design), tuple(paths), report(design), design)


def make_design(spec: ModelSpec, captured: Graph, board: Board | None) -> Design:
    """Decide everything about a captured network: kernels, plan and placement.

    Raises:
        ModelError, UnsupportedError, PlanError: see the stages.
    """
    imported = lift(captured)
    captured = imported.graph if imported else captured
    graph = with_state(spec, lower(captured))
    if not graph.nodes:
        raise ModelError("the network computes nothing", where=str(spec.path), why="all its layers are identities")
    _check_labels(spec, graph)
    _check_outputs(spec, graph)
    noise: tuple[LayerNoise, ...] = ()
    if imported:
        graph = _with_own_scales(spec, graph, imported)
    elif spec.precision == "int8":
        quantized = quantize_spec(spec, graph)
        graph, noise = quantized.graph, quantized.noise
    return design_of_graph(spec, captured, graph, board, noise)


def with_state(spec: ModelSpec, graph: Graph) -> Graph:
    """Recurrent layers that carry their state on from run to run, if the spec says so.

    Raises:
        SpecError: there is none that could.
    """
    if spec.state == "fresh":
        return graph
    found = [node for node in graph.nodes if isinstance(node.op, Recurrent)]
    backwards = next((node for node in found if node.op.reverse), None)
    if backwards or not found:
        raise SpecError(
            "state: carried, but the network has no recurrent layer" if not found else "state: carried is not possible",
            where=spec.location("state"),
            why=f"{backwards.source} goes backwards, and begins with rows that are still to come"
            if backwards
            else None,
            next_step="leave state out",
        )
    nodes = [replace(n, op=replace(n.op, carried=True)) if isinstance(n.op, Recurrent) else n for n in graph.nodes]
    return replace(graph, nodes=tuple(nodes))


def suggest(spec: ModelSpec, board: Board | None) -> Suggestions:
    """Which layers to narrow, for a spec whose network may be too large for its budget: of one that is, the figures are
    those of the least RAM.

    Raises:
        UcNnError: as :func:`convert`, but for the budget.
    """
    from uc_nn_pio.capture import capture  # imports torch

    captured, budget = capture(spec).graph, budget_of(spec, board) or None  # the least is no budget to meet
    try:
        design = make_design(spec, captured, board)
    except PlanError:
        spec = replace(spec, memory=replace(spec.memory, ram_budget=LEAST, ram_weights="none"))
        design = make_design(spec, captured, board)

    def redesign(graph: Graph) -> Design:
        return design_of_graph(spec, captured, graph, board)

    return suggestions(design, redesign, budget)


def _with_own_scales(spec: ModelSpec, lowered: Graph, imported: Imported) -> Graph:
    """The int8 graph of a network that PyTorch has quantized. Calibration is used for what it left in float alone.

    Raises:
        SpecError: the spec asks for float32.
        ModelError, UnsupportedError: the network cannot be int8.
    """
    if spec.precision == "float32" and ("precision",) in spec.locations:
        raise SpecError(
            "precision: float32, but the network is quantized",
            where=spec.location("precision"),
            why="its weights are integers already, and its scales are fixed; its C computes in int8",
            next_step="precision: int8, or export the network as it was before it was quantized",
        )
    ranges: Mapping[str, Range] = {}
    if spec.calibration and unquantized(lowered, imported):
        file = spec.calibration.ranges
        ranges = (read_ranges(file, lowered) if file else calibrate_spec(spec, lowered)).ranges
    return quantize_imported(lowered, imported, ranges)


def design_of_graph(
    spec: ModelSpec, captured: Graph, graph: Graph, board: Board | None, noise: tuple[LayerNoise, ...] = ()
) -> Design:
    """Kernels, plan and placement of a lowered, and perhaps quantized, graph.

    Raises:
        UnsupportedError, PlanError: see the stages.
    """
    budget, predicted = budget_of(spec, board), predictor(board)

    def placed(choice: Choice) -> ConstantPlacement:
        room = _ram_for_weights(spec, budget, choice.plan.total_bytes)
        return place_constants(table_uses(choice.kernels, board), room)

    def cycles(choice: Choice) -> float:
        assert predicted is not None
        return predicted.predict(choice.kernels, placed(choice)).total.cycles

    kernels = tuple(select(graph, spec.name, tuning_of(board), _names_of_ends(spec, graph)))
    chosen = choose(graph, kernels, spec.memory.schedule, budget, cycles if predicted else None)
    return Design(spec, board, captured, graph, chosen.kernels, chosen.problem, chosen.plan, placed(chosen), noise)


def _names_of_ends(spec: ModelSpec, graph: Graph) -> list[str]:
    """Names of C functions for several inputs and outputs."""
    outputs = spec.output.names or map(str, range(len(graph.outputs)))
    return [*(f"input_{each.name}" for each in spec.inputs), *(f"output_{name}" for name in outputs)]


def _check_outputs(spec: ModelSpec, graph: Graph) -> None:
    names = spec.output.names
    if names is not None and (len(names) != len(graph.outputs) or len(set(names)) != len(names)):
        raise ModelError(
            f"{len(names)} names for {len(graph.outputs)} outputs",
            where=str(spec.location("output", "names")),
            why="each output has one, in the order in which forward returns them",
            next_step=f"give {len(graph.outputs)} different names, or leave output.names out",
        )


def _ram_for_weights(spec: ModelSpec, budget: int | None, context: int) -> int:
    """Bytes for tables in RAM: what the budget leaves beside the context, or as many as the spec allows of them."""
    asked = spec.memory.ram_weights
    if asked == "none" or budget is None:
        return 0
    left = max(0, budget - context)
    return left if asked == "auto" else min(int(asked), left)


def budget_of(spec: ModelSpec, board: Board | None) -> int | None:
    """Bytes of RAM that the model may have; None for no limit."""
    if spec.memory.ram_budget is not None:
        return spec.memory.ram_budget
    if board is None:
        return None
    reserve = spec.memory.firmware_reserve
    return max(1, board.ram.size - (DEFAULT_FIRMWARE_RESERVE if reserve is None else reserve))


def _check_labels(spec: ModelSpec, graph: Graph) -> None:
    size = graph.tensor(graph.outputs[0]).elements
    labels = spec.output.labels
    if labels is not None and len(labels) != size:
        raise ModelError(
            f"{len(labels)} labels for {size} outputs",
            where=str(spec.location("output", "labels")),
            why="label i names output i",
            next_step=f"give {size} labels, or leave output.labels out",
        )
