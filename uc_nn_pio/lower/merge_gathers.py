"""Makes one gather of several in a row, with the reshapes between and behind them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.graph.ops import Gather, Reshape
from uc_nn_pio.lower.drop_unused import drop_unused
from uc_nn_pio.lower.rewrite import fresh, substitute


def merge_gathers(graph: Graph) -> Graph:
    """A gather, or a reshape, of what a gather has made reads that one's input. A gather that keeps all elements in
    their order becomes a reshape, which :func:`merge_reshapes` takes on."""
    found: dict[str, tuple[str, np.ndarray | None]] = {}
    replacements: dict[str, list[Node]] = {}
    constants: dict[str, np.ndarray] = {}
    for node in graph.nodes:
        if not isinstance(node.op, Gather | Reshape):
            continue
        source, index = found.get(node.inputs[0], (node.inputs[0], None))
        own = graph.constant(node, "index") if isinstance(node.op, Gather) else None
        if own is not None:
            index = own if index is None else index[own]
        if index is not None and np.array_equal(index, np.arange(graph.tensor(source).elements)):
            index = None
        found[node.output] = (source, index)
        if index is None:
            replacements[node.output] = [replace(node, op=Reshape(), inputs=(source,), constants={})]
        elif index is not own or source != node.inputs[0]:
            name = fresh(f"{node.name}.index", {**graph.constants, **constants})
            constants[name] = np.array(index, np.int32)
            replacements[node.output] = [replace(node, op=Gather(), inputs=(source,), constants={"index": name})]
    return drop_unused(substitute(graph, replacements, constants=constants))
