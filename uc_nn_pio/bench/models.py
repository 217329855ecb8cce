"""``docs/models.md``: the networks of MLPerf Tiny on RV32IMAC, measured on the virtual HiFive1.

``python -m uc_nn_pio.bench.models --write docs/models.md``
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from uc_nn_pio.bench import qemu
from uc_nn_pio.bench.measure import Measurement, measure
from uc_nn_pio.boards import Board, load_board
from uc_nn_pio.converter import Conversion, convert
from uc_nn_pio.cost.predict import predictor
from uc_nn_pio.errors import PlanError, ToolError
from uc_nn_pio.graph.cost import parameters, total_macs
from uc_nn_pio.resources import resources
from uc_nn_pio.spec import LEAST, MemorySpec, ModelSpec, load_spec

CORE_HZ = 320_000_000
LARGE_RAM = 131072
STACK = 2048
"""Bytes that a program needs besides the model, at the least, to count as one that fits."""

TITLES = {
    "kws": "DS-CNN, keyword spotting, 1x49x10",
    "ic": "ResNet-8, image classification, 3x32x32",
    "vww": "MobileNetV1 0.25, visual wake words, 3x96x96",
    "ad": "fully connected autoencoder, 640",
}
WAYS = {
    "fastest": MemorySpec("auto"),
    "weights in RAM": MemorySpec("auto", ram_weights="auto"),
    "least RAM": MemorySpec("auto", ram_budget=LEAST),
}


@dataclass(frozen=True)
class Row:
    """One network laid out in one way."""

    network: str
    way: str
    conversion: Conversion
    measured: Measurement
    predicted_cycles: float
    note: str

    @property
    def ram(self) -> int:
        """Context, tables in RAM and stack."""
        return self.conversion.design.plan.total_bytes + self.in_ram + self.measured.worst.stack

    @property
    def in_ram(self) -> int:
        return self.conversion.design.placement.ram_bytes

    def cells(self) -> tuple[str, ...]:
        worst = self.measured.worst
        flash = self.measured.code_bytes + self.measured.const_bytes + self.in_ram
        milliseconds = [1000 * cycles / CORE_HZ for cycles in (worst.cycles, self.predicted_cycles)]
        return (
            self.way,
            self.conversion.design.plan.schedule,
            f"{self.ram:,}{self.note}",
            f"{flash:,}",
            f"{worst.instructions / 1e6:.2f} M",
            f"{worst.instructions / total_macs(self.conversion.design.graph):.2f}",
            f"{milliseconds[0]:.1f}",
            f"{milliseconds[1]:.1f}",
        )


def on_a_cortex_m4(spec: ModelSpec) -> str:
    """What the network costs there, laid out for speed in as much RAM as it wants."""
    board = load_board(qemu.BOARD)
    made = convert(replace(spec, memory=MemorySpec("auto", ram_budget=LARGE_RAM)), board)
    count = qemu.instructions(made, board)
    return (
        f"On a Cortex-M4 in QEMU: {count / 1e6:.2f} M instructions, {count / total_macs(made.design.graph):.2f} a "
        f"multiply-accumulate, in {made.design.plan.total_bytes:,} B of context ({made.design.plan.schedule})."
    )


HEAD = ("way", "schedule", "RAM B", "flash B", "instructions", "a MAC", "ms", "ms predicted")


def rows_of(folder: Path, network: str) -> list[Row]:
    """Every way that differs from those in front of it."""
    board = load_board("hifive1_virtual")
    spec = load_spec(folder / "models" / f"{network}.yaml")
    shown = np.random.default_rng(0).integers(0, 256, (2, *spec.input.shape), np.uint8)
    found: list[Row] = []
    for way, memory in WAYS.items():
        conversion, used, note = _fitting(spec, memory, board)
        if conversion is None or any(conversion.files == row.conversion.files for row in found):
            continue
        design = conversion.design
        model = predictor(board)
        assert model is not None
        predicted = model.predict(design.kernels, design.placement).total.cycles
        found.append(Row(network, way, conversion, measure(conversion, shown, used, CORE_HZ), predicted, note))
    return found


def _fitting(spec: ModelSpec, memory: MemorySpec, board: Board) -> tuple[Conversion | None, Board, str]:
    """On the board; or where it does not fit, and no board's RAM is asked to be filled, on a copy with more."""
    room = board.ram.size - STACK
    limited = memory if memory.ram_budget == LEAST else replace(memory, ram_budget=room)
    with contextlib.suppress(PlanError):
        found = convert(replace(spec, memory=limited), board)
        if found.design.plan.total_bytes <= room:
            return found, board, ""
    if memory.ram_weights == "auto":
        return None, board, ""
    large = replace(board, regions={**board.regions, "ram": replace(board.ram, size=LARGE_RAM)})
    return convert(replace(spec, memory=memory), large), large, " [1]"


def page() -> str:
    """The document.

    Raises:
        ToolError: the example's script fails, or there is no cross compiler.
    """
    with tempfile.TemporaryDirectory(prefix="uc_nn_models_") as temporary:
        folder = Path(temporary) / "mlperf_tiny"
        shutil.copytree(resources("examples") / "mlperf_tiny", folder)
        made = subprocess.run([sys.executable, folder / "make_random.py"], capture_output=True, text=True, check=False)
        if made.returncode:
            raise ToolError("examples/mlperf_tiny/make_random.py fails", why=made.stderr[-500:])
        sections = [
            _section(rows_of(folder, network), on_a_cortex_m4(load_spec(folder / "models" / f"{network}.yaml")))
            for network in TITLES
        ]
    return TEXT.format(sections="\n".join(sections), mhz=CORE_HZ // 10**6)


def _section(rows: list[Row], elsewhere: str) -> str:
    graph = rows[0].conversion.design.graph
    lines = [
        f"## {TITLES[rows[0].network]}",
        "",
        f"{len(graph.nodes)} layers behind fusion, {total_macs(graph):,} multiply-accumulates, "
        f"{parameters(graph):,} weights and biases.",
        "",
        *(f"| {' | '.join(cells)} |" for cells in (HEAD, ("---",) * len(HEAD), *(row.cells() for row in rows))),
        "",
        elsewhere,
        "",
    ]
    return "\n".join(lines)


TEXT = """\
# Models

Written by `python -m uc_nn_pio.bench.models --write docs/models.md`. Every figure is measured, but for the last column.

The four networks of the MLPerf Tiny benchmark in int8, from `examples/mlperf_tiny/`, on the virtual HiFive1: RV32IMAC
at {mhz} MHz, 16,384 B of RAM, weights in execute-in-place flash behind an I-cache of 16 KiB, flash as after a reset.
Weights and inputs are random: for RAM, flash and speed the values hardly matter, and there is no accuracy to tell.

- RAM is the context, tables in RAM and the stack that the run was seen to use. Flash is code and tables of the model.
- `fastest` is what `schedule: auto` takes for the board's RAM, less 2 KiB; `weights in RAM` is that with
  `ram_weights: auto` in what is left; `least RAM` is `ram_budget: least`.
- The Cortex-M4 is that of board `mps2_an386`, whose kernels use SMLAD; QEMU counts its instructions, and no cycles.
- [1] does not fit the board's RAM: measured on a copy of it with 128 KiB.

{sections}"""


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m uc_nn_pio.bench.models", description=__doc__.partition("\n")[0])
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page there instead of printing it")
    args = parser.parse_args()
    text = page()
    if args.write:
        args.write.write_text(text, encoding="utf-8")
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
