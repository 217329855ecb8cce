"""Random int8 networks, wider than ``tests.networks`` draws them, and designs of int8 graphs.

They are drawn as graphs, without torch: capture has tests of its own, and a graph may hold what torch's layers do not
(padding of four unlike sides, ranges that no calibration gives).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from tests.graph.torch_graph import graph_of
from tests.networks import random_network
from uc_nn_pio.boards import Board, Region
from uc_nn_pio.converter import design_of_graph
from uc_nn_pio.design import Design
from uc_nn_pio.emit.kernels.tuning import Tuning
from uc_nn_pio.errors import ModelError
from uc_nn_pio.graph import ops
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.quant import to_int8
from uc_nn_pio.graph.shapes import pooled
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import Method, Range, calibrate, quantize
from uc_nn_pio.spec import InputSpec, MemorySpec, ModelSource, ModelSpec, OutputSpec

ACTIVATIONS = (
    ops.Activation("relu"),
    ops.Activation("relu6"),
    ops.Activation("leaky_relu", 0.1),
    ops.Activation("leaky_relu", -0.3),
    ops.Activation("leaky_relu", 1.5),
    ops.Activation("sigmoid"),
    ops.Activation("tanh"),
)
MOST_ELEMENTS, MOST_WEIGHTS = 1500, 1500


@dataclass(frozen=True)
class Network:
    """An int8 graph and inputs for it, int8 (4, ...) in torch's order."""

    graph: Graph
    inputs: np.ndarray


def board_of(tuning: Tuning, ram: int = 1 << 20) -> Board:
    """A board of which nothing is known but how its kernels are shaped, and its RAM."""
    region = Region("ram", 0, ram, "ram")
    return Board("test", "test", "test", "rv32imac", "ilp32", "medany", {"ram": region}, {"kernels": asdict(tuning)})


def design_of_int8(
    graph: Graph, tuning: Tuning, name: str = "net", ram_budget: int | None = None, schedule: str = "auto"
) -> Design:
    """Kernels and plan of an int8 graph."""
    entry = graph.tensor(graph.inputs[0])
    spec = ModelSpec(
        Path(f"{name}.yaml"),
        name,
        ModelSource(),
        text_sha256="0" * 64,
        input=InputSpec(entry.shape),
        output=OutputSpec(),
        memory=MemorySpec(schedule=schedule, ram_budget=ram_budget),
    )
    return design_of_graph(spec, graph, graph, board_of(tuning))


def random_int8_network(seed: int) -> Network:
    """Same seed, same network. Every third is one of ``tests.networks``, calibrated as it should be."""
    rng = random.Random(seed)
    values = np.random.default_rng(seed)
    while True:
        try:
            if seed % 3:
                graph = _float_graph(rng, values)
            else:
                module, shape = random_network(seed)
                graph = lower(graph_of(module, shape))
            if not graph.nodes:
                continue
            return _quantized(graph, rng, values, wild=seed % 3 > 0)
        except ModelError:
            continue  # a window larger than its map, an accumulator or a multiplier too large: draw again


def random_pooled_network(seed: int) -> Network:
    """One to three convolutions, each with a pool whose windows lie side by side and on the map."""
    rng = random.Random(seed)
    values = np.random.default_rng(seed)
    while True:
        try:
            draw = _Drawer(rng, values, (rng.randint(1, 4), rng.randint(9, 20), rng.randint(6, 12)))
            for _ in range(rng.randint(1, 2)):
                draw.conv(pool=False)
                kernel = (rng.randint(2, 3), rng.randint(1, 5))
                draw.add(ops.MaxPool2d(kernel, kernel), pooled(ops.MaxPool2d(kernel, kernel), draw.shape))
            return _quantized(lower(draw.build.graph(draw.at)), rng, values, wild=True)
        except ModelError:
            continue


def random_tuning(seed: int) -> Tuning:
    rng = random.Random(seed)
    tuning = Tuning(
        packed=rng.random() < 0.6,
        compact=rng.random() < 0.4,
        conv_taps=rng.choice((1, 3, 4, 6, 8, 12)),
        linear_inputs=rng.randint(1, 8),
        mul_cycles=rng.choice((1, 5)),
    )
    return tuning if tuning.packed else replace(tuning, dual=rng.random() < 0.5)


