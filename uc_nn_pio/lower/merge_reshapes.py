"""Makes one reshape of several in a row, and none of those that end where they began."""

from __future__ import annotations

from dataclasses import replace

from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.ops import Identity, Reshape
from uc_nn_pio.lower.drop_identity import drop_identity
from uc_nn_pio.lower.drop_unused import drop_unused
from uc_nn_pio.lower.rewrite import substitute


def merge_reshapes(graph: Graph) -> Graph:
    """A reshape of a reshape reads the first one's input; one that changes no shape is dropped."""
    source: dict[str, str] = {}
    replacements = {}
    for node in graph.nodes:
        if not isinstance(node.op, Reshape):
            continue
        before = source.get(node.inputs[0], node.inputs[0])
        source[node.output] = before
        same = graph.tensor(before).shape == graph.tensor(node.output).shape
        replacements[node.output] = [replace(node, op=Identity() if same else node.op, inputs=(before,))]
    return drop_identity(drop_unused(substitute(graph, replacements)))
