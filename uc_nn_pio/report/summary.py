"""The report of a design, as plain data (for JSON) and as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uc_nn_pio import __version__
from uc_nn_pio.cost.predict import predictor
from uc_nn_pio.cost.prediction import Prediction
from uc_nn_pio.design import Design, graph_hash
from uc_nn_pio.emit.kernels.base import shape_text
from uc_nn_pio.escape import terminal
from uc_nn_pio.graph.cost import macs
from uc_nn_pio.graph.ir import Source
from uc_nn_pio.report.choices import choices_data, choices_text
from uc_nn_pio.report.quantization import noise_data, noise_text
from uc_nn_pio.report.speed import HEAD, layer_speed_data, layer_speed_text, rate, speed_data, speed_text
from uc_nn_pio.report.tables import tables_data, tables_text
from uc_nn_pio.schedule.memory_map import memory_map


def report(design: Design) -> Mapping[str, Any]:
    """Everything known of a design before it runs: bytes, counts, and what they are predicted to take."""
    plan, board, predicted = design.plan, design.board, predictor(design.board)
    prediction = prediction_of(design)
    return {
        "model": design.spec.name,
        "precision": design.precision,
        "converter": __version__,
        "graph_sha256": graph_hash(design.graph),
        "board": board.id if board else None,
        "schedule": plan.schedule,
        "ram": {
            "context_bytes": plan.total_bytes,
            "activation_bytes": plan.activation_bytes,
            "scratch_bytes": plan.scratch_bytes,
            "counter_bytes": plan.counter_bytes,
            "bound_bytes": plan.bound_bytes,
            "constants_bytes": design.placement.ram_bytes,
            "board_bytes": board.ram.size if board else None,
        },
        "flash": {"weight_bytes": design.weight_bytes, "board_bytes": board.flash.size if board else None},
        "macs": sum(macs(design.graph, node) for node in design.graph.nodes),
        "predicted": speed_data(prediction, board),
        "choices": choices_data(design, predicted),
        "tables": tables_data(design),
        "layers": [_layer(design, index, prediction) for index in range(len(design.kernels))],
        "noise": noise_data(design.noise),
        "buffers": [
            {
                "name": p.name,
                "offset": p.offset,
                "bytes": p.size,
                "first": p.first,
                "last": p.last,
                "scratch": p.scratch,
            }
            for p in plan.placements
        ],
    }


def prediction_of(design: Design) -> Prediction | None:
    """What an inference is predicted to take; None where the board has no cost model."""
    predicted = predictor(design.board)
    return predicted.predict(design.kernels, design.placement) if predicted else None


def _layer(design: Design, index: int, prediction: Prediction | None) -> Mapping[str, Any]:
    kernel, plan = design.kernels[index], design.plan
    node = kernel.node
    live = [p for p in plan.placements if p.first <= index <= p.last]
    shared = {pair[1] for pair in plan.shared if pair[0] == node.output}
    return {
        "name": node.name,
        "operators": node.op.title,
        "source": _source(node.source),
        "inputs": [list(tensor.shape) for tensor in kernel.inputs],
        "output": list(kernel.output.shape),
        "macs": macs(design.graph, node),
        "ram_bytes": sum(p.size for p in live if p.name not in shared),
        "scratch_bytes": kernel.scratch_bytes,
        "weight_bytes": sum(table.bytes for table in kernel.tables()),
        "predicted": layer_speed_data(prediction, index),
    }


def _source(source: Source) -> str:
    """Layer, file and line; no folder, so that a report is the same wherever the project lies."""
    return f"{source.layer} ({Path(source.file).name}:{source.line})" if source.file and source.line else source.layer


def report_line(data: Mapping[str, Any], core_hz: int | None = None, predicted: bool = True) -> str:
    """A report in a line: does it fit, how fast is it. ``core_hz`` in place of the board's default clock; not
    ``predicted`` where flash is read in another way than the prediction is for."""
    ram = data["ram"]["context_bytes"] + data["ram"]["constants_bytes"]
    parts = [
        f"{data['precision']}, {data['schedule']}",
        f"{ram:,} B of RAM",
        f"{data['flash']['weight_bytes']:,} B of weights",
    ]
    if predicted and (speed := data["predicted"]):
        hertz = core_hz or speed["core_hz"]
        parts.append(f"{rate(hertz / speed['cycles'])} inferences/s at {hertz / 1e6:g} MHz, predicted")
    return f"{data['model']}: {'; '.join(parts)}"


def report_text(design: Design) -> str:
    """The report for a terminal: layers, totals and the memory map over time."""
    data = report(design)
    ram, flash = data["ram"], data["flash"]
    shapes = [_shapes(layer) for layer in data["layers"]]
    width = max(12, *(len(terminal(layer["name"])) for layer in data["layers"])) + 2
    shape_width = max(22, *map(len, shapes)) + 2
    ops_width = max(9, *(len(layer["operators"]) for layer in data["layers"])) + 2
    lines = [
        f"{data['model']}: {data['precision']}, schedule {data['schedule']}, "
        f"board {data['board'] or 'none (no limits known)'}",
        "",
        f"{'layer':{width}}{'operators':{ops_width}}{'shape':{shape_width}}{'MAC':>10}{'RAM B':>9}{'flash B':>9}"
        + (HEAD if data["predicted"] else ""),
    ]
    for layer, shape in zip(data["layers"], shapes, strict=True):
        lines.append(
            f"{terminal(layer['name']):{width}}{layer['operators']:{ops_width}}{shape:{shape_width}}{layer['macs']:10,}"
            f"{layer['ram_bytes']:9,}{layer['weight_bytes']:9,}{layer_speed_text(layer['predicted'])}"
        )
    lines += [
        "",
        f"RAM   {ram['context_bytes']:,} B context = {ram['activation_bytes']:,} activations + "
        f"{ram['scratch_bytes']:,} scratch"
        + _counters(ram["counter_bytes"])
        + _share(ram["context_bytes"], ram["board_bytes"]),
        *_bound(ram["context_bytes"], ram["bound_bytes"]),
        *tables_text(data["tables"]),
        f"flash {flash['weight_bytes']:,} B weights" + _share(flash["weight_bytes"], flash["board_bytes"]),
        f"MAC   {data['macs']:,} an inference",
        *speed_text(data["predicted"]),
        "",
        *([noise_text(design.noise), ""] if design.precision == "int8" else []),
        *choices_text(data["choices"]),
        "",
        map_text(design),
    ]
    return "\n".join(lines)


def map_text(design: Design) -> str:
    """What lies where in the context while each layer runs."""
    lines = ["memory over time (= read, # written, % scratch, . free)", memory_map(design.plan, design.problem)]
    return "\n".join([*lines, *(_buffers(design) if design.plan.schedule == "arena" else [])])


def _buffers(design: Design) -> list[str]:
    """Where each buffer lies and from which layer to which it is needed; the map of a network with branches does not
    say what is what."""
    steps = [step.name for step in design.problem.steps]
    width = max(len(p.name) for p in design.plan.placements) + 2
    lines = ["", f"{'buffer':{width}}{'bytes':>16}  needed"]
    for place in sorted(design.plan.placements, key=lambda p: (p.first, p.offset)):
        needed = steps[place.first] if place.first == place.last else f"{steps[place.first]} .. {steps[place.last]}"
        lines.append(f"{terminal(place.name):{width}}{f'{place.offset}..{place.end - 1}':>16}  {terminal(needed)}")
    return lines


def _bound(size: int, least: int | None) -> list[str]:
    """What is proven of a plan's size, where the schedule proves anything."""
    if least is None:
        return []
    if size == least:
        return ["      no plan of these layers can have less"]
    return [
        f"      {100 * (size / least - 1):.1f} % above {least:,} B, less than which no plan of these layers can have"
    ]


def _shapes(layer: Mapping[str, Any]) -> str:
    entries = " + ".join(shape_text(tuple(shape)) for shape in layer["inputs"])
    return f"{entries} -> {shape_text(tuple(layer['output']))}"


def _counters(size: int) -> str:
    return f" + {size} row counters" if size else ""


def _share(used: int, available: int | None) -> str:
    return f" ({100 * used / available:.1f} % of the board's {available:,} B)" if available else ""
