"""Small edits of a graph that several passes share. A node is known by its output tensor, which is unique."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from uc_nn_pio.graph.ir import Graph, Node, rebuild


def sole_consumer(graph: Graph, tensor: str) -> Node | None:
    """The one node that reads ``tensor``; None where there are more or none, or where the tensor leaves the graph."""
    consumers = graph.consumers(tensor)
    return consumers[0] if len(consumers) == 1 and tensor not in graph.outputs else None


def substitute(graph: Graph, replacements: Mapping[str, Sequence[Node]], **changes: object) -> Graph:
    """The graph with the node that makes tensor T replaced by ``replacements[T]``; ``changes`` as for ``rebuild``."""
    nodes = [new for node in graph.nodes for new in replacements.get(node.output, (node,))]
    return rebuild(graph, nodes, **changes)


def reading(node: Node, old: str, new: str) -> Node:
    """The node with input ``new`` for ``old``."""
    return replace(node, inputs=tuple(new if name == old else name for name in node.inputs))


def bypass(graph: Graph, node: Node) -> Graph | None:
    """The graph without a node that passes its input on unchanged; None where both tensors' names must stay, because
    both enter or leave the graph."""
    before, after = node.inputs[0], node.output
    if after not in graph.outputs:
        nodes = [reading(other, after, before) for other in graph.nodes if other is not node]
    elif before not in graph.inputs and before not in graph.outputs:
        nodes = [
            replace(
                reading(other, before, after),
                outputs=tuple(after if name == before else name for name in other.outputs),
            )
            for other in graph.nodes
            if other is not node
        ]
    else:
        return None
    return rebuild(graph, nodes)


def fresh(name: str, taken: Container[str]) -> str:
    """``name``, or with a number behind it where it is taken."""
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    return candidate
