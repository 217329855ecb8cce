"""Drops nodes whose results nobody reads."""

from __future__ import annotations

from uc_nn_pio.graph.ir import Graph, Node, rebuild


def drop_unused(graph: Graph) -> Graph:
    """Keeps what the graph's outputs depend on; inputs stay."""
    needed = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    return rebuild(graph, kept[::-1])
