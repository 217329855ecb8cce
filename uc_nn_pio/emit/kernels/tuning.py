"""How kernels are shaped for a processor: board data, found by search on the virtual board."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from uc_nn_pio.boards import Board
from uc_nn_pio.errors import BoardError


@dataclass(frozen=True)
class Tuning:
    """Choices that change speed and scratch, never a result.

    Attributes:
        packed: two int8 products share a MUL; pays where a MUL takes several cycles.
        dual: two products an instruction, of operands of 16 bits: Arm's SMLAD. The C has that instruction under
            ``__ARM_FEATURE_DSP``, and does without it elsewhere.
        compact: staged weights stay two taps a word, and are taken apart where they are used; half the scratch.
        conv_taps: most taps of a pass of a convolution's innermost loop, all of a kernel row's columns for one input
            channel or more.
        mul_cycles: for which a MUL occupies its unit; the order of packed products goes by it.
        linear_inputs: inputs of a pass of a fully connected layer's loop.
    """

    packed: bool = False
    dual: bool = False
    compact: bool = False
    conv_taps: int = 8
    linear_inputs: int = 4
    mul_cycles: int = 5


PLAIN = Tuning()
"""For a processor of which nothing is known."""

BY_CPU = {cpu: Tuning(dual=True, conv_taps=20, linear_inputs=8) for cpu in ("cortex-m4", "cortex-m7")}
"""For boards of which nothing but the core is known; the same as in the data of a board with a Cortex-M4."""


def tuning_of(board: Board | None) -> Tuning:
    """The board's ``kernels`` section; where there is none, plain products.

    Raises:
        BoardError: a key that is not known.
    """
    given = {
        key: value for key, value in (board.details.get("kernels", {}) if board else {}).items() if key != "source"
    }
    known = {field.name for field in fields(Tuning)}
    if unknown := sorted(set(given) - known):
        raise BoardError(
            f"uc_nn.kernels has no key {unknown[0]!r}", where=board.id, next_step=f"known: {', '.join(sorted(known))}"
        )
    tuning = replace(BY_CPU.get(board.cpu, PLAIN) if board and not given else PLAIN, **given)
    if tuning.packed and tuning.dual:
        raise BoardError("uc_nn.kernels says packed and dual", where=board.id, next_step="choose one of them")
    return tuning
