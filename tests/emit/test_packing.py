"""Words of weights, and the proof that sums of products stay apart in their halves."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from uc_nn_pio.emit.kernels.packing import (
    MOST_IN_HALF,
    MOST_IN_SETS,
    fewest_groups,
    tap_groups,
    words_of_outputs,
    words_of_taps,
)


def halves(weights: np.ndarray, x: np.ndarray, groups: list[list[int]]) -> tuple[int, int]:
    """What packed C computes of two channels' taps (2, n): s and c, and from them the two sums."""
    s = c = 0
    for group in groups:
        p = sum((int(weights[0, t]) + 65536 * int(weights[1, t])) * int(x[t]) for t in group) & 0xFFFFFFFF
        s = (s + p) & 0xFFFFFFFF
        c += int(np.int32(np.uint32((p + 0x8000) & 0xFFFFFFFF))) >> 16
    first = (s - (c << 16)) & 0xFFFFFFFF
    return first - 2**32 if first >= 2**31 else first, c


def test_both_sums_are_exact_at_random_and_at_the_extremes() -> None:
    rng = np.random.default_rng(3)
    for trial in range(400):
        taps = int(rng.integers(1, 40))
        weights = rng.integers(-128, 128, (2, taps)) if trial % 2 else rng.choice([-128, -127, 127], (2, taps))
        x = rng.integers(-128, 128, taps) if trial % 3 else rng.choice([-128, 127], taps)
        groups = tap_groups(weights, range(taps))
        assert [t for group in groups for t in group] == list(range(taps))
        assert halves(weights, x, groups) == (int(weights[0] @ x), int(weights[1] @ x))


def test_groups_are_as_long_as_the_bound_allows_and_no_longer() -> None:
    weights = np.array([[127, 127, 1, 1, 60, 60, 60, 60, 60]])
    groups = tap_groups(weights, range(9))
    assert groups == [[0, 1, 2], [3, 4, 5, 6, 7], [8]]
    for group, after in itertools.pairwise(groups):
        assert np.abs(weights[:, group]).sum() <= MOST_IN_HALF < np.abs(weights[:, [*group, after[0]]]).sum()
    # two of the largest weights that quantization gives always fit; two of an imported -128 do not
    assert tap_groups(np.full((3, 2), 127), "ab") == [["a", "b"]]
    assert tap_groups(np.full((3, 2), -128), "ab") == [["a"], ["b"]]


def partitions(taps: list[int]) -> Iterator[list[list[int]]]:
    """All ways to put taps into groups."""
    if not taps:
        yield []
        return
    for rest in partitions(taps[1:]):
        yield [[taps[0]], *rest]
        for at, group in enumerate(rest):
            yield [*rest[:at], [taps[0], *group], *rest[at + 1 :]]


def test_no_other_groups_in_any_order_are_fewer() -> None:
    rng = np.random.default_rng(8)
    for trial in range(40):
        taps, places = int(rng.integers(1, 7)), int(rng.integers(1, 5))
        weights = rng.integers(-128, 128, (places, taps)) // int(rng.integers(1, 4))
        columns = [t // 2 for t in range(taps)]

        def fits(group: list[int], weights: np.ndarray = weights) -> bool:
            return len(group) == 1 or bool((np.abs(weights[:, group]).sum(1) <= MOST_IN_HALF).all())

        def cost(groups: list[list[int]], columns: list[int] = columns) -> tuple[int, int]:
            return len(groups), sum(columns[max(group)] - columns[min(group)] for group in groups)

        groups = fewest_groups(weights, columns)
        assert sorted(t for group in groups for t in group) == list(range(taps)) and all(map(fits, groups)), trial
        best = min(cost(other) for other in partitions(list(range(taps))) if all(map(fits, other)))
        assert cost(groups) == best, trial


def test_sums_of_groups_in_any_order_are_exact() -> None:
    rng = np.random.default_rng(4)
    for trial in range(60):
        taps = int(rng.integers(1, MOST_IN_SETS + 2))
        weights = rng.integers(-128, 128, (2, taps)) // int(rng.integers(1, 5))
        x = rng.integers(-128, 128, taps) if trial % 3 else rng.choice([-128, 127], taps)
        groups = fewest_groups(weights, [0] * taps)
        assert halves(weights, x, groups) == (int(weights[0] @ x), int(weights[1] @ x))


def unpacked(word: int) -> tuple[int, int]:
    """The two words of taps that C makes of one from flash."""
    return tuple(((v & 0x00FF00FF) - 0x00800080) & 0xFFFFFFFF for v in (word, word >> 8))  # type: ignore[return-value]


def test_words_of_taps_come_apart_as_c_takes_them_apart() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(-128, 128, (2, 7))
    words = [half for word in words_of_taps(a, b, biased=True) for half in unpacked(word)]
    assert words[:7] == [(int(w0) + 65536 * int(w1)) & 0xFFFFFFFF for w0, w1 in zip(a, b, strict=True)]
    assert words[7] == 0, "an odd tap is followed by a weight of 0"
    plain = np.array(words_of_taps(a, b, biased=False), np.uint32).view(np.int8).reshape(-1, 4)
    assert np.array_equal(plain[:, :2].ravel()[:7], a) and np.array_equal(plain[:, 2:].ravel()[:7], b)


def test_words_of_outputs_hold_them_in_order() -> None:
    weights = np.random.default_rng(2).integers(-128, 128, (4, 5))
    plain = np.array(words_of_outputs(weights, biased=False), np.uint32).view(np.int8).reshape(-1, 4)
    assert np.array_equal(plain.T, weights)
    biased = np.array(words_of_outputs(weights, biased=True), np.uint32).view(np.uint8).reshape(-1, 4)
    assert np.array_equal(biased.T.astype(int) - 128, weights)
