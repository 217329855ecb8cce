"""The measured figures of the example networks, beside the paper's and the peers': ``python3 dev.py bench``.

Every figure is a count that repeats: bytes, instructions, modelled cycles. RAM is context + stack, as the peers' is.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from uc_nn_pio.bench.measure import measure
from uc_nn_pio.boards import load_board
from uc_nn_pio.convert import convert, make_design
from uc_nn_pio.emit.render import render
from uc_nn_pio.resources import resources
from uc_nn_pio.spec import InputSpec, MemorySpec, ModelSource, ModelSpec

CLOCKS_HZ = (320_000_000, 352_000_000)
GRAY = 128


def bench() -> list[dict[str, Any]]:
    """One row a network: static bytes, and counts from the virtual HiFive1 where the network fits its RAM."""
    return [_lenet5(), _table1()]


def _lenet5() -> dict[str, Any]:
    """Worst of ten digits, a mid-gray picture and noise."""
    folder = resources("examples") / "lenet5_camera" / "models"
    conversion = convert(folder / "lenet5.yaml")
    with np.load(folder / "data" / "test.npz", allow_pickle=False) as data:
        first = [int(np.flatnonzero(data["labels"] == digit)[0]) for digit in range(10)]
        digits = data["images"][first]
    noise = np.random.default_rng(0).integers(0, 256, digits[:1].shape, np.uint8)
    # set_row inverts: give it what the camera would show
    pictures = np.concatenate([255 - digits, np.full_like(noise, GRAY), noise])
    row = _static("LeNet-5", conversion.design)
    found = measure(conversion.files, conversion.name, pictures, load_board("hifive1_virtual"), CLOCKS_HZ[0])
    worst = found.worst
    row |= {
        "compiler": f"gcc {found.compiler} -O2",
        "right": sum(run.best == digit for digit, run in enumerate(found.runs[:10])),
        "code_bytes": found.code_bytes,
        "const_bytes": found.const_bytes,
        "stack_bytes": max(run.stack for run in found.runs),
        "instructions": max(run.instructions for run in found.runs),
        "cycles": worst.cycles,
        "inferences_per_second": {str(hz): hz / worst.cycles for hz in CLOCKS_HZ},
    }
    row["ram_bytes"] = row["context_bytes"] + row["stack_bytes"]
    return row


def _table1() -> dict[str, Any]:
    """The paper's section 5 network. In float32 it needs 45 KB of RAM, more than the board has, so it is not run."""
    path = resources("examples") / "cifar10_table1" / "models" / "cifar10_table1.py"
    found = importlib.util.spec_from_file_location("cifar10_table1", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    from uc_nn_pio.capture import capture_module  # imports torch

    graph = capture_module(module.Table1Net().eval(), (3, 32, 32), "cifar10_table1")
    spec = ModelSpec(
        path,
        "cifar10_table1",
        ModelSource(),
        InputSpec((3, 32, 32)),
        memory=MemorySpec("pingpong"),
        text_sha256="0" * 64,
    )
    design = make_design(spec, graph, None)
    render(design)
    return _static("CIFAR-10, table 1", design)


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
