"""The profile as one page that needs nothing else: figures, the chart, and tables that sort at a click."""

from __future__ import annotations

from uc_nn_pio.virtual.profile_report import Profile, function_cells, layer_cells, totals
from uc_nn_pio.virtual.profile_svg import escape, svg
from uc_nn_pio.virtual.timing import NOTICE

_STYLE = """
body { font: 14px/1.45 sans-serif; margin: 1.5em auto; max-width: 1200px; padding: 0 1em; color: #222; }
h1 { font-size: 1.4em; } h2 { font-size: 1.1em; margin-top: 1.6em; }
table { border-collapse: collapse; } td, th { padding: 0.15em 0.8em; text-align: right; border-bottom: 1px solid #ddd; }
td:first-child, th:first-child { text-align: left; font-family: monospace; }
table.figures td { text-align: left; font-family: inherit; }
thead th { cursor: pointer; background: #eef2f6; } svg { max-width: 100%; height: auto; }
"""
_SCRIPT = """
document.querySelectorAll("table.sortable").forEach(function (table) {
  table.querySelectorAll("thead th").forEach(function (head, column) {
    head.addEventListener("click", function () {
      var down = head.dataset.down !== "yes";
      head.dataset.down = down ? "yes" : "no";
      var body = table.tBodies[0];
      Array.from(body.rows).sort(function (a, b) {
        var x = a.cells[column].textContent, y = b.cells[column].textContent;
        if (column === 0) { return down ? x.localeCompare(y) : y.localeCompare(x); }
        x = parseFloat(x.replace(/,/g, "")); y = parseFloat(y.replace(/,/g, ""));
        return down ? y - x : x - y;
      }).forEach(function (row) { body.appendChild(row); });
    });
  });
});
"""


def html(profile: Profile) -> str:
    """The page; every name is escaped."""
    title = f"Profile of {escape(profile.firmware)} on {escape(profile.board)}"
    parts = [
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1>\n<p>{escape(NOTICE)}</p>",
        '<table class="figures"><tbody>',
        *(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in totals(profile)),
        "</tbody></table>",
        svg(profile),
    ]
    for model in profile.models:
        runs = max(model.runs, 1)
        parts.append(
            f"<h2>Model {escape(model.name)}, runs: {model.runs}; a layer with all that it calls; one run</h2>"
        )
        rows = [
            (layer.name or "(none)", layer_cells(layer.costs, model.costs, runs, profile)) for layer in model.layers
        ]
        parts.append(_table(("layer", "cycles", "ms", "part", "flash wait", "I-cache", "instructions"), rows))
    parts.append("<h2>Functions, without what they call, the whole run</h2>")
    functions = [(function.function, function_cells(function, profile)) for function in profile.functions]
    parts.append(_table(("function", "cycles", "part", "flash wait", "I-cache", "instructions", "calls"), functions))
    return "\n".join([*parts, f"<script>{_SCRIPT}</script></body></html>\n"])


def _table(head: tuple[str, ...], rows: list[tuple[str, tuple[str, ...]]]) -> str:
    heads = "".join(f"<th>{escape(each)}</th>" for each in head)
    body = "\n".join(
        f"<tr><td>{escape(name)}</td>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
        for name, cells in rows
    )
    return f'<table class="sortable"><thead><tr>{heads}</tr></thead><tbody>\n{body}\n</tbody></table>'
