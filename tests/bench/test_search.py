"""Which shapes of int8 kernels the search measures."""

from __future__ import annotations

from uc_nn_pio.bench.search import VARIED, shapes
from uc_nn_pio.boards import load_board


def test_each_shape_differs_from_the_board_in_one_number() -> None:
    board = load_board("hifive1_virtual")
    own = board.details["kernels"]
    (first, same), *others = shapes(board)
    assert first == "as the board has it" and same is board
    for name, other in others:
        kernels = other.details["kernels"]
        changed = {key for key in {*kernels, *own} if kernels.get(key, False) != own.get(key, False)}
        assert len(changed) == 1 and changed <= set(VARIED)
        (key,) = changed
        assert name == f"{key} {kernels[key]}"
        assert {**other.details, "kernels": own} == {**board.details}
    names = [name for name, _ in others]
    assert len(names) == len(set(names)) > 6
