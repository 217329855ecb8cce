"""Waits for lines of code when the model's code is larger than the core's instruction cache."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

WARM_UP, COUNTED = 4, 8
"""Inferences before any miss counts, and those over which misses are averaged."""


def code_waits(
    sizes: Sequence[int], order: Sequence[int], bodies: Sequence[int], icache: Mapping[str, Any]
) -> list[float]:
    """Cycles that each function waits for its code in one inference of many.

    The functions lie one behind the other, each call reads all of a function's lines in turn, and a new line takes the
    place of any in its set, as on the FE310: a set into which more lines fall than it has ways misses again and again.

    Args:
        sizes: bytes of code of each function.
        order: the calls of one inference, by the functions' indices.
        bodies: whose code each function runs: its own, or that of one which is the same.
        icache: ``size``, ``ways``, ``line`` in bytes, ``refill_cycles_reset_flash``.
    """
    line, ways = int(icache["line"]), int(icache["ways"])
    sets = int(icache["size"]) // line // ways
    begins = [sum(sizes[:index]) for index in range(len(sizes))]
    lines = [range(begin // line, -(-(begin + size) // line)) for begin, size in zip(begins, sizes, strict=True)]
    in_set = Counter(at % sets for at in range(-(-sum(sizes) // line)))
    contended = [[at for at in found if in_set[at % sets] > ways] for found in lines]
    misses = [0] * len(sizes)
    rng, held = random.Random(0), [[None] * ways for _ in range(sets)]
    for inference in range(WARM_UP + COUNTED):
        for function in order:
            for at in contended[bodies[function]]:
                if at not in held[at % sets]:
                    held[at % sets][rng.randrange(ways)] = at
                    misses[function] += inference >= WARM_UP
    return [count * icache["refill_cycles_reset_flash"] / COUNTED for count in misses]
