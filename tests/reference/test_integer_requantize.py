"""Requantization against a second implementation: Python's unbounded integers, and remainders for bit masks."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from uc_nn_pio.reference.integer import requantize

LOWEST, HIGHEST = -(2**31), 2**31 - 1


def by_remainders(acc: int, q: int, e: int, z: int, lo: int, hi: int) -> int:
    """To the nearest of x * q / 2^31, halves up; to the nearest of that / 2^n, halves away from zero."""
    x = acc * 2**e if e > 0 else acc
    x = HIGHEST if x > HIGHEST else LOWEST if x < LOWEST else x
    t, rest = divmod(x * q, 2**31)
    t += rest >= 2**30
    if e < 0:
        step = 2**-e
        whole, rest = divmod(abs(t), step)
        whole += 2 * rest >= step
        t = whole if t >= 0 else -whole
    t += z
    return lo if t < lo else hi if t > hi else t


def agree(acc: np.ndarray, q: np.ndarray, e: np.ndarray, z: int = 0, lo: int = -128, hi: int = 127) -> None:
    found = requantize(acc, q, e, z, lo, hi)
    triples = zip(acc.tolist(), q.tolist(), e.tolist(), strict=True)
    expected = np.array([by_remainders(a, m, s, z, lo, hi) for a, m, s in triples])
    wrong = np.flatnonzero(found != expected)
    assert not wrong.size, [(acc[i], q[i], e[i], found[i], expected[i]) for i in wrong[:5]]


@pytest.mark.parametrize("seed", range(4))
def test_random_cases(seed: int) -> None:
    """Two million: half with exponents that bring the accumulator into int8, half with any."""
    rng = np.random.default_rng(seed)
    count = 250_000
    bits = rng.integers(1, 32, count)
    acc = (rng.integers(LOWEST, HIGHEST, count, endpoint=True) >> (31 - bits)).astype(np.int64)
    q = rng.integers(2**30, HIGHEST, count, endpoint=True)
    fitting = np.clip(8 - bits + rng.integers(-1, 2, count), -31, 30)
    z = int(rng.integers(-128, 128))
    agree(acc, q, fitting, z, lo=max(-128, z) if seed % 2 else -128)
    agree(acc, q * rng.choice([-1, 1], count), rng.integers(-31, 31, count), z)


def test_ties_and_edges() -> None:
    """Multipliers that are powers of two meet halves exactly; accumulators at and around every power of two."""
    powers = [sign * 2**k + d for k in range(32) for sign in (-1, 1) for d in (-3, -2, -1, 0, 1, 2, 3)]
    values = [p for p in powers if LOWEST <= p <= HIGHEST] + [LOWEST, HIGHEST]
    values += [sign * (2 * n + 1) * 2**k for n in range(200) for k in (0, 1, 4, 9) for sign in (-1, 1)]
    for q in (2**30, 2**30 + 1, HIGHEST, 3 * 2**29, -(2**30), LOWEST, -HIGHEST, 0):
        for e in range(-31, 31):
            agree(
                np.array(values),
                np.full(len(values), q),
                np.full(len(values), e),
                z=random.Random(e).randint(-128, 127),
            )


def test_some_values_by_hand() -> None:
    half = 2**30  # 0.5 of 2^31
    for acc, q, e, expected in [
        (3, half, 0, 2),  # 1.5, halves up
        (-3, half, 0, -1),  # -1.5, halves up
        (6, half, -1, 2),  # 3, then 1.5 away from zero
        (-6, half, -1, -2),  # -3, then -1.5 away from zero
        (100, half, 1, 100),  # a factor of 1
        (1000, half, 1, 127),
        (2**30, half, 30, 127),  # would leave int32; saturates
        (-(2**30), half, 30, -128),
        (HIGHEST, 0, 0, 0),
    ]:
        assert requantize(np.array(acc), np.array(q), np.array(e), 0) == expected, (acc, q, e)
    assert requantize(np.array([50, -50]), np.array(half), np.array(1), 10, lo=10, hi=40).tolist() == [40, 10]


def test_it_is_within_one_of_the_real_value() -> None:
    rng = random.Random(5)
    for _ in range(2000):
        acc, q, e = rng.randint(-(10**6), 10**6), rng.randint(2**30, HIGHEST), rng.randint(-24, -10)
        real = max(-128, min(127, Fraction(acc * q, 2**31) / 2**-e))
        assert abs(int(requantize(np.array(acc), np.array(q), np.array(e), 0)) - real) <= Fraction(1, 2) + Fraction(
            1, 2**9
        )


def test_it_is_monotone() -> None:
    """So a maximum may be taken before it."""
    rng = np.random.default_rng(7)
    for e in range(-20, 5):
        acc = np.sort(rng.integers(-(2**20), 2**20, 5000))
        y = requantize(acc, np.array(rng.integers(2**30, 2**31)), np.array(e), -7)
        assert (np.diff(y.astype(int)) >= 0).all()