def _quantized(graph: Graph, rng: random.Random, values: np.random.Generator, wild: bool) -> Network:
    samples = values.normal(size=(8, *graph.tensor(graph.inputs[0]).shape)).astype(np.float32)
    method = rng.choice((Method.MINMAX, Method.MINMAX, Method.PERCENTILE, Method.MSE))
    ranges = calibrate(graph, [samples], method)
    if wild:
        ranges = {name: _wild(rng, range_) if rng.random() < 0.4 else range_ for name, range_ in ranges.items()}
    made = quantize(graph, ranges, linear_per_channel=rng.random() < 0.4)
    entry = made.tensor(made.inputs[0])
    anything = values.integers(-128, 128, (2, *entry.shape)).astype(np.int8)
    ends = values.choice(np.array([-128, 127], np.int8), (1, *entry.shape))
    return Network(made, np.concatenate([to_int8(samples[:1], entry.quant), anything, ends]))


def _wild(rng: random.Random, range_: Range) -> Range:
    """Far too narrow or too wide, or with 0 at one end, which is where the zero point then lies."""
    width = max(range_.high - range_.low, 1e-3)
    return rng.choice(
        (
            Range(range_.low / 50, range_.high / 30),
            Range(range_.low * 40 - 1, range_.high * 90),
            Range(-width, 0),
            Range(0, width),
            Range(-width / 3, width),
        )
    )


