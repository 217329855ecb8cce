"""The measured figures of the example networks, beside the paper's and the peers': ``python3 dev.py bench``.

Every figure is a count that repeats: bytes, instructions, modelled cycles. RAM is context + stack, as the peers' is.
None of our figures skips products with zeros: an inference takes nearly the same whatever it is shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from uc_nn_pio.bench.networks import NETWORKS, PRECISIONS, WAYS
from uc_nn_pio.bench.rows import row

KEYS = tuple(
    "-".join(filter(None, (network, precision, way)))
    for network in NETWORKS
    for precision in PRECISIONS
    for way in WAYS
    if not way
    or (precision == "int8" and (network, way) != ("cifar10", "weights"))
    or (network, precision, way) == ("lenet5", "float32", "streamed")
)
"""What :func:`bench` measures: ``lenet5-int8``, ``lenet5-int8-streamed`` and so on. Beside two whole maps of the
CIFAR-10 network there is no room for weights in RAM."""


def bench(keys: Iterable[str] = KEYS, tests: Mapping[str, Path] | None = None) -> dict[str, dict[str, Any]]:
    """A row of figures a key (:func:`uc_nn_pio.bench.rows.row`).

    Args:
        keys: some of ``KEYS``.
        tests: by network, test data that take the place of the spec's own; network stage.
    """
    tests = tests or {}
    rows = {}
    for key in keys:
        network, precision, way = parts(key)
        rows[key] = row(network, precision, way, test=tests.get(network))
    return rows


def parts(key: str) -> tuple[str, str, str]:
    """Network, precision and way of a row; the way is "" for pingpong."""
    network, precision, *way = key.split("-")
    return network, precision, way[0] if way else ""


def peers() -> Mapping[str, Any]:
    """Fixed figures of the paper and of other tools, with their source."""
    return json.loads((Path(__file__).parent / "peers.json").read_text(encoding="utf-8"))


__all__ = ["KEYS", "bench", "parts", "peers"]
