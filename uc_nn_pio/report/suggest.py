"""Which layer to make smaller: what a quarter of its channels less would save of RAM, flash and time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from uc_nn_pio.cost.predict import predictor
from uc_nn_pio.design import Design
from uc_nn_pio.escape import terminal
from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.graph.ops import Conv2d, Linear
from uc_nn_pio.lower.narrow import narrowed

SHARE = 0.75
MOST = 12
"""Layers that are tried: those that take the most time, or have the most weights where nothing is predicted."""

Redesign = Callable[[Graph], Design]
"""A design of another graph, for the same board and spec."""


@dataclass(frozen=True)
class Figures:
    """Of a design: bytes of RAM, of tables, and predicted cycles where the board has a cost model."""

    ram_bytes: int
    flash_bytes: int
    cycles: int | None


@dataclass(frozen=True)
class Suggestion:
    """A layer with fewer channels, and the figures of the network with it."""

    layer: str
    channels: int
    fewer: int
    figures: Figures


def figures_of(design: Design) -> Figures:
    predicted = predictor(design.board)
    cycles = predicted.predict(design.kernels, design.placement).total.cycles if predicted else None
    return Figures(
        design.plan.total_bytes + design.placement.ram_bytes,
        design.weight_bytes,
        None if cycles is None else round(cycles),
    )


def suggestions(design: Design, redesign: Redesign, budget: int | None) -> list[Suggestion]:
    """The layers worth narrowing: those that bring the network under ``budget`` first, then by what they save.

    Saved is RAM where the budget is not met, else time, else flash.
    """
    now = figures_of(design)
    found = []
    for node in _candidates(design):
        channels = design.graph.tensor(node.output).shape[0]
        fewer = int(channels * SHARE)
        graph = narrowed(design.graph, node, fewer)
        if graph is not None:
            found.append(Suggestion(node.name, channels, fewer, figures_of(redesign(graph))))
    short = budget is not None and now.ram_bytes > budget

    def worth(each: Suggestion) -> tuple[float, ...]:
        figures = each.figures
        return (figures.ram_bytes if short else 0, figures.cycles or 0, figures.flash_bytes)

    return sorted((each for each in found if each.figures != now), key=worth)


def _candidates(design: Design) -> Sequence[Node]:
    predicted = predictor(design.board)
    prediction = predicted.predict(design.kernels, design.placement) if predicted else None

    def weight(index: int) -> float:
        kernel = design.kernels[index]
        return prediction.layers[index].cycles if prediction else sum(table.bytes for table in kernel.tables())

    order = sorted(range(len(design.kernels)), key=weight, reverse=True)
    nodes = [design.kernels[index].node for index in order]
    return [node for node in nodes if isinstance(node.op, Conv2d | Linear)][:MOST]


def suggestions_data(design: Design, found: Sequence[Suggestion], budget: int | None) -> Mapping[str, Any]:
    """As JSON has it."""
    return {
        "now": asdict(figures_of(design)),
        "budget_bytes": budget,
        "suggestions": [asdict(each) for each in found],
    }


def suggestions_text(design: Design, found: Sequence[Suggestion], budget: int | None) -> str:
    """A table for the terminal."""
    now = figures_of(design)
    lines = [f"{design.spec.name}: {now.ram_bytes:,} B of RAM, {now.flash_bytes:,} B of weights"]
    if budget is not None:
        over = now.ram_bytes - budget
        lines[0] += f"; the budget is {budget:,} B" + (f", {over:,} B too few" if over > 0 else "")
    if not found:
        return "\n".join([*lines, "no layer can be narrower by itself: their channels leave the network or are added"])
    width = max(len(terminal(each.layer)) for each in found) + 2
    lines += ["", f"{'layer':{width}}{'channels':>14}{'RAM B':>18}{'flash B':>20}{'cycles':>10}"]
    for each in found:
        figures = each.figures
        fits = budget is not None and now.ram_bytes > budget >= figures.ram_bytes
        lines.append(
            f"{terminal(each.layer):{width}}{f'{each.channels} -> {each.fewer}':>14}"
            f"{_change(now.ram_bytes, figures.ram_bytes):>18}{_change(now.flash_bytes, figures.flash_bytes):>20}"
            + ("" if figures.cycles is None else f"{100 * (figures.cycles / now.cycles - 1):+8.1f} %")
            + ("  fits" if fits else "")
        )
    lines += ["", "a quarter of one layer's channels less; train again after that. Accuracy is not estimated."]
    return "\n".join(lines)


def _change(now: int, then: int) -> str:
    return f"{then:,} ({then - now:+,})" if then != now else f"{then:,}"
