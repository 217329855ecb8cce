"""The report as one page that needs nothing else: figures, layers, memory over time, ways to lay it out, boards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from uc_nn_pio.design import Design
from uc_nn_pio.emit.kernels.base import shape_text
from uc_nn_pio.report.fits import fits_data
from uc_nn_pio.report.speed import rate
from uc_nn_pio.report.summary import report
from uc_nn_pio.schedule import Placement

_STYLE = """
body { font: 14px/1.45 sans-serif; margin: 1.5em auto; max-width: 1100px; padding: 0 1em; }
body { color: #222; background: #fff; }
h1 { font-size: 1.4em; } h2 { font-size: 1.1em; margin-top: 1.8em; } p { max-width: 75ch; }
table { border-collapse: collapse; } td, th { padding: 0.15em 0.8em; text-align: right; border-bottom: 1px solid #ddd; }
td.text, th.text { text-align: left; } td.text { font-family: monospace; } td, thead th { white-space: nowrap; }
thead th { background: #eef2f6; } .wide { overflow-x: auto; }
.tiles { display: flex; flex-wrap: wrap; gap: 0.8em; margin: 1em 0; }
.tile { border: 1px solid #ccd; border-radius: 6px; padding: 0.5em 1em; min-width: 8em; }
.tile b { display: block; font-size: 1.25em; }
.bar { display: inline-block; height: 0.8em; background: #4477aa; vertical-align: middle; }
.taken td { background: #eef6ee; } .no { color: #aa3333; } svg { max-width: 100%; height: auto; }
@media (prefers-color-scheme: dark) {
  body { background: #181a1e; color: #ddd; } thead th { background: #2a2f38; } td, th { border-color: #3a3f48; }
  .taken td { background: #22332a; } .tile { border-color: #444a55; } svg text { fill: #ddd; }
}
"""
COLOURS = {"input": "#66aa77", "activations": "#4477aa", "output": "#aa7744", "scratch": "#bbbb88", "state": "#aa6699"}
"""Of what lies in the context, by kind."""


def report_page(design: Design) -> str:
    """HTML of a design; names of the user's are escaped."""
    data, boards = report(design), fits_data(design)
    title = f"{escape(data['model'])}: {data['precision']}, schedule {data['schedule']}"
    parts = [
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1>",
        f"<p>Board {escape(str(data['board'] or 'none'))}. {'Cycles are predicted.' if data['predicted'] else ''} "
        f"Made by uc_nn_pio {escape(data['converter'])}.</p>",
        *_tiles(data),
        "<h2>Layers</h2>",
        *_layers(data),
        "<h2>Memory over time</h2>",
        "<p>What lies where in the context while each layer runs: a column a layer, bytes from the top down.</p>",
        memory_svg(design),
        "<h2>Constants</h2>",
        *_constants(data["tables"]),
        "<h2>Ways to lay it out</h2>",
        *_choices(data["choices"]),
        "<h2>Boards</h2>",
        *_boards(boards),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _tiles(data: Mapping[str, Any]) -> Iterator[str]:
    ram, flash, speed = data["ram"], data["flash"], data["predicted"]
    tiles = [
        ("RAM", f"{ram['context_bytes'] + ram['constants_bytes']:,} B", _of(ram["board_bytes"])),
        ("weights in flash", f"{flash['weight_bytes']:,} B", _of(flash["board_bytes"])),
        ("multiply-accumulates", f"{data['macs']:,}", "an inference"),
    ]
    if speed:
        hertz = speed["core_hz"]
        tiles.append(("inferences a second", rate(hertz / speed["cycles"]), f"at {hertz / 1e6:g} MHz, predicted"))
    yield '<div class="tiles">'
    for name, value, more in tiles:
        yield f'<div class="tile">{escape(name)}<b>{escape(value)}</b>{escape(more)}</div>'
    yield "</div>"


def _of(size: int | None) -> str:
    return f"of {size:,} B" if size else ""


def _table(head: Sequence[str], rows: Iterator[str], texts: int = 1) -> Iterator[str]:
    cells = "".join(f'<th class="text">{h}</th>' if i < texts else f"<th>{h}</th>" for i, h in enumerate(head))
    yield f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>'
    yield from rows
    yield "</tbody></table></div>"


def _row(texts: Sequence[object], figures: Sequence[object], style: str = "") -> str:
    cells = "".join(f'<td class="text">{escape(str(text))}</td>' for text in texts)
    cells += "".join(f"<td>{figure}</td>" for figure in figures)
    return f"<tr{f' class={chr(34)}{style}{chr(34)}' if style else ''}>{cells}</tr>"


def _bar(share: float) -> str:
    return f'<span class="bar" style="width:{max(0.0, share) * 8:.2f}em"></span> {100 * share:.1f} %'


def _layers(data: Mapping[str, Any]) -> Iterator[str]:
    speed = data["predicted"]
    head = ["layer", "operators", "shape", "source", "MAC", "RAM B", "flash B", *(["cycles", "share"] if speed else [])]

    def rows() -> Iterator[str]:
        for layer in data["layers"]:
            shapes = " + ".join(shape_text(tuple(shape)) for shape in layer["inputs"])
            figures = [f"{layer[key]:,}" for key in ("macs", "ram_bytes", "weight_bytes")]
            if speed:
                cycles = layer["predicted"]["cycles"]
                figures += [f"{cycles:,}", _bar(cycles / max(1, speed["cycles"]))]
            shape = f"{shapes} → {shape_text(tuple(layer['output']))}"
            yield _row([layer["name"], layer["operators"], shape, layer["source"]], figures)

    return _table(head, rows(), 4)


def _constants(tables: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    def rows() -> Iterator[str]:
        for table in tables:
            saved = table["saved_cycles"]
            figures = [f"{table['bytes']:,}", f"{table['reads_per_word']:g}", f"{saved:,}" if saved else "&ndash;"]
            yield _row([table["name"], table["layer"], table["region"]], figures)

    return _table(["table", "layer", "lies in", "bytes", "reads of a word", "cycles saved in RAM"], rows(), 3)


def _choices(choices: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    fastest = max((way["inferences_per_second"] or 0 for way in choices), default=0)
    largest = max(way["context_bytes"] for way in choices)

    def rows() -> Iterator[str]:
        for way in choices:
            speed = way["inferences_per_second"]
            figures = [
                way["streamed_layers"] or "&ndash;",
                f"{way['context_bytes']:,}",
                f'<span class="bar" style="width:{8 * way["context_bytes"] / largest:.2f}em"></span>',
                rate(speed) if speed else "&ndash;",
                f'<span class="bar" style="width:{8 * (speed or 0) / fastest if fastest else 0:.2f}em"></span>',
            ]
            yield _row([way["schedule"]], figures, "taken" if way["taken"] else "")

    return _table(["schedule", "streamed layers", "context B", "", "inferences/s", ""], rows())


def _boards(boards: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    def rows() -> Iterator[str]:
        for board in boards:
            speed = board["inferences_per_second"]
            figures = [
                "yes" if board["fits"] else '<span class="no">no</span>',
                f"{board['ram_bytes']:,}",
                f"{board['ram_for_models']:,}",
                f"{board['flash_bytes']:,}",
                f"{board['board_flash_bytes']:,}",
                rate(speed) if speed else "unknown",
            ]
            yield _row([board["board"], board["name"], board["schedule"]], figures)

    head = ["board", "name", "schedule", "fits", "RAM B", "of", "flash B", "of", "inferences/s"]
    return _table(head, rows(), 3)


COLUMN, HEIGHT, LEFT, TOP = 90, 320, 70, 30
"""Of the drawing, in pixels: a layer's width, the context's height, and what is beside."""


def memory_svg(design: Design) -> str:
    """A rectangle a buffer: from the layer that makes it to the last that reads it, at its bytes."""
    plan, steps = design.plan, [step.name for step in design.problem.steps]
    scale = HEIGHT / max(1, plan.total_bytes)
    width = LEFT + COLUMN * len(steps) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT + TOP + 30}" width="{width}" '
        f'role="img" aria-label="memory over time" font-family="sans-serif" font-size="11">'
    ]
    for number, name in enumerate(steps):
        x = LEFT + COLUMN * number + COLUMN / 2
        lines.append(f'<text x="{x}" y="{TOP - 10}" text-anchor="middle">{escape(_short(name))}</text>')
    for mark in range(5):
        size = plan.total_bytes * mark // 4
        y = TOP + size * scale
        lines.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{size:,}</text>')
        lines.append(f'<line x1="{LEFT}" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ccc"/>')
    for place in sorted(plan.placements, key=lambda p: -p.size):
        lines.append(_buffer(design, place, scale))
    x = LEFT
    for kind, colour in COLOURS.items():
        lines.append(f'<rect x="{x}" y="{HEIGHT + TOP + 12}" width="12" height="12" fill="{colour}"/>')
        lines.append(f'<text x="{x + 17}" y="{HEIGHT + TOP + 22}">{kind}</text>')
        x += 100
    return "\n".join([*lines, "</svg>"])


def _buffer(design: Design, place: Placement, scale: float) -> str:
    kind = kind_of(design, place)
    x, y = LEFT + COLUMN * place.first + 2, TOP + place.offset * scale
    width, height = COLUMN * (place.last - place.first + 1) - 4, max(1.0, place.size * scale)
    text = f"{place.name}: {place.size:,} B, bytes {place.offset:,}..{place.end - 1:,}"
    label = ""
    if height > 13:
        label = f'<text x="{x + 4}" y="{y + 11:.1f}" style="fill:#fff">{escape(_short(place.name, width // 7))}</text>'
    return (
        f'<g><title>{escape(text)}</title><rect x="{x}" y="{y:.1f}" width="{width}" height="{height:.1f}" '
        f'fill="{COLOURS[kind]}" fill-opacity="0.85" stroke="#fff"/>{label}</g>'
    )


def kind_of(design: Design, place: Placement) -> str:
    """A key of :data:`COLOURS`."""
    if place.scratch:
        return "scratch"
    if place.name in design.graph.inputs:
        return "input"
    if place.name in design.graph.outputs:
        return "output"
    return "activations" if place.name in design.graph.tensors else "state"


def _short(name: str, most: int = 12) -> str:
    return name if len(name) <= most else f"{name[: max(1, most - 1)]}…"
