"""What an operation of a kernel's C costs on a core: parameters fitted to micro-kernels, loaded from JSON.

``python -m uc_nn_pio.bench.micro_kernels --write`` measures the micro-kernels and writes the file; no network is among
them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from uc_nn_pio.boards import Board, Region
from uc_nn_pio.cost.reads import reads_of, wait_cycles
from uc_nn_pio.cost.work import Work
from uc_nn_pio.emit.kernels import Kernel
from uc_nn_pio.errors import BoardError

CALLS = "calls"
"""The kind under which a kernel's own calls are counted, beside the kinds of :mod:`uc_nn_pio.cost.walk`."""


@dataclass(frozen=True)
class Stream:
    """How a kernel reads its tables in one inference: ``words``, which take ``cycles`` one after the other, of
    ``channels`` output channels in all passes, with ``known`` ones among them (:attr:`Kernel.known_channels`)."""

    cycles: int
    words: int
    channels: int
    known: int


def stream_of(kernel: Kernel, region: Region, left_out: Callable[[str], bool] = lambda _: False) -> Stream:
    """Of the tables that lie in ``region``; those that ``left_out`` names do not."""
    reads = [each for each in reads_of(kernel) if not left_out(each.table.name)]
    outputs = kernel.output.shape[0]
    return Stream(
        sum(wait_cycles(each, region) or 0 for each in reads),
        sum(each.total for each in reads),
        outputs * kernel.passes,
        kernel.known_channels * kernel.passes,
    )


@dataclass(frozen=True)
class KernelCost:
    """Of one class of kernels: what each kind of operation takes.

    Attributes:
        instructions: by kind.
        cycles: by kind; of the core, without waits for flash.
        code: bytes by kind, of operations as they are written.
        hidden: core cycles of the wait for a table's word in which the kernel computes.
        folded: core cycles for words that the compiler has put into the code, for each channel where it can.
        begun: core cycles more for each output channel, at which the stream of words is interrupted.
        routine: core cycles that a soft-float sum waits for tables of the compiler's own.
    """

    instructions: Mapping[str, float]
    cycles: Mapping[str, float]
    code: Mapping[str, float]
    hidden: float
    folded: float
    begun: float
    routine: float

    def wait(self, stream: Stream, work: Work) -> float:
        """Core cycles that a kernel waits for data in flash."""
        saved = self.hidden * stream.words + self.folded * stream.known - self.begun * stream.channels
        waited = max(0.0, stream.cycles - saved) if stream.words else 0.0
        return waited + self.routine * counts(work).get("fadd", 0)


@dataclass(frozen=True)
class CostModel:
    """``kernels`` by :attr:`Kernel.cost_class`; what was not measured has its precision's, ``int8`` or ``float32``.
    ``source`` says how the parameters were found."""

    source: str
    kernels: Mapping[str, KernelCost]

    def of(self, kernel: str, precision: str) -> KernelCost:
        return self.kernels.get(kernel) or self.kernels[precision]

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(_rounded(asdict(self)), indent=1, sort_keys=True) + "\n", encoding="utf-8")


def counts(work: Work) -> dict[str, float]:
    """What a kernel does, with its calls. Soft-float sums and products with a zero are kinds of their own."""
    found = {**work.done, CALLS: work.calls}
    for kind in ("fadd", "fmul"):
        if work.zeros and kind in found:
            found[f"{kind}_zero"] = work.zeros * found[kind]
            found[kind] *= 1 - work.zeros
    return found


def weighted(amounts: Mapping[str, float], costs: Mapping[str, float]) -> float:
    """The sum; a kind without a cost, which no micro-kernel had, costs 1."""
    return sum(amount * costs.get(kind, 1.0) for kind, amount in amounts.items())


def cost_model(board: Board | None) -> CostModel | None:
    """The model that the board's data name, None where they name none.

    Raises:
        BoardError: there is no such model.
    """
    name = board.details.get("cost_model") if board else None
    if name is None:
        return None
    known = sorted(path.stem for path in Path(__file__).parent.glob("*.json"))
    if name not in known:
        raise BoardError(
            f"no cost model {name!r}",
            where=f"board {board.id}",
            why="uc_nn.cost_model names the parameters that predicted cycles come from",
            next_step=f"known: {', '.join(known)}; or leave the key out",
        )
    lacking = [section for section in ("icache", "clocks") if section not in board.details]
    if board.flash.random_word_cycles is None or board.flash.sequential_word_cycles is None:
        lacking.append("read_cycles of flash")
    if lacking:
        raise BoardError(
            f"cost model {name!r} needs the board's {' and '.join(lacking)}",
            where=f"board {board.id}",
            next_step="add the sections (docs/boards.md), or leave uc_nn.cost_model out",
        )
    return load_model(Path(__file__).parent / f"{name}.json")


@cache
def load_model(path: Path) -> CostModel:
    """Parameters as :meth:`CostModel.write` left them."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return CostModel(data["source"], {name: KernelCost(**cost) for name, cost in data["kernels"].items()})


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value
