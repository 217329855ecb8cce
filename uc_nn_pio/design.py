"""The finished design of one model: all decisions made, no C written yet. Emit and report read it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from uc_nn_pio.boards import Board
from uc_nn_pio.emit.kernels import Kernel
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.place import ConstantPlacement
from uc_nn_pio.quantize import LayerNoise
from uc_nn_pio.schedule import Plan, Problem
from uc_nn_pio.spec import ModelSpec


@dataclass(frozen=True)
class Design:
    """``captured`` is the network as torch runs it, ``graph`` after lowering; a kernel and a step of ``problem`` a
    node of ``graph``."""

    spec: ModelSpec
    board: Board | None
    captured: Graph
    graph: Graph
    kernels: tuple[Kernel, ...]
    problem: Problem
    plan: Plan
    placement: ConstantPlacement
    noise: tuple[LayerNoise, ...] = ()

    @property
    def precision(self) -> str:
        """Of the activations: what the graph says, whatever the spec asked for."""
        return self.graph.tensor(self.graph.inputs[0]).dtype.value

    def is_called(self, kernel: Kernel) -> bool:
        """Whether a kernel has C of its own: not where nothing is left to do in place."""
        return not (kernel.free_in_place and any(output == kernel.node.output for output, _ in self.plan.shared))

    @property
    def weight_bytes(self) -> int:
        return sum(table.bytes for kernel in self.kernels for table in kernel.tables())


def graph_hash(graph: Graph) -> str:
    """sha256 over everything in a graph that shapes the C: nodes, shapes, scales, attributes and constants. Not where
    it came from."""
    digest = hashlib.sha256()
    for tensor in graph.values():
        quant = f" {float(tensor.quant.scale).hex()} {tensor.quant.zero_point}" if tensor.quant else ""
        digest.update(f"{tensor.name} {tensor.shape} {tensor.dtype.value}{quant}\n".encode())
    for node in graph.nodes:
        digest.update(f"{node.name} {node.op!r} {node.inputs} {node.outputs}\n".encode())
        for role in sorted(node.constants):
            array = np.ascontiguousarray(graph.constants[node.constants[role]])
            digest.update(f"{role} {array.shape} {array.dtype.str}\n".encode() + array.tobytes())
    return digest.hexdigest()
