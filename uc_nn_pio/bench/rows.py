"""One row of figures a network and precision, as plain data for tables, JSON and the record.

Every figure is a count that repeats: bytes, instructions, modelled cycles. RAM is context + weights in RAM +
stack; the peers leave their weights in flash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from uc_nn_pio.bench.measure import Measurement, Run, measure
from uc_nn_pio.bench.networks import NETWORKS, WAYS, Network, Pictures, board_of, pictures
from uc_nn_pio.boards import Board
from uc_nn_pio.converter import Conversion, convert
from uc_nn_pio.design import graph_hash
from uc_nn_pio.graph.cost import total_macs
from uc_nn_pio.spec import ModelSpec, ValidateSpec

CLOCKS_HZ = (320_000_000, 352_000_000)
FEW = ("gray", "noise")
"""Pictures of the row that takes a billion instructions an inference."""


def row(
    network: str,
    precision: str,
    way: str = "",
    only: tuple[str, ...] | None = None,
    accuracy: bool = True,
    test: Path | None = None,
) -> dict[str, Any]:
    """Measure a network.

    Args:
        network: a key of ``NETWORKS``.
        precision: ``int8`` or ``float32``.
        way: a key of ``WAYS``: how the board's RAM is used.
        only: names of pictures, where not all are to be run; then there is no figure for dual I/O.
        accuracy: run the spec's test data as well, on this computer; or else those of ``test``.
        test: test data, network stage.

    Raises:
        UcNnError: the example is not there, or does not build or run.
    """
    chosen = NETWORKS[network]
    spec, (board, note) = chosen.load(precision, way), board_of(precision, chosen)
    conversion = convert(spec, board)
    shown = pictures(spec)
    if only is None and note is not None:
        only = FEW
    quick = only is not None
    shown = shown.only(*only) if only else shown
    found = measure(conversion, shown.raw, board, CLOCKS_HZ[0])
    out = {
        **_static(chosen, way, conversion, board, note),
        **_counts(found, shown, board),
        "compiler": f"gcc {found.compiler}",
        "flags": " ".join(conversion.compile_flags),
    }
    out["const_bytes"] += out["ram_weight_bytes"]  # which lie in flash as well, to be copied
    out["ram_bytes"] = out["context_bytes"] + out["ram_weight_bytes"] + out["stack_bytes"]
    fast = precision == "int8" and not quick
    out["dual_io"] = _speed(measure(conversion, shown.raw, board, CLOCKS_HZ[0], "dual_io")) if fast else None
    out["accuracy"] = accuracy_of(spec, test) if accuracy and (test or spec.validate) else None
    return out


def accuracy_of(spec: ModelSpec, file: Path | None = None) -> dict[str, Any]:
    """Test data through torch and the C on this computer; int8 against the integer reference, output by output.

    ``file`` takes the place of the spec's own test data: network stage, as ``images`` and ``labels``.
    """
    from uc_nn_pio.validation import validate

    if file is not None:
        spec = replace(spec, validate=ValidateSpec(file, "network"))
    found = validate(spec)
    return {
        "samples": found.samples,
        "percent": round(100 * found.accuracy, 3),
        "torch_percent": round(100 * found.torch_accuracy, 3),
        "same_class": found.same_class,
        "integer_differences": found.integer_differences,
    }


def _static(network: Network, way: str, conversion: Conversion, board: Board, note: str | None) -> dict[str, Any]:
    design = conversion.design
    plan = design.plan
    return {
        "network": network.key,
        "title": network.title,
        "precision": design.precision,
        "schedule": WAYS[way].title,
        "board_ram_bytes": board.ram.size,
        "note": note,
        "graph_sha256": graph_hash(design.graph),
        "macs": total_macs(design.graph),
        "activation_bytes": plan.activation_bytes,
        "scratch_bytes": plan.scratch_bytes,
        "context_bytes": plan.total_bytes,
        "counter_bytes": plan.counter_bytes,
        "ram_weight_bytes": design.placement.ram_bytes,
        "weight_bytes": design.weight_bytes,
    }


def _counts(found: Measurement, shown: Pictures, board: Board) -> dict[str, Any]:
    words = sum(table.words_read for table in found.tables.values())
    return {
        "stack_bytes": max(run.stack for run in (*found.runs, found.cold)),
        "code_bytes": found.code_bytes,
        "const_bytes": found.const_bytes,
        "instructions": max(run.instructions for run in found.runs),
        **_speed(found),
        "split": split(found.worst, board),
        "flash": {
            "reads": found.runs[0].costs.flash_reads,
            "bytes": found.flash_bytes,
            "weight_words": sum(table.words for table in found.tables.values()),
            "weight_words_read": words,
            "most_reads_of_a_word": max((table.most for table in found.tables.values()), default=0),
        },
        "right": sum(run.best == label for run, label in zip(found.runs, shown.labels, strict=False)),
        "labelled": len(shown.labels),
        "pictures": {
            name: {"instructions": run.instructions, "cycles": run.cycles}
            for name, run in zip(shown.names, found.runs, strict=True)
        },
    }


def _speed(found: Measurement) -> dict[str, Any]:
    cycles = found.worst.cycles
    return {
        "cycles": cycles,
        "cycles_cold": found.cold.cycles,
        "inferences_per_second": {str(hz): round(hz / cycles, 3) for hz in CLOCKS_HZ},
    }


def split(run: Run, board: Board) -> Mapping[str, int]:
    """Where the cycles of an inference went: waits for data from flash and for lines of code, branches guessed wrong
    and loads that followed their store too closely, and the rest, which is work."""
    costs, core = run.costs, board.details["core"]
    other = costs.mispredicts * core["mispredict_cycles"] + costs.replays * core["store_to_load_replay_cycles"]
    return {
        "compute": run.cycles - costs.flash_cycles - costs.icache_cycles - other,
        "flash_wait": costs.flash_cycles,
        "code_wait": costs.icache_cycles,
        "branches": other,
    }
