"""Fuses an activation into the convolution, linear or sum in front of it."""

from __future__ import annotations

from dataclasses import replace

from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.ops import Activation, Conv2d, Elementwise, Linear
from uc_nn_pio.lower.rewrite import sole_consumer, substitute


def fuse_activation(graph: Graph) -> Graph:
    """conv2d, linear, a sum or a product, then an activation that alone reads its result: one node."""
    for node in graph.nodes:
        if (
            not isinstance(node.op, Conv2d | Elementwise | Linear)
            or node.op.activation
            or getattr(node.op, "pool", None)
        ):
            continue
        behind = sole_consumer(graph, node.output)
        if behind and isinstance(behind.op, Activation):
            fused = replace(node, op=replace(node.op, activation=behind.op), outputs=behind.outputs)
            graph = substitute(graph, {node.output: [fused], behind.output: []})
    return graph
