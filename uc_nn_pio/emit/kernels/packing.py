"""Integer constants as words of flash, in the order in which kernels read them (arithmetic: ``docs/numerics.md``).

A *word of taps* holds two taps of two channels: bytes (w0[a], w0[b], w1[a], w1[b]) from the lowest on. Packed kernels
want each byte plus 128: ``(v & 0x00FF00FF) - 0x00800080`` is then ``w0[a] + 65536 * w1[a]``, and the same of ``v >> 8``
is tap b. Dual kernels want (w0[a], w1[a], w0[b], w1[b]): every second byte, widened, is both taps of a channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from uc_nn_pio.graph.ir import Graph, Node

MOST_IN_HALF = 255
"""Largest sum of |w| whose products with int8 stay within 16 bits: 255 * 128 < 2^15."""

MOST_IN_SETS = 10
"""Taps of which all sets are looked at."""


def words_of_taps(first: np.ndarray, second: np.ndarray, biased: bool, dual: bool = False) -> list[int]:
    """Two channels' taps (n,) as ceil(n / 2) words; an odd tap is followed by a zero weight."""
    pair = np.zeros((2, len(first) + len(first) % 2), np.int64)
    pair[:, : len(first)] = first, second
    taken = (pair + 128 if biased else pair) & 0xFF
    if dual:
        return [int(a | b << 16 | c << 8 | d << 24) for a, b, c, d in zip(*_alternate(taken), strict=True)]
    return [int(a | b << 8 | c << 16 | d << 24) for a, b, c, d in zip(*_alternate(taken), strict=True)]


def _alternate(pair: np.ndarray) -> tuple[np.ndarray, ...]:
    return pair[0, ::2], pair[0, 1::2], pair[1, ::2], pair[1, 1::2]


def words_of_outputs(weights: np.ndarray, biased: bool) -> list[int]:
    """Four outputs' weights (4, n) as n words: bytes (w0, w1, w2, w3) from the lowest on."""
    taken = (weights.astype(np.int64) + (128 if biased else 0)) & 0xFF
    return [int(v) for v in taken[0] | taken[1] << 8 | taken[2] << 16 | taken[3] << 24]


def words_of_inputs(weights: np.ndarray) -> list[int]:
    """Outputs' weights (outputs, 4 n) as a word of four inputs for each output, for each four inputs."""
    taken = weights.astype(np.int64) & 0xFF
    taken = taken.reshape(len(taken), -1, 4).transpose(1, 0, 2).reshape(-1, 4).T
    return [int(v) for v in taken[0] | taken[1] << 8 | taken[2] << 16 | taken[3] << 24]


def tap_groups(weights: np.ndarray, taps: Sequence[int]) -> list[list[int]]:
    """``taps`` in their order, in the fewest groups whose products may be added in one word.

    Args:
        weights: (places, taps) int32: what the same C meets in each place where it is used.
        taps: a name for each column.
    """
    magnitude = np.abs(weights.astype(np.int64))
    groups: list[list[int]] = []
    total = np.zeros(len(magnitude), np.int64)
    for column, tap in enumerate(taps):
        grown = total + magnitude[:, column]
        if groups and (grown <= MOST_IN_HALF).all():
            groups[-1].append(tap)
            total = grown
        else:
            groups.append([tap])
            total = magnitude[:, column]
    return groups


def fewest_groups(weights: np.ndarray, columns: Sequence[int]) -> list[list[int]]:
    """All taps in the fewest groups whose products may be added in one word, in any order; of equals, those whose taps
    stand close together.

    By dynamic programming over the sets of taps, so of :data:`MOST_IN_SETS` taps at most; of more, in their order.

    Args:
        weights: (places, taps) int32: what the same C meets in each place where it is used.
        columns: the kernel column of each tap.
    """
    taps = range(weights.shape[1])
    if len(taps) > MOST_IN_SETS:
        return tap_groups(weights, taps)
    magnitude = np.abs(weights.astype(np.int64))
    total = {0: np.zeros(len(magnitude), np.int64)}
    apart = {}
    for group in range(1, 1 << len(taps)):
        last = group.bit_length() - 1
        before = total.get(group & ~(1 << last))
        if before is not None and (group == 1 << last or (before + magnitude[:, last] <= MOST_IN_HALF).all()):
            total[group] = before + magnitude[:, last]
            apart[group] = (1, columns[last] - columns[(group & -group).bit_length() - 1])
    best: list[tuple[tuple[int, int], int]] = [((0, 0), 0)]
    for done in range(1, 1 << len(taps)):
        high = 1 << done.bit_length() - 1
        rest, choices = done ^ high, []
        part = rest
        while True:
            if (cost := apart.get(part | high)) is not None:
                left = best[rest ^ part][0]
                choices.append(((cost[0] + left[0], cost[1] + left[1]), part | high))
            if not part:
                break
            part = (part - 1) & rest
        best.append(min(choices))
    groups, left = [], (1 << len(taps)) - 1
    while left:
        groups.append([t for t in taps if best[left][1] >> t & 1])
        left ^= best[left][1]
    return groups


