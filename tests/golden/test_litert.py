"""The int8 reference against outputs of LiteRT's reference kernels, which ``make_litert.py`` has stored."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.golden import case_file
from tests.golden.networks import graph_of
from uc_nn_pio.graph.quant import to_int8
from uc_nn_pio.reference import integer

CASES, ARRAYS = case_file.load("layers")
LENET5, LENET5_ARRAYS = case_file.load("lenet5")
BY_TABLE = ("activation", "softmax", "log_softmax")
"""Operators that we compute by tables of our own, within 1 of TensorFlow Lite."""

EXACT = [case for case in CASES if case["layers"][0]["op"] not in BY_TABLE]
WITHIN_1 = [case for case in CASES if case["layers"][0]["op"] in BY_TABLE]
TEST_SET = Path(__file__).parents[2] / "examples" / "lenet5_camera" / "models" / "data" / "test.npz"


def difference(case: dict) -> np.ndarray:
    found = integer.run_batch(graph_of(case, ARRAYS), ARRAYS[f"{case['name']}/input"])["layer"]
    expected = ARRAYS[f"{case['name']}/layer/output"]
    assert found.shape == expected.shape and found.dtype == expected.dtype == np.int8
    return np.abs(found.astype(int) - expected)


@pytest.mark.parametrize("case", EXACT, ids=lambda case: case["name"])
def test_one_layer_to_the_bit(case: dict) -> None:
    assert not difference(case).any()


def test_the_kernel_for_fully_connected_layers_is_within_1_and_mostly_equal() -> None:
    """LiteRT's own rounds the exact product once; away from values drawn at the boundaries that is seldom another."""
    found, expected = [], []
    for case in (case for case in EXACT if case["layers"][0]["op"] == "linear"):
        values = integer.run_batch(graph_of(case, ARRAYS), ARRAYS[f"{case['name']}/input"])["layer"]
        theirs = ARRAYS[f"{case['name']}/layer/fully_connected"]
        assert np.abs(values.astype(int) - theirs).max() <= 1
        if values.shape[1] < 100:
            found.append(values.ravel())
            expected.append(theirs.ravel())
    assert (np.concatenate(found) == np.concatenate(expected)).mean() > 0.99


@pytest.mark.parametrize("case", WITHIN_1, ids=lambda case: case["name"])
def test_tables_within_1(case: dict) -> None:
    assert difference(case).max() <= 1


def test_the_cases_cover_what_they_claim() -> None:
    kinds = Counter(case["name"].split("_", 1)[1] for case in EXACT)
    assert set(kinds) == {"conv", "depthwise", "groups", "linear", "avg_pool2d", "max_pool2d"}
    assert min(kinds.values()) >= 2 and sum(kinds.values()) >= 100
    linears = [case for case in EXACT if "linear" in case["name"]]
    scales = {ARRAYS[f"{case['name']}/layer/weight_scale"].size > 1 for case in linears}
    exponents = np.concatenate(
        [graph.constants[name] for graph in map(lambda c: graph_of(c, ARRAYS), EXACT) for name in graph.constants
         if name.endswith("exponent")]
    )  # fmt: skip
    assert scales == {False, True}
    assert exponents.max() > 0 and exponents.min() < -20, "left shifts, and far right ones"


@pytest.mark.parametrize("fused", [False, True])
def test_every_layer_of_lenet5_to_the_bit(fused: bool) -> None:
    (case,) = LENET5
    values = integer.run_batch(graph_of(case, LENET5_ARRAYS, fused), LENET5_ARRAYS["lenet5/input"])
    layers = [layer["name"] for layer in case["layers"] if not (fused and layer["op"] == "conv2d")]
    assert layers == list(values)[1:] and len(layers) == (5 if fused else 7)
    for name in layers:
        assert np.array_equal(values[name], LENET5_ARRAYS[f"lenet5/{name}/output"]), name


def test_lenet5_in_int8_on_1000_digits() -> None:
    """Within 0.1 points of what float32 reaches on these digits, 98.6 %."""
    (case,) = LENET5
    graph = graph_of(case, LENET5_ARRAYS, fused=True)
    with np.load(TEST_SET, allow_pickle=False) as data:
        images, labels = data["images"], data["labels"]
    inputs = to_int8(images.astype(np.float32) / np.float32(255), graph.tensor("input").quant)
    assert np.array_equal(inputs, (images.astype(int) - 128))
    (scores,) = integer.outputs_batch(graph, inputs).values()
    accuracy = (scores.argmax(axis=1) == labels).mean()
    print(f"int8: {100 * accuracy:.1f} % of {len(labels)}")
    assert len(labels) == 1000 and accuracy >= 0.985
