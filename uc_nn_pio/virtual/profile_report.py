"""Where the cycles of a run went, as text, JSON, SVG or HTML.

``Profile.of(board)`` takes the counts of a board; ``write`` chooses the form by the file's suffix.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uc_nn_pio.errors import UcNnError, VirtualBoardError
from uc_nn_pio.escape import terminal
from uc_nn_pio.files import write_files
from uc_nn_pio.virtual import timing_state
from uc_nn_pio.virtual.profile import FunctionCounts, MemoryUse, fold
from uc_nn_pio.virtual.timing import NOTICE

if TYPE_CHECKING:
    from uc_nn_pio.virtual.board import RunResult, VirtualBoard

FORMAT = "uc_nn profile 1"
SUFFIXES = (".txt", ".json", ".svg", ".html")


@dataclass(frozen=True)
class Costs:
    """Sums over functions. ``other_cycles`` is what is left without the waits for flash data and for code."""

    instructions: int = 0
    cycles: int = 0
    flash_reads: int = 0
    flash_cycles: int = 0
    icache_misses: int = 0
    icache_cycles: int = 0
    mispredicts: int = 0

    @classmethod
    def of(cls, functions: tuple[FunctionCounts, ...]) -> Costs:
        return cls(*(sum(getattr(each, name.name) for each in functions) for name in fields(cls)))

    @property
    def other_cycles(self) -> int:
        return max(self.cycles - self.flash_cycles - self.icache_cycles, 0)


@dataclass(frozen=True)
class Layer:
    """A generated layer with all that it calls, over all runs. ``name`` is "" for what belongs to no layer."""

    name: str
    runs: int
    functions: tuple[FunctionCounts, ...]

    @property
    def costs(self) -> Costs:
        return Costs.of(self.functions)


@dataclass(frozen=True)
class Model:
    """A generated model: its layers in their order."""

    name: str
    runs: int
    layers: tuple[Layer, ...]

    @property
    def costs(self) -> Costs:
        return Costs.of(tuple(function for layer in self.layers for function in layer.functions))


@dataclass(frozen=True)
class Profile:
    """All counts of a board since power-up. ``functions`` are of the whole run, ``others`` outside of models; both
    without what they call."""

    firmware: str
    board: str
    core_hz: int
    result: RunResult
    functions: tuple[FunctionCounts, ...]
    others: tuple[FunctionCounts, ...]
    models: tuple[Model, ...]
    memory: MemoryUse

    @classmethod
    def of(cls, board: VirtualBoard, reason: str = "stopped") -> Profile:
        """The counts of ``board`` so far."""
        rows, firmware = board.cpu.hooks.table.counts(), board.firmware
        rest = rows.copy()
        models = []
        for model in board.layers.models.values():
            layers = []
            for layer in model.layers.values():
                if layer.rows is None:
                    continue
                part = rows.copy()
                part[:, timing_state.R_RUNS :] = 0
                part[: len(layer.rows), timing_state.R_RUNS :] = layer.rows[:, timing_state.R_RUNS :]
                rest[:, timing_state.R_RUNS :] -= part[:, timing_state.R_RUNS :]
                functions = tuple(fold(part, firmware))
                if layer.name or Costs.of(functions).cycles:
                    layers.append(Layer(layer.name, layer.entered, functions))
            if layers:
                models.append(Model(model.name, model.runs, tuple(layers)))
        return cls(
            firmware=firmware.path.name,
            board=board.board.id,
            core_hz=board.clock.core_hz,
            result=board.result(reason),
            functions=tuple(board.profile()),
            others=tuple(fold(rest, firmware)),
            models=tuple(models),
            memory=board.memory_use(),
        )

    @property
    def cycles_per_instruction(self) -> float:
        """Of what was executed: waits that time jumped over are in neither."""
        return (self.result.cycles - self.result.skipped_cycles) / max(self.result.instructions, 1)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; docs/virtual-board.md has the schema."""
        return {
            "format": FORMAT,
            "firmware": self.firmware,
            "board": self.board,
            "cycle_model": NOTICE,
            "core_hz": self.core_hz,
            "totals": {**asdict(self.result), "cycles_per_instruction": round(self.cycles_per_instruction, 4)},
            "memory": self.memory.as_dict(),
            "models": [
                {
                    "model": model.name,
                    "runs": model.runs,
                    **asdict(model.costs),
                    "layers": [
                        {
                            "layer": layer.name,
                            "runs": layer.runs,
                            **asdict(layer.costs),
                            "functions": [function.as_dict() for function in layer.functions],
                        }
                        for layer in model.layers
                    ],
                }
                for model in self.models
            ],
            "functions": [function.as_dict() for function in self.functions],
        }


# -- forms -----------------------------------------------------------------------------------------------------------