def folded_biases(graph: Graph, node: Node, zero_point: int) -> np.ndarray:
    """int64 (out,): the biases for raw inputs, ``bias - zero_point * sum(weight)``."""
    weight = graph.constant(node, "weight").astype(np.int64)
    return graph.constant(node, "bias").astype(np.int64) - zero_point * weight.reshape(len(weight), -1).sum(axis=1)


def bias_words(graph: Graph, node: Node, pair: tuple[int, int | None], zero_point: int, packed: bool) -> list[int]:
    """Where the sums of a pair of channels begin: ``s`` and ``c`` of packed kernels, else both biases."""
    biases = folded_biases(graph, node, zero_point)
    first, second = (int(biases[oc]) if oc is not None else 0 for oc in pair)
    return [(first + (second << 16 if packed else 0)) & 0xFFFFFFFF, second & 0xFFFFFFFF]


@dataclass(frozen=True)
class Requantizers:
    """How a layer's accumulators become int8, as staged words.

    ``multiplier`` and ``exponent`` are int32 by channel, or of one element for the whole layer; ``negative_...`` are
    those of leaky_relu for accumulators below 0, or None. ``simple`` says that every exponent is negative and that
    rounding cannot leave int32, so that the shorter formula gives the same bits.
    """

    multiplier: np.ndarray
    exponent: np.ndarray
    negative_multiplier: np.ndarray | None
    negative_exponent: np.ndarray | None
    simple: bool

    @property
    def leaky(self) -> bool:
        return self.negative_multiplier is not None

    @property
    def helper(self) -> str:
        """The function of ``math_int8.c.j2`` that computes it."""
        return ("requantize" if self.simple else "requantize_any") + ("_leaky" if self.leaky else "")

    @property
    def helpers(self) -> frozenset[str]:
        """That function, and the one that it calls."""
        return frozenset({self.helper, self.helper.removesuffix("_leaky")})

    @property
    def words(self) -> int:
        """Staged words of a pair of channels: two multipliers and their exponents in one word, twice if leaky."""
        return 6 if self.leaky else 3

    def of(self, first: int, second: int | None) -> list[int]:
        words = self._pair(self.multiplier, self.exponent, first, second)
        if self.negative_multiplier is not None and self.negative_exponent is not None:
            words += self._pair(self.negative_multiplier, self.negative_exponent, first, second)
        return words

    def _pair(self, q: np.ndarray, e: np.ndarray, first: int, second: int | None) -> list[int]:
        at = [0 if len(q) == 1 or oc is None else oc for oc in (first, second)]
        shifts = sum((int(-e[i]) & 0xFF) << 8 * n for n, i in enumerate(at))
        return [*(int(q[i]) & 0xFFFFFFFF for i in at), shifts]


def requantizers(graph: Graph, node: Node) -> Requantizers:
    """Those of a convolution or fully connected layer."""
    q, e = graph.constant(node, "multiplier"), graph.constant(node, "exponent")
    negative_q, negative_e = graph.constant(node, "negative_multiplier"), graph.constant(node, "negative_exponent")
    exponents = e if negative_e is None else np.concatenate([e, negative_e])
    weight = graph.constant(node, "weight").astype(np.int64)
    bound = np.abs(graph.constant(node, "bias").astype(np.int64)) + 255 * np.abs(weight).reshape(len(weight), -1).sum(1)
    rounding = 1 << max(int(-exponents.min()) - 1, 0)
    simple = bool((exponents < 0).all()) and int(bound.max()) + rounding < 2**31
    return Requantizers(q, e, negative_q, negative_e, simple)
