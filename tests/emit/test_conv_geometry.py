"""Taps, windows and column runs against counting them one by one."""

from __future__ import annotations

import itertools
import random

from uc_nn_pio.emit.kernels.conv_geometry import Axis, Span, column_runs, split_window


def random_axis(rng: random.Random) -> Axis:
    kernel, dilation, pad = rng.randint(1, 6), rng.randint(1, 3), rng.randint(0, 7)
    size = rng.randint(max(1, (kernel - 1) * dilation + 1 - 2 * pad), 30)
    stride = rng.randint(1, 3)
    conv = (size + 2 * pad - (kernel - 1) * dilation - 1) // stride + 1
    pool = rng.randint(1, min(6, conv))
    pool_stride = rng.randint(pool, 6)
    return Axis(size, conv, (conv - pool) // pool_stride + 1, kernel, stride, dilation, pad, pool, pool_stride, 0)


def test_taps_are_those_on_the_map() -> None:
    rng = random.Random(0)
    for _ in range(300):
        axis = random_axis(rng)
        for position in range(axis.conv):
            first = position * axis.stride - axis.pad
            inside = [t for t in range(axis.kernel) if 0 <= first + t * axis.dilation < axis.size]
            span = axis.taps(position)
            assert list(range(span.lo, span.hi)) == inside
        assert axis.padded == any(axis.taps(p) != Span(0, axis.kernel) for p in range(axis.conv))


def test_runs_cover_each_block_once_with_its_own_taps() -> None:
    rng = random.Random(1)
    for _ in range(200):
        axis = random_axis(rng)
        runs = column_runs(axis, axis.pool, axis.pool_stride, axis.out)
        assert [b for run in runs for b in range(run.first, run.last + 1)] == list(range(axis.out))
        for run in runs:
            for block in range(run.first, run.last + 1):
                start = block * axis.pool_stride
                assert run.taps == tuple(axis.taps(p) for p in range(start, start + axis.pool))
        assert all(a.taps != b.taps for a, b in itertools.pairwise(runs))


def test_positions_that_do_not_exist_are_none() -> None:
    axis = Axis(size=5, conv=5, out=3, kernel=1, stride=1, dilation=1, pad=0, pool=2, pool_stride=2, pool_pad=0)
    assert axis.clipped
    assert [run.taps[1] for run in column_runs(axis, 2, 2, 3)] == [Span(0, 1), None]


def test_windows_are_split_evenly() -> None:
    for width in range(1, 20):
        parts = split_window(width)
        assert [c for part in parts for c in range(part.lo, part.hi)] == list(range(width))
        sizes = [part.hi - part.lo for part in parts]
        assert max(sizes) <= 4 and max(sizes) - min(sizes) <= 1
