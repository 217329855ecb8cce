"""Turns an adaptive average pool into a plain one where all of its windows have one size."""

from __future__ import annotations

from dataclasses import replace

from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.ops import AdaptiveAvgPool2d, AvgPool2d
from uc_nn_pio.lower.rewrite import substitute


def replace_adaptive_pool(graph: Graph) -> Graph:
    """Where the output's height and width divide the input's, windows are H/h by W/w and do not overlap."""
    replacements = {}
    for node in graph.nodes:
        if isinstance(node.op, AdaptiveAvgPool2d):
            _, height, width = graph.tensor(node.inputs[0]).shape
            _, rows, columns = graph.tensor(node.output).shape
            if height % rows == 0 and width % columns == 0:
                window = (height // rows, width // columns)
                replacements[node.output] = [replace(node, op=AvgPool2d(kernel=window, stride=window))]
    return substitute(graph, replacements)
