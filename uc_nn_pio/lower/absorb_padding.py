"""Gives zeros around a map to the convolution behind them."""

from __future__ import annotations

from dataclasses import replace

from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.graph.ops import Conv2d, Pad, Padding
from uc_nn_pio.lower.drop_unused import drop_unused
from uc_nn_pio.lower.rewrite import substitute


def absorb_padding(graph: Graph) -> Graph:
    """A convolution of a padded map reads the map itself, with that much more padding of its own."""
    while pair := _pad_before_convolution(graph):
        pad, conv = pair
        before, after, own = pad.op.before, pad.op.after, conv.op.padding
        padding = Padding(own.top + before[1], own.bottom + after[1], own.left + before[2], own.right + after[2])
        absorbing = replace(conv, op=replace(conv.op, padding=padding), inputs=pad.inputs)
        graph = drop_unused(substitute(graph, {conv.output: [absorbing]}))
    return graph


def _pad_before_convolution(graph: Graph) -> tuple[Node, Node] | None:
    for node in graph.nodes:
        if isinstance(node.op, Conv2d):
            pad = graph.producer(node.inputs[0])
            if pad and isinstance(pad.op, Pad) and not (pad.op.before[0] or pad.op.after[0]):
                return pad, node
    return None
