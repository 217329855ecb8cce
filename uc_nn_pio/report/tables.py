"""Which constant table lies in flash and which in RAM, and what the ones in RAM save."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from uc_nn_pio.cost import reads_of
from uc_nn_pio.design import Design


def tables_data(design: Design) -> list[Mapping[str, Any]]:
    """A row a table, for JSON, in the network's order.

    ``reads_per_word`` is an average of one inference; ``saved_cycles`` are core cycles an inference for a table in RAM,
    null for one in flash.
    """
    placement = design.placement
    return [
        {
            "name": reads.table.name,
            "layer": kernel.node.name,
            "bytes": reads.table.bytes,
            "region": placement.region[reads.table.name],
            "reads_per_word": round(reads.per_word, 2),
            "saved_cycles": placement.saved_cycles.get(reads.table.name),
        }
        for kernel in design.kernels
        for reads in reads_of(kernel)
    ]


def tables_text(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for the terminal that says which tables are in RAM; nothing where none is."""
    chosen = [table for table in tables if table["region"] == "ram"]
    if not chosen:
        return []
    size, saved = (sum(table[key] for table in chosen) for key in ("bytes", "saved_cycles"))
    names = ", ".join(f"{table['name']} {table['bytes']:,} B" for table in chosen)
    return [f"      {size:,} B tables copied from flash at start-up ({names}), {saved:,} cycles less an inference"]
