"""Micro-kernels: single layers in many shapes, and what each takes on the virtual HiFive1.

``python -m uc_nn_pio.bench.micro_kernels`` measures them, says how well fitted parameters predict those that were left
out of the fit, and with ``--write`` writes ``uc_nn_pio/cost/fe310.json``, from which reports predict cycles. No network
of the examples and none of the tests is among them.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

import uc_nn_pio.cost
from uc_nn_pio.bench.fit import Sample, errors_of, fit
from uc_nn_pio.bench.layers import layer_costs
from uc_nn_pio.boards import Board, load_board
from uc_nn_pio.converter import design_of_graph
from uc_nn_pio.cost.parameters import CostModel, stream_of
from uc_nn_pio.cost.prediction import Cost
from uc_nn_pio.cost.work import work_of
from uc_nn_pio.design import Design
from uc_nn_pio.emit.kernels import Kernel
from uc_nn_pio.emit.kernels.base import shape_text
from uc_nn_pio.emit.kernels.conv2d_rows_int8 import Conv2dRowsInt8
from uc_nn_pio.errors import UcNnError
from uc_nn_pio.graph import ops
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import Method, Range, calibrate, quantize
from uc_nn_pio.spec import LEAST, InputSpec, MemorySpec, ModelSource, ModelSpec, OutputSpec

MODEL = Path(uc_nn_pio.cost.__file__).parent / "fe310.json"
LARGE_RAM = 1 << 17
LARGE = 0.3
"""Of convolutions and fully connected layers, so many have many channels, and ten times the sums."""

MOST_MACS = {"int8": 60_000, "float32": 12_000}
MOST_DRAWS = 1000
COUNTS = {
    "conv": 80,
    "pooled_conv": 80,
    "conv_rows": 80,
    "depthwise": 70,
    "linear": 50,
    "max_pool": 60,
    "avg_pool": 50,
    "adaptive": 40,
    "activation": 40,
    "softmax": 14,
    "log_softmax": 10,
    "permute": 10,
    "add": 20,
    "concat": 24,
    "sub": 12,
    "mul": 24,
    "gather": 40,
    "pad": 16,
    "prelu": 16,
    "layer_norm": 24,
    "recurrent": 32,
    "argmax": 16,
    "embedding": 16,
}
"""How many micro-kernels of each sort, in each precision."""

STREAMED = "conv_rows"
"""Convolutions that make row by row, in the least RAM, and hold their weights in registers; int8 alone has them."""

BRANCHED = ("add", "sub", "mul", "concat")

MAY_POOL = {"conv_rows": 0.6, "depthwise": 0.3}

NARROW = 8
"""One of so many has outputs whose range is far too narrow, which takes the long way to requantize."""

COMPACT = 4
"""One of so many keeps its staged weights compact, as kernels do when RAM is short."""


def large_board() -> Board:
    """The virtual HiFive1, with RAM for any micro-kernel. Nothing is predicted for it: it is measured."""
    board = load_board("hifive1_virtual")
    details = {key: value for key, value in board.details.items() if key != "cost_model"}
    return replace(board, details=details, regions={**board.regions, "ram": replace(board.ram, size=LARGE_RAM)})


def measured(precision: str, sort: str) -> list[Sample]:
    """Draws, builds and measures the micro-kernels of a sort. The same ones every time."""
    board = large_board()
    tuning = {**board.details["kernels"], "compact": True}
    compact = replace(board, details={**board.details, "kernels": tuning})
    found = []
    for number in range(COUNTS[sort] if sort != STREAMED or precision == "int8" else 0):
        design = _design(sort, number, precision, compact if number % COMPACT == 0 else board)
        rectified = number % 2 == 1
        costs, code = layer_costs(design, board, rectified)
        # those of two tensors have convolutions in front
        for kernel in design.kernels[-1:] if sort in BRANCHED else design.kernels:
            found.append(_sample(kernel, costs[kernel.name], None if sort in BRANCHED else code, board, rectified))
    return found


def _sample(kernel: Kernel, costs: Cost, code_bytes: int | None, board: Board, rectified: bool) -> Sample:
    work = work_of(kernel)
    if kernel.node.inputs == tuple(kernel.graph.inputs) and rectified:
        work = replace(work, zeros=0.5)
    return Sample(
        kernel.cost_class,
        kernel.input.dtype.value,
        f"{kernel.node.op.title} {shape_text(kernel.input.shape)} -> {shape_text(kernel.output.shape)}",
        work,
        costs,
        stream_of(kernel, board.flash),
        code_bytes,
    )


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
                ranges = calibrate(graph, [samples], Method.MINMAX)
                if number % NARROW == NARROW - 1:
                    ranges = {
                        name: range_ if name in graph.inputs else Range(range_.low / 200, range_.high / 200)
                        for name, range_ in ranges.items()
                    }
                graph = quantize(graph, ranges)
            spec = ModelSpec(
                Path("part.yaml"),
                "part",
                ModelSource(),
                text_sha256="0" * 64,
                input=InputSpec(graph.tensor(graph.inputs[0]).shape),
                output=OutputSpec(),
                memory=MemorySpec("streamed", ram_budget=LEAST) if sort == STREAMED else MemorySpec(),
            )
            design = design_of_graph(spec, graph, graph, board)
            if sort == STREAMED and not isinstance(design.kernels[0], Conv2dRowsInt8):
                continue
            if not any(kernel.free_in_place for kernel in design.kernels):
                return design
        except UcNnError:
            continue  # a window larger than its map: draw again
    raise UcNnError(f"no micro-kernel {sort} {number} was drawn")


def _graph(sort: str, rng: random.Random, values: np.random.Generator, precision: str) -> Graph:
    large = sort in ("conv", "pooled_conv", STREAMED, "linear") and rng.random() < LARGE
    build, draw = GraphBuilder("part"), _Shapes(rng, MOST_MACS[precision], large)
    shape = {"linear": draw.vector, "recurrent": draw.rows, "embedding": draw.vector}.get(sort, draw.map)()
    x = at = build.input("x", shape)
    match sort:
        case "conv" | "pooled_conv" | "conv_rows" | "depthwise":
            op, out = draw.conv(shape, depthwise=sort == "depthwise")
            weight = values.normal(size=(out, shape[0] // op.groups, *op.kernel)).astype(np.float32)
            at = build.add("conv", op, x, weight=weight, bias=values.normal(size=out).astype(np.float32))
            if rng.random() < 0.7:
                at = build.add("activation", ops.Activation(rng.choice(("relu", "relu", "relu6"))), at)
            if sort == "pooled_conv" or (sort in (STREAMED, "depthwise") and rng.random() < MAY_POOL[sort]):
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
            size = rng.choice(((1, 1), (2, 2), (3, 2), (2, 3), (3, 5), (5, 4)))
            at = build.add("pool", ops.AdaptiveAvgPool2d(), x, shape=(shape[0], *size))
        case "activation":
            name = rng.choice(("relu", "relu6", "leaky_relu", "sigmoid", "tanh"))
            at = build.add("activation", ops.Activation(name, 0.1 if name == "leaky_relu" else 0.0), x)
        case "softmax" | "log_softmax":
            at = build.add("softmax", ops.Softmax() if sort == "softmax" else ops.LogSoftmax(), x)
        case "permute":
            at = build.add("permute", ops.Permute("hwc_to_chw"), x, shape=(shape[0] * shape[1] * shape[2],))
        case "gather":
            index = draw.moved(shape)
            made = index.shape if index.ndim == 3 else (index.size,)
            at = build.add("gather", ops.Gather(), x, shape=made, index=index.ravel().astype(np.int32))
        case "pad":
            before, after = (tuple(rng.randint(0, 2) for _ in shape) for _ in range(2))
            made = tuple(b + n + a for b, n, a in zip(before, shape, after, strict=True))
            at = build.add("pad", ops.Pad(before, after), x, shape=made)
        case "prelu":
            at = build.add("prelu", ops.PRelu(), x, slope=values.uniform(0, 1, shape[0]))
        case "layer_norm":
            affine = {"weight": values.normal(size=shape[0]), "bias": values.normal(size=shape[0])}
            at = build.add("norm", ops.LayerNorm(), x, **(affine if precision == "int8" or rng.random() < 0.7 else {}))
        case "argmax":
            at = build.add("argmax", ops.ArgMax(), x, shape=(1, *shape[1:]))
        case "embedding":
            table = values.normal(size=(rng.randint(2, 40), rng.randint(1, 24))).astype(np.float32)
            at = build.add("embedding", ops.Embedding(), x, shape=(*shape, table.shape[1]), weight=table)
        case "recurrent":
            op = ops.Recurrent(rng.choice(("lstm", "lstm", "gru", "gru", "rnn_tanh", "rnn_relu")), rng.random() < 0.2)
            units = rng.randint(2, 20)
            sizes = {"weight_x": (shape[1],), "weight_h": (units,), "bias_x": (), "bias_h": ()}
            constants = {
                role: values.uniform(-1, 1, (op.gates * units, *more)).astype(np.float32) / units**0.5
                for role, more in sizes.items()
            }
            at = build.add("recurrent", op, x, shape=(shape[0], units), **constants)
        case "add" | "sub" | "mul" | "concat":
            # of two branches, for each of which a small convolution stands
            sides = []
            for side in ("left", "right"):
                weight = values.normal(size=(shape[0], shape[0], 1, 1)).astype(np.float32)
                bias = values.normal(size=shape[0]).astype(np.float32)
                sides.append(build.add(side, ops.Conv2d(), x, weight=weight, bias=bias))
            if sort == "mul" and rng.random() < 0.5:
                sides[1] = build.add("pixel", ops.AdaptiveAvgPool2d(), sides[1], shape=(shape[0], 1, 1))
            op = {"add": ops.Add(), "sub": ops.Sub(), "mul": ops.Mul(), "concat": ops.Concat(rng.randint(0, 2))}[sort]
            at = build.add(sort, op, *sides)
    return build.graph(at)


class _Shapes:
    """Draws shapes and windows of small layers."""

    def __init__(self, rng: random.Random, most_macs: int, large: bool) -> None:
        self.rng, self.most, self.large = rng, most_macs * (10 if large else 1), large

    def map(self) -> tuple[int, int, int]:
        channels = self.rng.choice((3, 8, 12, 16, 24, 32) if self.large else (1, 1, 2, 3, 4, 6, 8, 12, 16))
        return channels, self.rng.randint(4, 18), self.rng.randint(4, 18)

    def rows(self) -> tuple[int, int]:
        return self.rng.randint(1, 12), self.rng.randint(1, 20)

    def vector(self) -> tuple[int]:
        return (self.rng.randint(8, 1000 if self.large else 300),)

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
            out = (
                shape[0] * rng.choice((1, 1, 2))
                if depthwise
                else groups * rng.randint(*((6, 24) if self.large else (1, 10)))
            )
            macs = out * shape[0] // groups * kernel[0] * kernel[1] * shape[1] * shape[2] // (stride[0] * stride[1])
            if shape[0] % groups == 0 and macs <= self.most:
                return ops.Conv2d(kernel, stride, padding, dilation, groups), out

    def moved(self, shape: tuple[int, int, int]) -> np.ndarray:
        """Places of the elements of a slice, or of a transposed, a turned or a larger map."""
        places = np.arange(shape[0] * shape[1] * shape[2]).reshape(shape)
        match self.rng.randrange(5):
            case 0:
                return places[:, 1 : shape[1] - 1, :: self.rng.randint(1, 2)]
            case 1:
                return places.transpose(self.rng.sample(range(3), 3))
            case 2:
                return np.flip(places, self.rng.randint(0, 2))
            case 3:
                return places.repeat(2, axis=1).repeat(2, axis=2)
            case _:
                return places.transpose(1, 2, 0)[1:].ravel()

    def pool(self, kind: type[ops.MaxPool2d] | type[ops.AvgPool2d]) -> ops.Op:
        kernel = self.rng.choice(((2, 2), (2, 2), (2, 2), (3, 3), (1, 2), (2, 1), (4, 4)))
        stride = kernel if self.rng.random() < 0.7 else self.rng.choice(((1, 1), (2, 2)))
        padding = (
            ops.Padding(*(kernel[0] // 2,) * 2, *(kernel[1] // 2,) * 2) if self.rng.random() < 0.25 else ops.Padding()
        )
        return kind(kernel, stride, padding)


def all_measured() -> list[Sample]:
    """Every micro-kernel, on all processors."""
    jobs = [(precision, sort) for precision in MOST_MACS for sort in COUNTS]
    with ProcessPoolExecutor() as pool:
        return [sample for found in pool.map(measured, *zip(*jobs, strict=True)) for sample in found]


def cost_model_of(samples: Sequence[Sample]) -> CostModel:
    """Parameters of each class of kernels, and of each precision for those that are not among them."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.kernel, []).append(sample)
        groups.setdefault(sample.precision, []).append(sample)
    return CostModel(
        f"{len(samples)} micro-kernels on the virtual HiFive1: python -m uc_nn_pio.bench.micro_kernels --write",
        {name: fit(group) for name, group in sorted(groups.items())},
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m uc_nn_pio.bench.micro_kernels", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--write", action="store_true", help=f"write {MODEL.name} of the package")
    options = parser.parse_args(arguments)
    samples = all_measured()
    print(f"{'relative errors of what was left out':40}{'root mean square':>18}{'largest':>10}")
    for kernel in sorted({sample.kernel for sample in samples}):
        group = [sample for sample in samples if sample.kernel == kernel]
        print(f"{kernel} ({len(group)})")
        for title, errors in errors_of(group).items():
            print(f"    {title:36}{100 * errors.root_mean_square:16.1f} %{100 * errors.largest:8.1f} %")
    if options.write:
        cost_model_of(samples).write(MODEL)
        print(f"wrote {MODEL}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
