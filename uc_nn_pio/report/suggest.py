"""Which layer to make smaller: what a quarter of its channels less would save of RAM, flash and time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from uc_nn_pio.cost.predict import predictor
from uc_nn_pio.cost.prediction import Prediction
from uc_nn_pio.design import Design
from uc_nn_pio.escape import terminal
from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.graph.ops import Conv2d, Linear
from uc_nn_pio.lower.narrow import narrowed
from uc_nn_pio.progress import track

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


@dataclass(frozen=True)
class Suggestions:
    """What could be smaller in a model: ``now`` are its figures as it is, ``budget_bytes`` those of RAM that it may
    have, None for no limit; ``suggestions`` has the best first."""

    model: str
    now: Figures
    budget_bytes: int | None
    suggestions: tuple[Suggestion, ...] = ()

    @property
    def over_budget(self) -> bool:
        return not self.fits(self.now)

    def fits(self, figures: Figures) -> bool:
        return self.budget_bytes is None or figures.ram_bytes <= self.budget_bytes

    def as_dict(self) -> Mapping[str, Any]:
        return {key: value for key, value in asdict(self).items() if key != "model"}

    def text(self) -> str:
        """A table for the terminal."""
        now, budget = self.now, self.budget_bytes
        head = f"{self.model}: {now.ram_bytes:,} B of RAM, {now.flash_bytes:,} B of weights"
        if budget is not None:
            head += f"; the budget is {budget:,} B"
            head += f", {now.ram_bytes - budget:,} B too few" if self.over_budget else ""
        if not self.suggestions:
            return f"{head}\nno layer can be narrower by itself: their channels leave the network or are added"
        width = max(len(terminal(each.layer)) for each in self.suggestions) + 2
        titles = f"{'layer':{width}}{'channels':>14}{'RAM B':>18}{'flash B':>20}{'cycles':>10}"
        rows = [self._row(each, width) for each in self.suggestions]
        foot = "a quarter of one layer's channels less; train again after that. Accuracy is not estimated."
        return "\n".join([head, "", titles, *rows, "", foot])

    def _row(self, each: Suggestion, width: int) -> str:
        now, then = self.now, each.figures
        return (
            f"{terminal(each.layer):{width}}{f'{each.channels} -> {each.fewer}':>14}"
            f"{_change(now.ram_bytes, then.ram_bytes):>18}{_change(now.flash_bytes, then.flash_bytes):>20}"
            + ("" if then.cycles is None else f"{100 * (then.cycles / now.cycles - 1):+8.1f} %")
            + ("  fits" if self.over_budget and self.fits(then) else "")
        )


def suggestions(design: Design, redesign: Redesign, budget: int | None) -> Suggestions:
    """The layers worth narrowing: those that bring the network under ``budget`` first, then by what they save.

    Saved is RAM where the budget is not met, else time, else flash.
    """
    prediction = _predicted(design)
    now = _figures(design, prediction)
    found = []
    for node in track(_candidates(design, prediction), "narrowing layer by layer"):
        channels = design.graph.tensor(node.output).shape[0]
        fewer = int(channels * SHARE)
        graph = narrowed(design.graph, node, fewer)
        if graph is not None:
            narrower = redesign(graph)
            figures = _figures(narrower, _predicted(narrower))
            if figures != now:
                found.append(Suggestion(node.name, channels, fewer, figures))
    whole = Suggestions(design.spec.name, now, budget)

    def worth(each: Suggestion) -> tuple[float, ...]:
        figures = each.figures
        return (figures.ram_bytes if whole.over_budget else 0, figures.cycles or 0, figures.flash_bytes)

    return replace(whole, suggestions=tuple(sorted(found, key=worth)))


def _predicted(design: Design) -> Prediction | None:
    model = predictor(design.board)
    return model.predict(design.kernels, design.placement) if model else None


def _figures(design: Design, prediction: Prediction | None) -> Figures:
    return Figures(
        design.plan.total_bytes + design.placement.ram_bytes,
        design.weight_bytes,
        None if prediction is None else round(prediction.total.cycles),
    )


def _candidates(design: Design, prediction: Prediction | None) -> Sequence[Node]:
    def weight(index: int) -> float:
        kernel = design.kernels[index]
        return prediction.layers[index].cycles if prediction else sum(table.bytes for table in kernel.tables())

    order = sorted(range(len(design.kernels)), key=weight, reverse=True)
    nodes = [design.kernels[index].node for index in order]
    return [node for node in nodes if isinstance(node.op, Conv2d | Linear)][:MOST]


def _change(now: int, then: int) -> str:
    return f"{then:,} ({then - now:+,})" if then != now else f"{then:,}"
