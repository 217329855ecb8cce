"""Drops operators that do nothing at inference."""

from __future__ import annotations

from dataclasses import replace

from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.ops import Identity, Permute
from uc_nn_pio.lower.rewrite import bypass, substitute


def drop_identity(graph: Graph) -> Graph:
    """Readers of an identity's output read its input. Between two tensors that both enter or leave the graph a plain
    copy stays, since each keeps its name."""
    while node := next((node for node in graph.nodes if isinstance(node.op, Identity)), None):
        copy = replace(node, op=Permute(order="same"))
        graph = bypass(graph, node) or substitute(graph, {node.output: [copy]})
    return graph
