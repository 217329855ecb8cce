"""``python -m uc_nn_pio.bench [--json]``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from uc_nn_pio.bench import bench, peers
from uc_nn_pio.errors import UcNnError


def text(rows: list[dict[str, Any]]) -> str:
    """A table for each network: ours, then the paper's and the peers'."""
    fixed = peers()
    lines = []
    for row in rows:
        lines += [
            f"{row['title']}, {row['precision']}, schedule {row['schedule']}: context {row['context_bytes']:,} B = "
            f"{row['activation_bytes']:,} activations + {row['scratch_bytes']:,} scratch; "
            f"weights {row['weight_bytes']:,} B",
            f"  {'':32}{'arithmetic':12}{'RAM B':>9}{'code B':>9}{'const B':>9}{'instr M':>10}",
        ]
        ours = {
            "name": "uc_nn_pio",
            "arithmetic": row["precision"],
            "ram": row["ram_bytes"],
            "code": row["code_bytes"],
            "const": row["const_bytes"],
            "instructions_m": row["instructions"] / 1e6,
        }
        lines += [_line(item) for item in (ours, *fixed[row["network"]])]
        speeds = ", ".join(f"{r:.2f}/s at {int(hz) // 10**6} MHz" for hz, r in row["inferences_per_second"].items())
        lines.append(
            f"  {row['right']} of 10 digits right; stack {row['stack_bytes']} B; modelled cycles {row['cycles']:,} "
            f"(worst picture; {row['cycles_first']:,} the first time, code from flash), {speeds}; {row['compiler']}"
        )
        lines.append("")
    return "\n".join([*lines, f"Peers: {fixed['source']}"])


def _line(item: dict[str, Any]) -> str:
    def number(value: float | None, width: int, form: str = ",") -> str:
        return f"{'-' if value is None else format(value, form):>{width}}"

    return (
        f"  {item['name']:32}{item['arithmetic']:12}{number(item['ram'], 9)}{number(item['code'], 9)}"
        f"{number(item['const'], 9)}{number(item['instructions_m'], 10, ',.1f')}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m uc_nn_pio.bench", description="Measure the example networks.")
    parser.add_argument("--json", action="store_true", help="as JSON")
    args = parser.parse_args()
    try:
        rows = bench()
    except UcNnError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps({"rows": rows, "peers": peers()}, indent=2) if args.json else text(rows))
    return 0


sys.exit(main())
