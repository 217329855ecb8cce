"""Choices of elements as nested loops: the loops go over the very places, and say them all where steps can."""

from __future__ import annotations

import numpy as np
import pytest

from uc_nn_pio.graph.loops import Loop, nest_of, places


def test_slices_and_transposes_are_loops_alone() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        shape = tuple(rng.integers(1, 6, size=rng.integers(1, 5)))
        chosen = np.arange(np.prod(shape)).reshape(shape).transpose(rng.permutation(len(shape)))
        steps = (
            slice(int(rng.integers(0, 2)), None, int(rng.choice([1, 2]))) if n > 1 else slice(None)
            for n in chosen.shape
        )
        chosen = chosen[tuple(steps)]
        nest = nest_of(chosen.ravel())
        assert nest.starts.shape == (1, 1)
        np.testing.assert_array_equal(places(nest)[0], chosen.ravel())


def test_what_is_contiguous_is_one_loop() -> None:
    whole = np.arange(60)
    assert nest_of(whole).loops == (Loop(60, (1,)),)
    assert nest_of(whole, whole).loops == (Loop(60, (1, 1)),)
    repeated = np.broadcast_to(np.arange(4), (15, 4)).ravel()
    assert nest_of(whole, repeated).loops == (Loop(15, (4, 0)), Loop(4, (1, 1)))
    assert nest_of(np.array([7])).loops == ()


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_what_follows_no_steps_is_left_to_a_table_of_runs(channels: int) -> None:
    """Nearest neighbours of 5 columns in 8: each pixel's channels stay together."""
    pixels = np.floor(np.arange(5) * 8 / 5).astype(int)
    chosen = (pixels[:, None] * channels + np.arange(channels)).ravel()
    nest = nest_of(chosen)
    np.testing.assert_array_equal(places(nest)[0], chosen)
    assert nest.starts.shape[1] == 5
