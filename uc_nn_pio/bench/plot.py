"""Bars of RAM and instructions, ours and the peers', as an SVG file without any dependency."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from uc_nn_pio.bench.tables import name_of

LEFT, BAR, GAP, ROW = 250, 300, 70, 21
WIDTH = LEFT + 2 * (BAR + GAP) + 20
TITLE, HEAD, PAD = 30, 26, 22
OURS, THEIRS, INK, SOFT, LINE, PAPER = "#0a7d55", "#9db2bf", "#1c2429", "#5b6a73", "#dde3e7", "#ffffff"


def plot(rows: Mapping[str, Mapping[str, Any]], fixed: Mapping[str, Any]) -> str:
    """One panel a network: RAM on the left, instructions on the right, each with a logarithmic axis, by RAM.

    Only what runs on RV32IMAC and has both figures is shown. A bar has no zero on a logarithmic axis: lines mark the
    powers of ten. The paper is drawn as well, so that the plot reads on dark pages.
    """
    parts: list[str] = []
    y = PAD
    for network in dict.fromkeys(row["network"] for row in rows.values()):
        ours = [row for row in rows.values() if row["network"] == network]
        bars = [_ours(row) for row in ours]
        bars += [_peer(item) for item in fixed[network] if item.get("instructions_m") and item["target"] == "rv32imac"]
        bars.sort(key=lambda bar: bar["ram"])
        y = _panel(parts, y, ours[0]["title"], bars)
    texts = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" '
        f'font-family="system-ui, sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{y}" rx="8" fill="{PAPER}"/>\n{texts}\n</svg>\n'
    )


def _ours(row: Mapping[str, Any]) -> dict[str, Any]:
    name = f"{name_of(row)}, {row['precision']}"
    return {"name": name, "ram": row["ram_bytes"], "instructions": row["instructions"] / 1e6, "fill": OURS}


def _peer(item: Mapping[str, Any]) -> dict[str, Any]:
    kind = "int8 stored" if "stored" in item["arithmetic"] else item["arithmetic"].split(",")[0].split(" ")[0]
    name = f"{item['name'].split(' (')[0].split(',')[0]}, {kind}"
    return {"name": name, "ram": item["ram"], "instructions": item["instructions_m"], "fill": THEIRS}


def _panel(parts: list[str], y: int, title: str, bars: list[dict[str, Any]]) -> int:
    """Adds a panel that begins at ``y``; where the next one does."""
    parts.append(_text(PAD, y + 14, title, INK, "start", "bold"))
    y += TITLE
    columns = (("ram", "RAM, bytes", LEFT), ("instructions", "million instructions", LEFT + BAR + GAP))
    for key, label, x in columns:
        low = 10 ** math.floor(math.log10(min(bar[key] for bar in bars)))
        high = max(bar[key] for bar in bars)
        parts.append(_text(x, y + 12, f"{label} (logarithmic, a line a power of ten)", SOFT, "start"))
        bottom = y + HEAD + len(bars) * ROW - 4
        for power in range(math.floor(math.log10(high / low)) + 1):
            at = x + BAR * power / math.log10(high / low)
            parts.append(f'<path d="M{at:.1f} {y + HEAD - 5}V{bottom}" stroke="{LINE}"/>')
        for number, bar in enumerate(bars):
            top = y + HEAD + number * ROW
            width = BAR * math.log10(bar[key] / low) / math.log10(high / low)
            weight = "bold" if bar["fill"] == OURS else "normal"
            parts.append(f'<rect x="{x}" y="{top}" width="{width:.1f}" height="14" rx="2" fill="{bar["fill"]}"/>')
            value = f"{bar[key]:,}" if key == "ram" else _millions(bar[key])
            parts.append(_text(x + width + 5, top + 11.5, value, INK, "start", weight))
            if key == "ram":
                parts.append(_text(LEFT - 8, top + 11.5, bar["name"], INK, "end", weight))
    return y + HEAD + len(bars) * ROW + PAD


def _millions(count: float) -> str:
    return f"{count:.2f}" if count < 10 else f"{count:.1f}" if count < 100 else f"{count:,.0f}"


def _text(x: float, y: float, text: str, fill: str, anchor: str, weight: str = "normal") -> str:
    style = f'fill="{fill}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
