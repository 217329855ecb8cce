"""Memory order of tensors, against orders written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from uc_nn_pio.graph.layout import from_memory, memory_order, same_memory, to_memory


def test_a_map_lies_pixel_by_pixel() -> None:
    # Two channels of 2 x 3 pixels, numbered in torch's order: channel 0 is 0..5, channel 1 is 6..11.
    assert memory_order((2, 2, 3)).tolist() == [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]


@pytest.mark.parametrize("shape", [(7,), (3, 4), (1, 2, 3, 4)])
def test_other_shapes_lie_in_torchs_order(shape: tuple[int, ...]) -> None:
    assert memory_order(shape).tolist() == list(range(np.prod(shape)))


def test_a_pixel_is_found_at_its_hwc_address() -> None:
    c, h, w = 3, 4, 5
    array = np.arange(c * h * w).reshape(c, h, w)
    memory = to_memory(array)
    for channel, y, x in np.ndindex(c, h, w):
        assert memory[(y * w + x) * c + channel] == array[channel, y, x]


def test_batch_axes_stay_in_front() -> None:
    batch = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    memory = to_memory(batch, rank=3)
    assert memory.shape == (2, 60)
    assert np.array_equal(memory[1], to_memory(batch[1]))
    assert np.array_equal(from_memory(memory, (3, 4, 5)), batch)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ((2, 3, 4), (24,), False),
        ((1, 3, 4), (12,), True),
        ((5, 1, 1), (5,), True),
        ((2, 3, 4), (2, 4, 3), True),
        ((2, 3, 4), (3, 2, 4), False),
        ((12,), (3, 4), True),
        ((2, 3, 4), (2, 3, 5), False),
    ],
)
def test_reshapes_that_move_no_byte(a: tuple[int, ...], b: tuple[int, ...], same: bool) -> None:
    assert same_memory(a, b) is same
    assert same_memory(b, a) is same
