"""What each layer of a network takes on the virtual HiFive1, with its code in the I-cache."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from uc_nn_pio.bench.measure import MOST_INSTRUCTIONS, build, render_program
from uc_nn_pio.bench.watch import MARK, Costs, Watch
from uc_nn_pio.boards import Board
from uc_nn_pio.converter import Conversion
from uc_nn_pio.cost.calls import calls_of
from uc_nn_pio.cost.prediction import Cost
from uc_nn_pio.design import Design
from uc_nn_pio.emit.render import render
from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.pio.board_files import render_board_files

CORE_HZ = 320_000_000
RUNS = 3
"""Inferences of the program. All but the first have the same input, so that their code has been met."""


def layer_costs(design: Design, board: Board, rectified: bool = False, runs: int = RUNS) -> tuple[dict[str, Cost], int]:
    """By the layers' C names, in an inference that comes after the same one; and the bytes of the model's code.
    The input is noise; ``rectified``, with 0 in place of what is negative. A line of code may drop any other of its set
    from the I-cache: of more than half an I-cache of code, it takes more ``runs`` until all that can be there is.

    Raises:
        ToolError: no RISC-V compiler, or it refuses the C.
        VirtualBoardError: the program did not come to its end.
    """
    from uc_nn_pio.virtual import VirtualBoard

    conversion = Conversion(design.spec.name, _marked(render(design), design), (), {}, design)
    order = [index for index in calls_of(design.kernels).order if design.is_called(design.kernels[index])]
    with tempfile.TemporaryDirectory(prefix="uc_nn_layers_") as temporary:
        folder = Path(temporary)
        texts = {
            **conversion.files,
            **render_board_files(board, core_hz=CORE_HZ),
            "main.c": _main(design, rectified, runs),
        }
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8")
        code, _ = build(folder, conversion, board)
        machine = VirtualBoard(folder / "bench.elf", board, camera=False)
        watch = Watch(machine, range(0))
        result = machine.run(until="end", max_instructions=MOST_INSTRUCTIONS)
    if result.reason != "until" or len(watch.windows) != 1 + runs * len(order):
        raise VirtualBoardError("a measured program did not come to its end", why=result.reason)
    nothing, *windows = watch.windows
    found = {kernel.name: Costs() for kernel in design.kernels}
    for index, costs in zip(order, windows[-len(order) :], strict=True):
        found[design.kernels[index].name] += costs - nothing
    return {name: _cost(costs) for name, costs in found.items()}, code


def _cost(counted: Costs) -> Cost:
    waits = counted.flash_cycles + counted.icache_cycles
    return Cost(counted.instructions, counted.cycles - waits, counted.flash_cycles, counted.icache_cycles)


def _marked(files: Mapping[str, str], design: Design) -> Mapping[str, str]:
    """With a mark in front of each call of a layer and one behind it, across which the compiler moves nothing."""
    functions = "|".join(re.escape(kernel.function) for kernel in design.kernels)
    source = f"{design.spec.name}.c"
    call = rf"(?m)^( +)((?:{functions})\(.*\);)$"
    text, count = re.subn(call, rf"\1{MARK}();\n\1\2\n\1{MARK}();", files[source])
    assert count == sum(map(design.is_called, design.kernels))
    return {**files, source: f"void {MARK}(void);\n{text}"}


def _main(design: Design, rectified: bool, runs: int) -> str:
    floats = design.precision == "float32"
    height = design.graph.tensor(design.graph.inputs[0]).shape[1] if design.plan.windows else 0
    return render_program(
        "layers.c.j2", design.spec.name, float=floats, rows=height, mark=MARK, rectified=rectified, runs=runs
    )