def write(profile: Profile, target: str) -> None:
    """Write to a file, in the form that its suffix says; ``-`` is text on standard output.

    Raises:
        VirtualBoardError: another suffix, or the file cannot be written.
    """
    if target == "-":
        print(text(profile))
        return
    path = Path(target)
    content = render(profile, check_target(target))
    try:
        write_files(path.parent, {path.name: content})
    except UcNnError as error:
        raise VirtualBoardError(
            "the profile cannot be written", where=target, why=error.what, next_step=error.next_step
        ) from error


def check_target(target: str) -> str:
    """The suffix of a target; ``.txt`` for ``-``.

    Raises:
        VirtualBoardError: a suffix that names no form.
    """
    suffix = ".txt" if target == "-" else Path(target).suffix.lower()
    if suffix not in SUFFIXES:
        raise VirtualBoardError(
            f"--profile {target!r}: no form has this suffix",
            why=f"the suffix chooses the form: {', '.join(SUFFIXES)}; - is text on standard output",
            next_step="for example --profile profile.html",
        )
    return suffix


def render(profile: Profile, suffix: str) -> str:
    """The profile in the form of ``suffix``."""
    from uc_nn_pio.virtual.profile_html import html
    from uc_nn_pio.virtual.profile_svg import svg

    if suffix == ".json":
        return json.dumps(profile.as_dict(), indent=1) + "\n"
    return {".txt": text, ".svg": svg, ".html": html}[suffix](profile)


def totals(profile: Profile) -> list[tuple[str, str]]:
    """The figures of the whole run, as pairs of name and text."""
    r, memory = profile.result, profile.memory
    pairs = [
        ("time", f"{r.seconds:.6f} s; the core clock is {profile.core_hz / 1e6:g} MHz now"),
        ("cycles", f"{r.cycles:,}, of them {r.skipped_cycles:,} in waits and sleep that time jumped over"),
        ("instructions", f"{r.instructions:,} executed, {r.skipped_instructions:,} more in those waits"),
        ("cycles per instruction", f"{profile.cycles_per_instruction:.2f} of those executed"),
        ("flash data reads", f"{r.flash_reads:,}; waited for {r.flash_read_cycles:,} cycles"),
        ("I-cache misses", f"{r.icache_misses:,}; waited for {r.icache_cycles:,} cycles"),
        ("register accesses", f"{r.mmio_accesses:,}; waited for {r.mmio_cycles:,} cycles"),
        ("mispredicted branches", f"{r.mispredicts:,}"),
        ("RAM ever stored to", f"{memory.touched:,} of {memory.ram:,} bytes"),
        ("stack", f"{memory.stack:,} bytes at its deepest"),
    ]
    return pairs


def text(profile: Profile, functions: int = 30) -> str:
    """For people: totals, layers, and the ``functions`` most costly functions."""
    lines = [f"profile of {terminal(profile.firmware)} on {profile.board}", NOTICE, ""]
    lines += [f"{name:<24}{value}" for name, value in totals(profile)]
    for model in profile.models:
        runs = max(model.runs, 1)
        lines += ["", f"model {terminal(model.name)}, runs: {model.runs}; a layer has all that it calls; one run:"]
        lines.append(_row("layer", ("cycles", "ms", "part", "flash wait", "I-cache", "instructions")))
        for layer in model.layers:
            lines.append(_row(terminal(layer.name or "(none)"), layer_cells(layer.costs, model.costs, runs, profile)))
        lines.append(_row("all", layer_cells(model.costs, model.costs, runs, profile)))
    lines += ["", "functions, without what they call; the whole run:"]
    lines.append(_row("function", ("cycles", "part", "flash wait", "I-cache", "instructions", "calls")))
    for function in profile.functions[:functions]:
        lines.append(_row(terminal(function.function), function_cells(function, profile)))
    if len(profile.functions) > functions:
        rest = sum(function.cycles for function in profile.functions[functions:])
        lines.append(f"{len(profile.functions) - functions} more with {rest:,} cycles")
    return "\n".join(lines)


def layer_cells(costs: Costs, whole: Costs, runs: int, profile: Profile) -> tuple[str, ...]:
    """A layer's figures for one run of its model."""
    return (
        f"{costs.cycles // runs:,}",
        f"{costs.cycles / runs / profile.core_hz * 1e3:.3f}",
        _part(costs.cycles, whole.cycles),
        _part(costs.flash_cycles, costs.cycles),
        _part(costs.icache_cycles, costs.cycles),
        f"{costs.instructions // runs:,}",
    )


def function_cells(function: FunctionCounts, profile: Profile) -> tuple[str, ...]:
    """A function's figures over the whole run."""
    return (
        f"{function.cycles:,}",
        _part(function.cycles, profile.result.cycles),
        _part(function.flash_cycles, function.cycles),
        _part(function.icache_cycles, function.cycles),
        f"{function.instructions:,}",
        f"{function.calls:,}",
    )


def _part(some: int, of: int) -> str:
    return f"{100 * some / max(of, 1):.1f} %"


def _row(name: str, cells: tuple[str, ...]) -> str:
    return f"  {name:<28}" + "".join(f"{cell:>15}" for cell in cells)
