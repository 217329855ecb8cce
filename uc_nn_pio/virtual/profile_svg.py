"""The chart of a profile: an icicle, widths are cycles. From top to bottom: the run; models and the other code; layers;
functions. The strip under each box says what its cycles were: waiting for flash data, waiting for code, all else."""

from __future__ import annotations

import html
from dataclasses import dataclass

from uc_nn_pio.escape import terminal
from uc_nn_pio.virtual.profile import FunctionCounts
from uc_nn_pio.virtual.profile_report import Costs, Profile

WIDTH = 1160
ROW = 34  # height of a box with its strip
STRIP = 6
MARGIN = 10
GAP = 22  # between charts
TOP = 58
NARROWEST = 1.0  # boxes under this many pixels are drawn as one
LETTER = 6.3  # pixels of an 11 px sans-serif letter, on the safe side
COLOURS = {
    "waiting for flash data": "#e45756",
    "waiting for code (I-cache)": "#f2b447",
    "the rest: computing, registers, waiting loops": "#4c78a8",
}
FILLS = ("#e8edf3", "#dce6f1", "#eef3e6", "#f4f1ea")


@dataclass(frozen=True)
class Box:
    """A box and the boxes below it; their cycles add up to its own, or less."""

    name: str
    costs: Costs
    below: tuple[Box, ...] = ()


def tree(profile: Profile) -> Box:
    """The profile as nested boxes: models in their order of layers, the rest by cost."""
    models = tuple(
        Box(
            f"model {model.name}",
            model.costs,
            tuple(Box(layer.name or "(none)", layer.costs, _functions(layer.functions)) for layer in model.layers),
        )
        for model in profile.models
    )
    others = Box("other code", Costs.of(profile.others), _functions(profile.others))
    below = (*models, others) if profile.others else models
    return Box(profile.firmware, Costs.of(profile.functions), below)


def _functions(functions: tuple[FunctionCounts, ...]) -> tuple[Box, ...]:
    return tuple(Box(function.function, Costs.of((function,))) for function in functions if function.cycles > 0)


def svg(profile: Profile) -> str:
    """A picture that stands alone: the run, then each model by itself. Every name is escaped."""
    root = tree(profile)
    charts = [root, *root.below[: len(profile.models)]]
    height = TOP + sum(_depth(chart) * ROW + GAP for chart in charts)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 2 * MARGIN} {height}" '
        f'width="{WIDTH + 2 * MARGIN}" height="{height}" font-family="sans-serif" font-size="11">',
        f'<rect width="100%" height="{height}" fill="#ffffff"/>',
        f'<text x="{MARGIN}" y="20" font-size="14">{escape(profile.firmware)} on {escape(profile.board)}: '
        f"{root.costs.cycles:,} cycles</text>",
        *_legend(),
    ]
    y = TOP
    for chart in charts:
        _draw(chart, (float(MARGIN), y), 0, WIDTH / max(chart.costs.cycles, 1), parts)
        y += _depth(chart) * ROW + GAP
    return "\n".join([*parts, "</svg>\n"])


def _legend() -> list[str]:
    parts, x = [], MARGIN
    for label, colour in COLOURS.items():
        parts.append(f'<rect x="{x}" y="31" width="11" height="11" fill="{colour}"/>')
        parts.append(f'<text x="{x + 16}" y="41">{label}</text>')
        x += 30 + int(LETTER * len(label))
    parts.append(f'<text x="{x}" y="41" fill="#555">widths are cycles; point at a box for its figures</text>')
    return parts


def _draw(box: Box, corner: tuple[float, int], level: int, scale: float, parts: list[str]) -> None:
    width = box.costs.cycles * scale
    x, y = corner
    parts.append(f"<g><title>{escape(describe(box))}</title>")
    parts.append(
        f'<rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="{ROW - STRIP - 2}" fill="{FILLS[min(level, 3)]}" '
        'stroke="#ffffff" stroke-width="0.5"/>'
    )
    at = x
    costs = box.costs
    split = (costs.flash_cycles, costs.icache_cycles, costs.other_cycles)
    for cycles, colour in zip(split, COLOURS.values(), strict=True):
        if cycles > 0:
            parts.append(
                f'<rect x="{at:.2f}" y="{y + ROW - STRIP - 2}" width="{cycles * scale:.2f}" height="{STRIP}" '
                f'fill="{colour}"/>'
            )
        at += cycles * scale
    label = fitting(box, width - 8)
    if label:
        parts.append(f'<text x="{x + 4:.2f}" y="{y + 17}">{escape(label)}</text>')
    parts.append("</g>")
    for each in _wide_enough(box.below, scale):
        _draw(each, (x, y + ROW), level + 1, scale, parts)
        x += each.costs.cycles * scale


def _wide_enough(boxes: tuple[Box, ...], scale: float) -> list[Box]:
    """The boxes that can be seen, and one for all others."""
    wide = [box for box in boxes if box.costs.cycles * scale >= NARROWEST]
    narrow = [box.costs for box in boxes if box.costs.cycles * scale < NARROWEST]
    cycles = sum(costs.cycles for costs in narrow)
    if cycles * scale >= NARROWEST:
        sums = Costs(*(sum(values) for values in zip(*(vars(costs).values() for costs in narrow), strict=True)))
        wide.append(Box(f"{len(narrow)} more", sums))
    return wide


def describe(box: Box) -> str:
    """One line of figures."""
    costs = box.costs
    return (
        f"{box.name}: {costs.cycles:,} cycles, {costs.flash_cycles:,} waiting for "
        f"{costs.flash_reads:,} flash reads, {costs.icache_cycles:,} for {costs.icache_misses:,} I-cache misses; "
        f"{costs.instructions:,} instructions, {costs.mispredicts:,} mispredicted"
    )


def fitting(box: Box, width: float) -> str:
    """As much of the name as ``width`` pixels hold; with its cycles where there is room."""
    name = terminal(box.name)
    long = f"{name}  {box.costs.cycles:,}"
    letters = int(width / LETTER)
    if len(long) <= letters:
        return long
    if len(name) <= letters:
        return name
    return f"{name[: letters - 1]}…" if letters >= 4 else ""


def escape(text: str) -> str:
    """Text for XML: no markup, no control characters."""
    return html.escape(terminal(text))


def _depth(box: Box) -> int:
    return 1 + max((_depth(each) for each in box.below), default=0)
