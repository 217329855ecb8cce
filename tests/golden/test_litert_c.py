"""Generated C against outputs of LiteRT's reference kernels, as native code under sanitizers: no difference."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from tests.emit.harness import case_of, run_sanitized
from tests.emit.int8_networks import design_of_int8
from tests.golden.networks import graph_of
from tests.golden.test_litert import ARRAYS, EXACT, LENET5, LENET5_ARRAYS, WITHIN_1
from uc_nn_pio.emit.kernels.tuning import Tuning

PLAIN = Tuning(packed=False, conv_taps=8, linear_inputs=4)
PACKED = Tuning(packed=True, conv_taps=10, linear_inputs=4)
"""As on the HiFive1: two products share a MUL."""


def outputs(cases: Iterable[dict], arrays: dict[str, np.ndarray], tuning: Tuning, folder: Path) -> list[np.ndarray]:
    """What the C gives for each case; a case's model is named by its place."""
    made = []
    for number, case in enumerate(cases):
        design = design_of_int8(graph_of(case, arrays, fused=True), tuning, f"golden{number}")
        made.append(case_of(design, arrays[f"{case['name']}/input"]))
    return run_sanitized(made, folder, level="-O0")


def farthest(cases: list[dict], found: list[np.ndarray]) -> dict[str, int]:
    """By case, the largest distance from LiteRT's output, in steps."""
    distances = {}
    for case, values in zip(cases, found, strict=True):
        expected = ARRAYS[f"{case['name']}/layer/output"]
        assert values.shape == expected.shape and values.dtype == expected.dtype == np.int8
        distances[case["name"]] = int(np.abs(values.astype(int) - expected).max())
    return distances


@pytest.mark.parametrize(
    ("tuning", "step"),
    [(PACKED, 1), (PLAIN, 3), pytest.param(PLAIN, 1, marks=pytest.mark.slow)],
    ids=["packed", "plain-a-third", "plain"],
)
def test_single_layers_to_the_bit(tuning: Tuning, step: int, tmp_path: Path) -> None:
    """A third has something of every kind still."""
    cases = EXACT[::step]
    assert len({case["name"].split("_", 1)[1] for case in cases}) == 6 and len(cases) * step >= 100
    found = farthest(cases, outputs(cases, ARRAYS, tuning, tmp_path))
    assert not {name: distance for name, distance in found.items() if distance}


def test_tables_within_1_and_all_but_leaky_relu_to_the_bit(tmp_path: Path) -> None:
    found = farthest(WITHIN_1, outputs(WITHIN_1, ARRAYS, PLAIN, tmp_path))
    assert len(found) >= 20 and max(found.values()) <= 1
    assert not {name: distance for name, distance in found.items() if distance and "leaky_relu" not in name}


@pytest.mark.parametrize("tuning", [PLAIN, PACKED], ids=["plain", "packed"])
def test_every_layer_of_lenet5_to_the_bit(tuning: Tuning, tmp_path: Path) -> None:
    """The network cut off behind each of its layers in turn; convolutions are fused with their pools where they have
    them, as they are in a conversion."""
    (whole,) = LENET5
    cut = [{**whole, "layers": whole["layers"][: n + 1]} for n in range(len(whole["layers"]))]
    assert len(cut) == 7
    for case, values in zip(cut, outputs(cut, LENET5_ARRAYS, tuning, tmp_path), strict=True):
        name = case["layers"][-1]["name"]
        assert np.array_equal(values, LENET5_ARRAYS[f"lenet5/{name}/output"]), name
