"""int8 depthwise convolutions as native code under sanitizers: no difference to the integer reference."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.emit.harness import FLAGS, case_of, run_sanitized
from tests.emit.int8_networks import design_of_int8
from uc_nn_pio.emit.kernels.depthwise_int8 import DepthwiseInt8
from uc_nn_pio.emit.kernels.tuning import Tuning
from uc_nn_pio.emit.render import render
from uc_nn_pio.errors import ModelError
from uc_nn_pio.graph import ops
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.quant import QuantParams
from uc_nn_pio.graph.shapes import pooled
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import IntegerWeights, with_integers
from uc_nn_pio.reference.integer import run_batch

TUNINGS = {"packed": Tuning(packed=True), "plain": Tuning()}
MODELS = 60
RISCV = ("-march=rv32imac", "-mabi=ilp32", "-ffreestanding", "-c")
CLEAN = {
    "gcc": ("gcc", "-O2", "-c"),
    "clang": ("clang", "-O1", "-c"),
    "riscv": ("riscv64-unknown-elf-gcc", "-Os", *RISCV),
}


def layer(
    op: ops.Conv2d,
    shape: tuple[int, int, int],
    weights: IntegerWeights,
    before: QuantParams,
    after: QuantParams,
    pool: tuple[ops.MaxPool2d, bool] | None = None,
) -> Graph:
    """The int8 graph of one convolution, its pool fused; the pool's flag is torch's ``ceil_mode``."""
    build = GraphBuilder("net")
    at = build.add("layer", op, build.input("x", shape), weight=weights.weight, bias=weights.bias)
    if pool:
        at = build.add("pool", pool[0], at, shape=pooled(pool[0], build.graph(at).tensor(at).shape, pool[1]))
    graph = lower(build.graph(at))
    (node,) = graph.nodes
    return with_integers(graph, {"x": before, node.output: after}, {node.name: weights})


def random_layer(seed: int) -> Graph:
    """Any depthwise convolution that the graph allows. Same seed, same layer."""
    rng, values = random.Random(seed), np.random.default_rng(seed)
    while True:
        channels = rng.choice((2, 3, 5))
        shape = (channels, rng.choice((1, 2, 3, 5, 8, 11)), rng.choice((1, 1, 2, 3, 5, 7, 8, 9, 13, 16, 18, 21, 28)))
        kernel = (rng.choice((1, 2, 3, 3, 4, 5)), rng.choice((1, 2, 3, 3, 4, 5, 7, 12)))
        pads = [rng.choice((0, 0, 1, k // 2, k - 1, k + 1)) for k in (kernel[0], kernel[0], kernel[1], kernel[1])]
        op = ops.Conv2d(
            kernel,
            (rng.choice((1, 1, 2, 3)), rng.choice((1, 1, 2, 3))),
            ops.Padding(*pads) if rng.random() < 0.8 else ops.Padding(),
            (rng.choice((1, 1, 2, 3)), rng.choice((1, 1, 1, 2))),
            channels,
            activation=_activation(rng),
        )
        weights = _weights(rng, values, (channels * rng.choice((1, 1, 1, 2, 3)), 1, *kernel))
        before = QuantParams(np.float32(0.02), rng.choice((-128, -128, -5, 0, 127)))
        after = QuantParams(_output_scale(rng, weights, before), rng.choice((-128, -128, 0, 3, 127)))
        try:
            return layer(op, shape, weights, before, after, _pool(rng) if rng.random() < 0.5 else None)
        except ModelError:
            continue  # a window larger than its map: draw again


def _activation(rng: random.Random) -> ops.Activation | None:
    slope = rng.choice((0.1, -0.4, 1.5))
    return rng.choice((None, ops.Activation("relu"), ops.Activation("relu6"), ops.Activation("leaky_relu", slope)))


def _pool(rng: random.Random) -> tuple[ops.MaxPool2d, bool]:
    """Windows that do not overlap: others are not fused."""
    kernel = rng.choice(((2, 2), (2, 2), (3, 3), (1, 2), (4, 1), (2, 3), (3, 18)))
    pads = [rng.choice((0, 0, k // 2)) for k in (kernel[0], kernel[0], kernel[1], kernel[1])]
    stride = (kernel[0] + rng.choice((0, 0, 1)), kernel[1] + rng.choice((0, 0, 2)))
    return ops.MaxPool2d(kernel, stride, ops.Padding(*pads)), rng.random() < 0.4


def _weights(rng: random.Random, values: np.random.Generator, shape: tuple[int, ...]) -> IntegerWeights:
    """Small, any, or all at their ends; -128 as imported networks may have it; a channel of zeros at times."""
    drawn = {
        "small": np.rint(values.normal(size=shape) * 20),
        "any": values.integers(-127, 128, shape),
        "ends": values.choice((-128, -127, 127), shape),
        "least": np.full(shape, -128),
    }
    weight = np.clip(drawn[rng.choice(list(drawn))], -128, 127).astype(np.int8)
    bias = (values.normal(size=shape[0]) * rng.choice((0, 10, 1000, 100_000))).astype(np.int32)
    if rng.random() < 0.2:
        weight[0], bias[0] = 0, 0
    scale = values.uniform(0.5, 2, shape[0] if rng.random() < 0.9 else 1) * rng.choice((1e-2, 1e-2, 1e-6, 1e-9))
    return IntegerWeights(weight, scale.astype(np.float32), bias)


def _output_scale(rng: random.Random, weights: IntegerWeights, before: QuantParams) -> np.float32:
    """So that the outputs' range is used; at times far too large or small for it, down to shifts to the left."""
    sums = np.abs(weights.weight.astype(np.int64)).reshape(len(weights.weight), -1).sum(axis=1) * 60 + 1
    return np.float32(sums.max() * weights.scale.max() * before.scale / 127 * rng.choice((1, 1, 1, 0.1, 50, 1e6, 1e-6)))