class _Drawer:
    """Adds random layers to a graph."""

    def __init__(
        self, rng: random.Random, values: np.random.Generator, shape: tuple[int, int, int] | None = None
    ) -> None:
        self.rng, self.values = rng, values
        self.build = GraphBuilder("net")
        self.shape = shape or self._map()
        self.at = self.build.input("x", self.shape)
        self.count = 0

    def _map(self) -> tuple[int, int, int]:
        rng = self.rng
        while True:
            shape = (rng.choice((1, 2, 3, 4, 5, 6, 7, 9, 12)), rng.randint(1, 12), rng.randint(1, 12))
            if np.prod(shape) <= 500:
                return shape

    def add(self, op: ops.Op, shape: tuple[int, ...] | None = None, **constants: np.ndarray | None) -> None:
        self.count += 1
        self.at = self.build.add(f"layer_{self.count}", op, self.at, shape=shape, **constants)
        self.shape = self.build.graph(self.at).tensor(self.at).shape
        if np.prod(self.shape) > MOST_ELEMENTS or sum(np.size(v) for v in constants.values()) > MOST_WEIGHTS:
            raise ModelError("too large for a test")

    def conv(self, pool: bool = True) -> None:
        rng, channels = self.rng, self.shape[0]
        groups = rng.choice([g for g in range(1, channels + 1) if channels % g == 0] + [1, channels])
        out = groups * rng.choice((1, 1, 2, 3, 5) if groups > 2 else (1, 2, 3, 4, 5, 7))
        kernel = (rng.randint(1, 5), rng.randint(1, 5))
        dilation = (rng.choice((1, 1, 1, 2, 3)), rng.choice((1, 1, 1, 2)))
        pads = [rng.choice((0, 0, 1, k // 2, k, k + 1)) for k in (kernel[0], kernel[0], kernel[1], kernel[1])]
        op = ops.Conv2d(kernel, self.stride(), self.padding(pads), dilation, groups)
        weight = self.weight((out, channels // groups, *kernel))
        self.add(op, weight=weight, bias=self.bias(weight) if rng.random() < 0.8 else None)
        if rng.random() < 0.7:
            self.add(rng.choice(ACTIVATIONS))
        if pool and rng.random() < 0.5:
            self.max_pool()

    def stride(self) -> tuple[int, int]:
        return self.rng.choice((1, 1, 1, 2, 3)), self.rng.choice((1, 1, 1, 2, 4))

    def padding(self, pads: list[int]) -> ops.Padding:
        return ops.Padding(*pads) if self.rng.random() < 0.6 else ops.Padding()

    def weight(self, shape: tuple[int, ...]) -> np.ndarray:
        """Channels of unlike size, some of them all zeros, some with one large weight."""
        weight = self.values.normal(size=shape)
        weight *= np.exp(self.values.normal(size=len(weight)) * self.rng.choice((0, 1, 3))).reshape(
            -1, *(1,) * (weight.ndim - 1)
        )
        if self.rng.random() < 0.3:
            weight[self.rng.randrange(len(weight))] = 0
        if self.rng.random() < 0.3:
            weight[self.rng.randrange(len(weight))].flat[0] = 30
        if self.rng.random() < 0.3:
            weight = np.sign(weight)  # all of them 127 or -127
        return weight.astype(np.float32)

    def bias(self, weight: np.ndarray) -> np.ndarray:
        size = np.abs(weight).reshape(len(weight), -1).sum(axis=1) * self.rng.choice((0.1, 1, 10))
        return (self.values.normal(size=len(weight)) * size).astype(np.float32)

    def max_pool(self) -> None:
        rng = self.rng
        kernel = (rng.randint(1, 4), rng.randint(1, 5))
        dilation = rng.choice(((1, 1), (1, 1), (1, 1), (2, 1), (1, 2)))
        pads = [rng.randint(0, k // 2) for k in (kernel[0], kernel[0], kernel[1], kernel[1])]
        stride = rng.choice((kernel, (2, 2), self.stride()))
        op = ops.MaxPool2d(kernel, stride, self.padding(pads), dilation)
        self.add(op, pooled(op, self.shape, ceil_mode=rng.random() < 0.4))

    def avg_pool(self) -> None:
        rng = self.rng
        kernel = rng.choice(((2, 2), (3, 3), (3, 2), (1, 4), (5, 4), (7, 6), self.shape[1:]))
        pads = [rng.randint(0, k // 2) for k in (kernel[0], kernel[0], kernel[1], kernel[1])]
        op = ops.AvgPool2d(
            kernel,
            rng.choice((kernel, (1, 1), self.stride())),
            self.padding(pads),
            rng.random() < 0.5,
            rng.choice((None, None, 3, 7, 1000)),
        )
        self.add(op, pooled(op, self.shape, ceil_mode=rng.random() < 0.4))

    def adaptive(self) -> None:
        self.add(ops.AdaptiveAvgPool2d(), (self.shape[0], self.rng.randint(1, 7), self.rng.randint(1, 7)))

    def activation(self) -> None:
        self.add(self.rng.choice(ACTIVATIONS))

    def softmax(self) -> None:
        self.add(self.rng.choice((ops.Softmax(), ops.LogSoftmax())))

    def flatten(self) -> None:
        self.add(ops.Reshape(), (int(np.prod(self.shape)),))

    def linear(self) -> None:
        weight = self.weight((self.rng.randint(1, 11), self.shape[0]))
        self.add(ops.Linear(), weight=weight, bias=self.bias(weight) if self.rng.random() < 0.8 else None)
        if self.rng.random() < 0.5:
            self.activation()


def _float_graph(rng: random.Random, values: np.random.Generator) -> Graph:
    """A lowered chain of one to six layers."""
    draw = _Drawer(rng, values)
    kinds = {"conv": 12, "max_pool": 1, "avg_pool": 2, "adaptive": 1, "activation": 1, "softmax": 0.3}
    for kind in rng.choices(list(kinds), list(kinds.values()), k=rng.randint(1, 3)):
        getattr(draw, kind)()
    if rng.random() < 0.6:
        draw.flatten()
        for _ in range(rng.randint(0, 2)):
            draw.linear()
        if rng.random() < 0.3:
            draw.softmax()
    return lower(draw.build.graph(draw.at))


def operators(graph: Graph) -> Mapping[str, int]:
    """How often each operator occurs."""
    kinds = [node.op.kind for node in graph.nodes]
    return {kind: kinds.count(kind) for kind in set(kinds)}
