"""Moves reshapes and gathers behind activations: next to the linear that can absorb a reshape, or to more of them."""

from __future__ import annotations

from dataclasses import replace

from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.graph.ops import Activation, Gather, Reshape
from uc_nn_pio.lower.drop_unused import drop_unused
from uc_nn_pio.lower.rewrite import fresh, sole_consumer, substitute


def sink_reshapes(graph: Graph) -> Graph:
    """reshape -> activation becomes activation -> reshape; the activation may then fuse with what is in front of it. A
    gather likewise, if it does not leave out elements that would be computed for nothing.

    A reshape that others read as well stays for them.
    """
    while pair := _reshape_before_activation(graph):
        reshape, function = pair
        before = reshape.inputs[0]
        name = fresh(f"{function.output}_before_{reshape.name}", graph.tensors)
        tensor = replace(graph.tensor(before), name=name)
        moved = replace(function, inputs=(before,), outputs=(name,))
        alone = sole_consumer(graph, reshape.output) is function
        own = reshape.name if alone else fresh(f"{reshape.name}_{function.name}", [node.name for node in graph.nodes])
        behind = replace(reshape, name=own, inputs=(name,), outputs=function.outputs)
        replacements = {function.output: [moved, behind]} | ({reshape.output: []} if alone else {})
        graph = drop_unused(substitute(graph, replacements, tensors={name: tensor}))
    return graph


def _reshape_before_activation(graph: Graph) -> tuple[Node, Node] | None:
    for node in graph.nodes:
        if isinstance(node.op, Activation):
            producer = graph.producer(node.inputs[0])
            if producer and (isinstance(producer.op, Reshape) or _only_moves(graph, producer)):
                return producer, node
    return None


def _only_moves(graph: Graph, node: Node) -> bool:
    return isinstance(node.op, Gather) and graph.tensor(node.inputs[0]).elements <= graph.tensor(node.output).elements
