"""Takes reshapes out of the graph: into a linear's weights where possible, as explicit permutes elsewhere.

A reshape keeps torch's order (C, H, W) of the elements; a map lies in memory as H, W, C. So a reshape that changes
whether a tensor is a map, or its channels, moves bytes, unless a linear behind it reads (or one in front of it writes)
in the order of memory with its columns (rows) permuted to match.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from uc_nn_pio.graph.ir import Graph, Node, Tensor
from uc_nn_pio.graph.layout import memory_index, same_memory
from uc_nn_pio.graph.ops import Gather, Linear, Permute, Reshape
from uc_nn_pio.lower.drop_unused import drop_unused
from uc_nn_pio.lower.rewrite import fresh, sole_consumer, substitute


def absorb_layout(graph: Graph) -> Graph:
    """Leaves no reshape. Each is absorbed by every linear that reads its result; for other readers by the linear that
    makes its input, if that has no other reader; else it becomes one or two permutes."""
    for node in graph.nodes:
        if isinstance(node.op, Gather):
            graph = _gather_into_linears(graph, node)
    while node := next((node for node in graph.nodes if isinstance(node.op, Reshape)), None):
        for consumer in graph.consumers(node.output):
            if isinstance(consumer.op, Linear):
                columns = _positions(graph, source=node.output, target=node.inputs[0])
                graph = _into_linear_behind(graph, node, consumer, columns)
        if node.output not in graph.outputs and not graph.consumers(node.output):
            graph = substitute(graph, {node.output: []})
        else:
            graph = _into_linear_in_front(graph, node) or _as_permutes(graph, node)
    return graph


def _gather_into_linears(graph: Graph, node: Node) -> Graph:
    """Linears behind a gather that only reorders read its input; the gather goes where nothing else reads it."""
    before, after = (graph.tensor(name) for name in (node.inputs[0], node.output))
    moved = memory_index(before.shape, after.shape, graph.constant(node, "index"))
    if not np.array_equal(np.sort(moved), np.arange(before.elements)):
        return graph
    for linear in graph.consumers(node.output):
        if isinstance(linear.op, Linear):
            graph = _into_linear_behind(graph, node, linear, np.argsort(moved))
    return drop_unused(graph)


def _into_linear_behind(graph: Graph, node: Node, linear: Node, columns: np.ndarray) -> Graph:
    """The linear reads the input of the node in front; ``columns`` of its weight in that tensor's order of memory."""
    weight = graph.constant(linear, "weight")
    return _replaced(graph, linear, replace(linear, inputs=node.inputs), columns, {"weight": weight[:, columns]})


def _into_linear_in_front(graph: Graph, node: Node) -> Graph | None:
    """The linear in front writes the reshape's output, its rows in that tensor's order of memory."""
    linear = graph.producer(node.inputs[0])
    if linear is None or not isinstance(linear.op, Linear) or sole_consumer(graph, node.inputs[0]) is not node:
        return None
    moved = _positions(graph, source=node.inputs[0], target=node.output)
    arrays = {role: graph.constants[name][moved] for role, name in linear.constants.items()}
    writing = replace(linear, outputs=node.outputs)
    return _replaced(graph, linear, writing, moved, arrays, dropped=node)


def _positions(graph: Graph, source: str, target: str) -> np.ndarray:
    """For each place in ``target``'s memory, the place in ``source``'s memory that holds the same element."""
    before, after = graph.tensor(source), graph.tensor(target)
    return memory_index(before.shape, after.shape, np.arange(before.elements))


def _replaced(
    graph: Graph, old: Node, new: Node, moved: np.ndarray, arrays: dict[str, np.ndarray], dropped: Node | None = None
) -> Graph:
    """The graph with ``new`` for ``old`` and without ``dropped``; with ``arrays`` for its constants if places moved."""
    names: dict[str, str] = {}
    if not np.array_equal(moved, np.arange(len(moved))):
        names = {role: fresh(f"{new.name}.{role}", graph.constants) for role in arrays}
        new = replace(new, constants={**new.constants, **names})
    constants = {name: np.ascontiguousarray(arrays[role]) for role, name in names.items()}
    replacements = {old.output: [new]} | ({dropped.output: []} if dropped else {})
    return substitute(graph, replacements, constants=constants)


def _as_permutes(graph: Graph, node: Node) -> Graph:
    """Memory is rearranged; between two maps by way of torch's order."""
    before, after = graph.tensor(node.inputs[0]), graph.tensor(node.output)
    if same_memory(before.shape, after.shape):
        return substitute(graph, {node.output: [replace(node, op=Permute(order="same"))]})
    if not (before.is_map and after.is_map):
        order = "hwc_to_chw" if before.is_map else "chw_to_hwc"
        return substitute(graph, {node.output: [replace(node, op=Permute(order=order))]})
    flat = fresh(f"{node.output}_flat", graph.tensors)
    flatten = replace(node, name=f"{node.name}_flat", op=Permute(order="hwc_to_chw"), outputs=(flat,))
    shape = replace(node, op=Permute(order="chw_to_hwc"), inputs=(flat,))
    tensor = Tensor(flat, (before.elements,), before.dtype)
    return substitute(graph, {node.output: [flatten, shape]}, tensors={flat: tensor})
