"""Micro-kernels: single layers in many shapes, and what each takes on the virtual HiFive1.

``python -m uc_nn_pio.bench.parts --write`` measures them and fits ``uc_nn_pio/cost/fe310.json``, from which reports
predict cycles. No network of the examples and none of the tests is among them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from uc_nn_pio.bench.layers import LayerCosts, layer_costs
from uc_nn_pio.boards import Board, load_board
from uc_nn_pio.convert import design_of_graph
from uc_nn_pio.design import Design
from uc_nn_pio.emit.kernels import Kernel
from uc_nn_pio.errors import UcNnError
from uc_nn_pio.graph import ops
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import Method, calibrate, quantize
from uc_nn_pio.spec import InputSpec, MemorySpec, ModelSource, ModelSpec, OutputSpec

LARGE_RAM = 1 << 17
MOST_MACS = {"int8": 60_000, "float32": 12_000}
MOST_DRAWS = 1000
COUNTS = {
    "conv": 40,
    "pooled_conv": 40,
    "depthwise": 30,
    "linear": 20,
    "max_pool": 14,
    "avg_pool": 14,
    "adaptive": 8,
    "activation": 14,
    "softmax": 8,
    "log_softmax": 6,
    "permute": 6,
    "add": 12,
    "concat": 8,
}
"""How many micro-kernels of each sort, in each precision."""


@dataclass(frozen=True)
class Part:
    """A measured layer: what it was drawn as, its kernel and its costs. ``code_bytes`` are of all its model's code."""

    sort: str
    kernel: Kernel
    costs: LayerCosts
    code_bytes: int


def large_board() -> Board:
    """The virtual HiFive1, with RAM for any micro-kernel."""
    board = load_board("hifive1_virtual")
    return replace(board, regions={**board.regions, "ram": replace(board.ram, size=LARGE_RAM)})


def parts(precision: str) -> Iterator[Part]:
    """Draws, builds and measures the micro-kernels. The same ones every time."""
    board = large_board()
    for sort, count in COUNTS.items():
        for number in range(count):
            design = _design(sort, number, precision, board)
            costs, code = layer_costs(design, board)
            for kernel in design.kernels:
                if costs[kernel.name].instructions > 200:
                    yield Part(sort, kernel, costs[kernel.name], code)


def _design(sort: str, number: int, precision: str, board: Board) -> Design:
    rng = random.Random(f"{sort} {number}")
    values = np.random.default_rng(number)
    for _ in range(MOST_DRAWS):
        try:
            graph = lower(_graph(sort, rng, values, precision))
            if not graph.nodes:
                continue
            if precision == "int8":
                samples = values.normal(size=(4, *graph.tensor(graph.inputs[0]).shape)).astype(np.float32)
                graph = quantize(graph, calibrate(graph, [samples], Method.MINMAX))
            spec = ModelSpec(
                Path("part.yaml"),
                "part",
                ModelSource(),
                text_sha256="0" * 64,
                input=InputSpec(graph.tensor(graph.inputs[0]).shape),
                output=OutputSpec(),
                memory=MemorySpec(),
            )
            return design_of_graph(spec, graph, graph, board)
        except UcNnError:
            continue  # a window larger than its map: draw again
    raise UcNnError(f"no micro-kernel {sort} {number} was drawn")


