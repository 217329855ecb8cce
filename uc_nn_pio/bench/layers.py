"""What each layer of a network takes on the virtual HiFive1, with its code in the I-cache."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import jinja2

from uc_nn_pio.bench.measure import MOST_INSTRUCTIONS
from uc_nn_pio.bench.toolchain import compile_model, link, object_sizes
from uc_nn_pio.boards import Board
from uc_nn_pio.convert import Conversion
from uc_nn_pio.design import Design
from uc_nn_pio.emit.render import render
from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.pio.board_files import render_board_files


@dataclass(frozen=True)
class LayerCosts:
    """One inference's share of a layer. ``work`` are core cycles without waits for flash; ``flash`` and ``code`` are
    the waits for its data and for lines of code."""

    instructions: int = 0
    work: int = 0
    flash: int = 0
    code: int = 0
    mispredicts: int = 0

    @property
    def cycles(self) -> int:
        return self.work + self.flash + self.code

    def __add__(self, other: LayerCosts) -> LayerCosts:
        return LayerCosts(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def __sub__(self, other: LayerCosts) -> LayerCosts:
        return LayerCosts(*(getattr(self, name) - getattr(other, name) for name in self.__dataclass_fields__))


def layer_costs(design: Design, board: Board, core_hz: int = 320_000_000) -> tuple[dict[str, LayerCosts], int]:
    """By the layers' C names, and the bytes of the model's code. The schedule must be one without streamed layers.

    Raises:
        ToolError: no RISC-V compiler, or it refuses the C.
        VirtualBoardError: the program did not come to its end.
    """
    from unicorn import unicorn_const as uc_const

    from uc_nn_pio.virtual import VirtualBoard

    conversion = Conversion(design.spec.name, render(design), (), {}, design)
    with tempfile.TemporaryDirectory(prefix="uc_nn_parts_") as temporary:
        folder = Path(temporary)
        texts = {**conversion.files, **render_board_files(board, core_hz=core_hz), "main.c": _main(design)}
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8")
        compile_model(folder, conversion, board, "-g")  # says where inlined layers begin, and changes no code
        link(folder, board, ["main.c", "model.o"], "parts")
        code, _ = object_sizes(folder / "model.o")
        machine = VirtualBoard(folder / "parts.elf", board, camera=False)
        before: dict[str, LayerCosts] = {}

        def filled(*_: object) -> None:
            if not machine.cpu.squashing:
                before.update(_counts(machine, design.spec.name))

        at = machine.firmware.symbol("fill")
        machine.cpu.uc.hook_add(uc_const.UC_HOOK_CODE, filled, begin=at, end=at)
        result = machine.run(until="end", max_instructions=MOST_INSTRUCTIONS)
        if result.reason != "until":
            raise VirtualBoardError("a measured part did not come to its end", why=result.reason)
        after = _counts(machine, design.spec.name)
    found = {kernel.name: LayerCosts() for kernel in design.kernels}
    for name, costs in after.items():
        # where a layer was inlined into run, a function of its own that it calls looks like a layer: conv1_row
        layer = max((known for known in found if f"{name}_".startswith(f"{known}_")), key=len)
        found[layer] += costs - before.get(name, LayerCosts())
    return found, code


def _counts(machine: object, model: str) -> dict[str, LayerCosts]:
    from uc_nn_pio.virtual.profile_report import Profile

    found = next((each for each in Profile.of(machine).models if each.name == model), None)
    if found is None:
        return {}  # not run yet
    return {
        layer.name: LayerCosts(c.instructions, c.other_cycles, c.flash_cycles, c.icache_cycles, c.mispredicts)
        for layer in found.layers
        if layer.name
        for c in (layer.costs,)
    }


def _main(design: Design) -> str:
    template = (Path(__file__).parent / "parts.c.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    name = design.spec.name
    floats = design.precision == "float32"
    return environment.from_string(template).render(model=name, MODEL=name.upper(), float=floats)
