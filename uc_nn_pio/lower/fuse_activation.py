"""Fuses an activation into the convolution, linear or sum in front of it."""

from __future__ import annotations

from dataclasses import replace

from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.ops import Activation, Add, Conv2d, Linear
from uc_nn_pio.lower.rewrite import sole_consumer, substitute


def fuse_activation(graph: Graph) -> Graph:
    """conv2d, linear or add, then an activation that alone reads its result: one node, the sum is never stored."""
    for node in graph.nodes:
        if not isinstance(node.op, Add | Conv2d | Linear) or node.op.activation or getattr(node.op, "pool", None):
            continue
        behind = sole_consumer(graph, node.output)
        if behind and isinstance(behind.op, Activation):
            fused = replace(node, op=replace(node.op, activation=behind.op), outputs=behind.outputs)
            graph = substitute(graph, {node.output: [fused], behind.output: []})
    return graph