def inputs_of(graph: Graph, seed: int) -> np.ndarray:
    """Anything; all at one end; all at the other; either end."""
    shape, values = graph.tensor("x").shape, np.random.default_rng(seed)
    ends = values.choice(np.array([-128, 127], np.int8), shape)
    anything = values.integers(-128, 128, shape)
    return np.stack([anything, np.full(shape, -128), np.full(shape, 127), ends]).astype(np.int8)


def assert_equal_to_reference(graphs: list[Graph], tuning: Tuning, folder: Path) -> None:
    cases, expected = [], []
    for number, graph in enumerate(graphs):
        design = design_of_int8(graph, tuning, f"net{number}")
        assert isinstance(design.kernels[0], DepthwiseInt8)
        inputs = inputs_of(graph, number)
        cases.append(case_of(design, inputs))
        expected.append(run_batch(graph, inputs)[graph.outputs[0]])
    for graph, actual, wanted in zip(graphs, run_sanitized(cases, folder, level="-O0"), expected, strict=True):
        assert np.array_equal(actual, wanted), graph.nodes[0].op


@pytest.mark.parametrize("tuning", TUNINGS)
def test_random_layers_equal_the_reference(tuning: str, tmp_path: Path) -> None:
    assert_equal_to_reference([random_layer(seed) for seed in range(MODELS)], TUNINGS[tuning], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("tuning", TUNINGS)
def test_more_random_layers_equal_the_reference(tuning: str, tmp_path: Path) -> None:
    for first in range(1000, 4000, 150):
        folder = tmp_path / str(first)
        folder.mkdir()
        assert_equal_to_reference([random_layer(s) for s in range(first, first + 150)], TUNINGS[tuning], folder)


@pytest.mark.parametrize("tuning", TUNINGS)
@pytest.mark.parametrize("compiler", CLEAN)
def test_clean_under(compiler: str, tuning: str, tmp_path: Path) -> None:
    command, *flags = CLEAN[compiler]
    assert shutil.which(command), f"{command} is needed for this test"
    names = [f"net{seed}" for seed in range(0, MODELS, 4)]
    for seed, name in zip(range(0, MODELS, 4), names, strict=True):
        for file, text in render(design_of_int8(random_layer(seed), TUNINGS[tuning], name)).items():
            (tmp_path / file).write_text(text)
            kernel = text[text.index("channel's map") :] if file.endswith(".c") else ""
            assert not [line for line in kernel.splitlines() if len(line) > 125]
    (tmp_path / "all.c").write_text("".join(f'#include "{name}.c"\n' for name in names))
    done = subprocess.run(
        [command, *FLAGS, *flags, "all.c", "-o", "all.o"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
