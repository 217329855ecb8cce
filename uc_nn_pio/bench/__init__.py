"""The measured figures of the example networks, beside the paper's and the peers': ``python3 dev.py bench``.

Every figure is a count that repeats: bytes, instructions, modelled cycles. RAM is context + stack, as the peers' is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from uc_nn_pio.bench.measure import measure
from uc_nn_pio.boards import load_board
from uc_nn_pio.convert import convert
from uc_nn_pio.resources import resources
from uc_nn_pio.spec import load_spec

CLOCKS_HZ = (320_000_000, 352_000_000)
GRAY = 128


def bench() -> list[dict[str, Any]]:
    """One row a network: static bytes, and counts from the virtual HiFive1."""
    return [lenet5("int8"), lenet5("float32")]


def lenet5(precision: str) -> dict[str, Any]:
    """Worst of ten digits, a mid-gray picture and noise, each after a first inference that fills the I-cache."""
    folder = resources("examples") / "lenet5_camera" / "models"
    spec = replace(load_spec(folder / "lenet5.yaml"), precision=precision)
    conversion = convert(spec, load_board("hifive1"))
    with np.load(folder / "data" / "test.npz", allow_pickle=False) as data:
        first = [int(np.flatnonzero(data["labels"] == digit)[0]) for digit in range(10)]
        digits = data["images"][first]
    noise = np.random.default_rng(0).integers(0, 256, digits[:1].shape, np.uint8)
    # set_row inverts: give it what the camera would show
    pictures = np.concatenate([255 - digits[:1], 255 - digits, np.full_like(noise, GRAY), noise])
    row = _static("LeNet-5", conversion.design)
    found = measure(conversion, pictures, load_board("hifive1_virtual"), CLOCKS_HZ[0])
    first, *runs = found.runs
    worst = max(runs, key=lambda run: run.cycles)
    row |= {
        "compiler": f"gcc {found.compiler} {' '.join(conversion.compile_flags)}",
        "right": sum(run.best == digit for digit, run in enumerate(runs[:10])),
        "code_bytes": found.code_bytes,
        "const_bytes": found.const_bytes,
        "stack_bytes": max(run.stack for run in found.runs),
        "instructions": max(run.instructions for run in runs),
        "cycles": worst.cycles,
        "cycles_first": first.cycles,
        "inferences_per_second": {str(hz): hz / worst.cycles for hz in CLOCKS_HZ},
    }
    row["ram_bytes"] = row["context_bytes"] + row["stack_bytes"]
    return row


def _static(title: str, design: Any) -> dict[str, Any]:
    plan = design.plan
    return {
        "network": design.spec.name,
        "title": title,
        "precision": design.spec.precision,
        "schedule": plan.schedule,
        "activation_bytes": plan.activation_bytes,
        "scratch_bytes": plan.scratch_bytes,
        "context_bytes": plan.total_bytes,
        "weight_bytes": design.weight_bytes,
    }


def peers() -> Mapping[str, Any]:
    """Fixed figures of the paper and of other tools, with their source."""
    return json.loads((Path(__file__).parent / "peers.json").read_text(encoding="utf-8"))


__all__ = ["bench", "peers"]
