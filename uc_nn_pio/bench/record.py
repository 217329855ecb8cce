"""The figures on record, and what a change has made worse."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from uc_nn_pio.bench import KEYS

RECORD = Path(__file__).parent / "recorded.json"
TOLERANCE = 0.02
"""A count may grow by so much without a word."""

COUNTS = ("ram_bytes", "context_bytes", "scratch_bytes", "ram_weight_bytes", "stack_bytes", "code_bytes", "const_bytes")
"""Those that are of the whole row; instructions and cycles are compared picture by picture."""


def recorded() -> dict[str, Any]:
    """``{"reasons": [text, ...], "rows": {key: row}}``: why figures were recorded anew, oldest first, and the rows."""
    return json.loads(RECORD.read_text(encoding="utf-8"))


def record(rows: Mapping[str, Mapping[str, Any]], reason: str, path: Path = RECORD) -> None:
    """Take the place of the record's rows of these keys.

    A network whose test data were not at hand keeps its accuracy, if its graph is still the same.

    Raises:
        ValueError: no reason.
    """
    if not reason.strip():
        raise ValueError("a record needs a reason")
    old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"reasons": [], "rows": {}}
    kept = {}
    for key, row in rows.items():
        before = old["rows"].get(key, {})
        same = row["accuracy"] is None and before.get("graph_sha256") == row["graph_sha256"]
        kept[key] = {**row, "accuracy": before["accuracy"] if same else row["accuracy"]}
    merged = {**old["rows"], **kept}
    rows = {key: merged[key] for key in (*KEYS, *merged) if key in merged}
    new = {"reasons": [*old["reasons"], reason.strip()], "rows": rows}
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(new, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def worse(row: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """What is more than 2 % above the record, and what makes the two incomparable; empty if nothing is.

    Instructions and cycles are compared for the pictures that both have, of which there must be one.
    """
    found = [
        f"{name} is {row[name]!r}, on record {before[name]!r}"
        for name in ("compiler", "flags", "graph_sha256")
        if row[name] != before[name]
    ]
    pairs = list(_pairs(row, before))
    if not any(name.startswith("cycles") for name, _, _ in pairs):
        found.append("no picture of the record was measured")
    grown = [(name, now, then) for name, now, then in pairs if now > then * (1 + TOLERANCE)]
    return found + [f"{name}: {now:,}, on record {then:,} ({now / max(then, 1) - 1:+.1%})" for name, now, then in grown]


def _pairs(row: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    for name in COUNTS:
        yield name, row.get(name, 0), before.get(name, 0)  # rows from before a count was kept have none of it
    yield "bytes read from flash", row["flash"]["bytes"], before["flash"]["bytes"]
    for picture, counts in row["pictures"].items():
        for name, now in counts.items():
            if picture in before["pictures"]:
                yield f"{name} of {picture}", now, before["pictures"][picture][name]