def _graph(sort: str, rng: random.Random, values: np.random.Generator, precision: str) -> Graph:
    build, draw = GraphBuilder("part"), _Shapes(rng, MOST_MACS[precision])
    shape = draw.vector() if sort == "linear" else draw.map()
    x = at = build.input("x", shape)
    match sort:
        case "conv" | "pooled_conv" | "depthwise":
            op, out = draw.conv(shape, depthwise=sort == "depthwise")
            weight = values.normal(size=(out, shape[0] // op.groups, *op.kernel)).astype(np.float32)
            at = build.add("conv", op, x, weight=weight, bias=values.normal(size=out).astype(np.float32))
            if rng.random() < 0.7:
                at = build.add("activation", ops.Activation(rng.choice(("relu", "relu", "relu6"))), at)
            if sort == "pooled_conv" or (sort == "depthwise" and rng.random() < 0.3):
                at = build.add("pool", draw.pool(ops.MaxPool2d), at)
        case "linear":
            out = rng.choice((1, 2, 3, 5, 8, 10, 13, 24, 40, 64))
            weight = values.normal(size=(out, shape[0])).astype(np.float32)
            at = build.add("linear", ops.Linear(), x, weight=weight, bias=values.normal(size=out).astype(np.float32))
            if rng.random() < 0.5:
                at = build.add("activation", ops.Activation("relu"), at)
        case "max_pool":
            at = build.add("pool", draw.pool(ops.MaxPool2d), x)
        case "avg_pool":
            at = build.add("pool", draw.pool(ops.AvgPool2d), x)
        case "adaptive":
            size = rng.choice(((1, 1), (1, 1), (2, 2), (3, 2)))
            at = build.add("pool", ops.AdaptiveAvgPool2d(), x, shape=(shape[0], *size))
        case "activation":
            name = rng.choice(("relu", "relu6", "leaky_relu", "sigmoid", "tanh"))
            at = build.add("activation", ops.Activation(name, 0.1 if name == "leaky_relu" else 0.0), x)
        case "softmax" | "log_softmax":
            at = build.add("softmax", ops.Softmax() if sort == "softmax" else ops.LogSoftmax(), x)
        case "permute":
            at = build.add("permute", ops.Permute("hwc_to_chw"), x, shape=(shape[0] * shape[1] * shape[2],))
        case "add" | "concat":
            # of two branches, for each of which a small convolution stands
            sides = []
            for side in ("left", "right"):
                weight = values.normal(size=(shape[0], shape[0], 1, 1)).astype(np.float32)
                bias = values.normal(size=shape[0]).astype(np.float32)
                sides.append(build.add(side, ops.Conv2d(), x, weight=weight, bias=bias))
            at = build.add(sort, ops.Add() if sort == "add" else ops.Concat(rng.randint(0, 2)), *sides)
    return build.graph(at)


class _Shapes:
    """Draws shapes and windows of small layers."""

    def __init__(self, rng: random.Random, most_macs: int) -> None:
        self.rng, self.most = rng, most_macs

    def map(self) -> tuple[int, int, int]:
        channels = self.rng.choice((1, 1, 2, 3, 4, 6, 8, 12, 16))
        return channels, self.rng.randint(4, 18), self.rng.randint(4, 18)

    def vector(self) -> tuple[int]:
        return (self.rng.randint(8, 300),)

    def conv(self, shape: tuple[int, int, int], depthwise: bool) -> tuple[ops.Conv2d, int]:
        rng = self.rng
        while True:
            kernel = rng.choice(((1, 1), (3, 3), (3, 3), (5, 5), (2, 2), (1, 3), (3, 1), (4, 3)))
            stride = rng.choice(((1, 1), (1, 1), (2, 2), (1, 2)))
            dilation = rng.choice(((1, 1),) * 5 + ((2, 2),))
            # a border of its own on each side, as PyTorch's padding and as "same" has it
            pads = [rng.choice((0, k // 2, k // 2)) for k in (kernel[0], kernel[0], kernel[1], kernel[1])]
            padding = ops.Padding(*pads) if rng.random() < 0.6 else ops.Padding()
            groups = shape[0] if depthwise else rng.choice((1, 1, 1, 2))
            out = shape[0] * rng.choice((1, 1, 2)) if depthwise else groups * rng.randint(1, 10)
            macs = out * shape[0] // groups * kernel[0] * kernel[1] * shape[1] * shape[2] // (stride[0] * stride[1])
            if shape[0] % groups == 0 and macs <= self.most:
                return ops.Conv2d(kernel, stride, padding, dilation, groups), out

    def pool(self, kind: type[ops.MaxPool2d] | type[ops.AvgPool2d]) -> ops.Op:
        kernel = self.rng.choice(((2, 2), (2, 2), (2, 2), (3, 3), (1, 2), (2, 1), (4, 4)))
        stride = kernel if self.rng.random() < 0.7 else self.rng.choice(((1, 1), (2, 2)))
        padding = (
            ops.Padding(*(kernel[0] // 2,) * 2, *(kernel[1] // 2,) * 2) if self.rng.random() < 0.25 else ops.Padding()
        )
        return kind(kernel, stride, padding)
