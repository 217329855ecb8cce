"""Networks that PyTorch has quantized: their quantize and dequantize operators become scales of tensors.

Three steps, with the ordinary lowering in the middle::

    imported = lift(captured)                                  # None: a float network
    graph = quantize_imported(lower(imported.graph), imported)

``quantize, dequantize`` behind a value says which integers it may take: its *grid*. :func:`lift` takes the pairs out
and keeps the grids by the names of tensors. Where two operators with such a pair between them could be fused, which
would lose a rounding that the network has, a copy is put between them: it holds lowering off, and afterwards it either
goes (the values around it have one grid) or becomes a table from one grid to the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from uc_nn_pio.errors import ModelError, UnsupportedError
from uc_nn_pio.graph.ir import Graph, Node, Tensor, rebuild
from uc_nn_pio.graph.ops import (
    Activation,
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dequantize,
    Identity,
    Linear,
    MaxPool2d,
    Op,
    Permute,
    Quantize,
    Reshape,
)
from uc_nn_pio.graph.quant import Grid
from uc_nn_pio.lower.drop_identity import drop_identity
from uc_nn_pio.lower.drop_unused import drop_unused
from uc_nn_pio.lower.merge_reshapes import merge_reshapes
from uc_nn_pio.lower.rewrite import fresh, sole_consumer
from uc_nn_pio.lower.sink_reshapes import sink_reshapes

Grids = dict[str, Grid]


@dataclass(frozen=True)
class Imported:
    """A network that PyTorch has quantized.

    Attributes:
        graph: the same network in float, to be lowered: without quantize and dequantize, weights as their integers
            stand for, each layer with its ``weight_scale``. Copies (``permute`` with order ``same``) stand where a grid
            changes, or where fusing would lose a rounding.
        grids: by tensor name, as far as the network says; not of every tensor.
    """

    graph: Graph
    grids: Mapping[str, Grid]

    def __post_init__(self) -> None:
        object.__setattr__(self, "grids", MappingProxyType(dict(self.grids)))


def lift(captured: Graph) -> Imported | None:
    """The network without its quantize and dequantize operators; None where it has none.

    Weights that are quantized while no activation is make no such network: they are ordinary floats then.

    Raises:
        UnsupportedError: a batch norm that is not folded; a value that is quantized in two ways at once.
        ModelError: a dequantize that does not fit its quantize.
    """
    if not any(isinstance(node.op, Quantize | Dequantize) for node in captured.nodes):
        return None
    _refuse_batch_norm(captured)
    graph, grids = _taken_out(drop_unused(captured))
    graph, grids = _spread(graph, grids)
    # As lowering will do: a tensor that it would make up has no grid.
    graph = sink_reshapes(merge_reshapes(drop_identity(graph)))
    graph, grids = _spread(merge_reshapes(graph), grids)
    graph, grids = _held_apart(graph, grids)
    return Imported(graph, {name: grid for name, grid in grids.items() if name in graph.tensors})


def _refuse_batch_norm(graph: Graph) -> None:
    node = next((node for node in graph.nodes if isinstance(node.op, BatchNorm)), None)
    if node is not None:
        raise UnsupportedError(
            "a batch norm is left in a quantized network",
            where=str(node.source),
            why="it would have to be folded into weights that are integers already",
            next_step="put it right behind its convolution; prepare_pt2e then folds it in a network exported in eval "
            "mode, convert_pt2e in one that was prepared with prepare_qat_pt2e",
        )


def _taken_out(graph: Graph) -> tuple[Graph, Grids]:
    """The graph without quantize and dequantize, and what each of them says. A value that is quantized again, to
    another grid, is copied for it."""
    grids: Grids = {}
    stands_for: dict[str, str] = {}
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}
    for node in graph.nodes:
        value = stands_for.get(node.inputs[0], node.inputs[0])
        if isinstance(node.op, Quantize):
            if grids.get(value, node.op.grid) != node.op.grid:
                if node.inputs[0] == value:
                    raise UnsupportedError(
                        "a value is quantized in two ways at once",
                        where=str(node.source),
                        next_step="give it one QuantizationSpec, or a SharedQuantizationSpec for each further reader",
                    )
                copy = fresh(f"{value}_rescaled", {**graph.tensors, **tensors})
                tensors[copy] = replace(graph.tensor(value) if value in graph.tensors else tensors[value], name=copy)
                nodes.append(_copy(node, value, copy))
                value = copy
            grids[value] = node.op.grid
            stands_for[node.output] = value
        elif isinstance(node.op, Dequantize):
            if grids.get(value) != node.op.grid:
                raise ModelError(
                    "a dequantize does not fit the quantize in front of it",
                    where=str(node.source),
                    why=_difference(grids.get(value), node.op.grid),
                    next_step="export what convert_pt2e returns, unedited",
                )
            stands_for[node.output] = value
        else:
            inputs = tuple(stands_for.get(name, name) for name in node.inputs)
            nodes.append(replace(node, inputs=inputs))
    outputs = tuple(stands_for.get(name, name) for name in graph.outputs)
    return rebuild(graph, nodes, tensors=tensors, outputs=outputs), grids


def _difference(before: Grid | None, after: Grid) -> str:
    if before is None:
        return "nothing has quantized its input"
    return f"from scale {before.params.scale:g}, zero point {before.params.zero_point} to scale " + (
        f"{after.params.scale:g}, zero point {after.params.zero_point} in int8, or limits differ"
    )


def _copy(near: Node, before: str, after: str, name: str | None = None) -> Node:
    return Node(name or after, Permute(order="same"), (before,), (after,), near.source)


def _moves(op: Op) -> bool:
    """Whether the operator passes values on, so that it gives the same in front of a quantize as behind."""
    return isinstance(op, Reshape | Identity | MaxPool2d)


def _clips(op: Op) -> bool:
    """Whether the operator takes every grid to itself, so that it gives the same in front of a quantize as behind."""
    return isinstance(op, Activation) and op.function in ("relu", "relu6")


def _averages(op: Op) -> bool:
    return isinstance(op, AdaptiveAvgPool2d) or (isinstance(op, AvgPool2d) and op.divisor_override is None)


def _spread(graph: Graph, grids: Grids) -> tuple[Graph, Grids]:
    """Grids of values that have none of their own: the one behind an operator that gives the same in front of a
    quantize as behind, else the one in front of it, or of a mean. Where both have one, and they differ, a copy stands
    for the change: behind a max-pool, whose output is smaller, else in front, so that a linear can absorb a reshape.
    """
    grids = dict(grids)
    for node in reversed(graph.nodes):
        before, after = node.inputs[0], node.output
        if (_moves(node.op) or _clips(node.op)) and after in grids and sole_consumer(graph, before) is node:
            grids.setdefault(before, grids[after])
    for node in graph.nodes:
        before, after = node.inputs[0], node.output
        if (_moves(node.op) or _clips(node.op) or _averages(node.op)) and before in grids:
            grids.setdefault(after, grids[before])
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}
    for node in graph.nodes:
        before, after = node.inputs[0], node.output
        if not _moves(node.op) or before not in grids or grids[before] == grids[after]:
            nodes.append(node)
        elif isinstance(node.op, MaxPool2d):
            name = _added(graph, tensors, after, "unscaled")
            grids[name] = grids[before]
            nodes += [replace(node, outputs=(name,)), _copy(node, name, after, f"{after}_rescaled")]
        else:
            name = _added(graph, tensors, before, "rescaled")
            grids[name] = grids[after]
            nodes += [_copy(node, before, name), replace(node, inputs=(name,))]
    return rebuild(graph, nodes, tensors=tensors), grids


def _added(graph: Graph, tensors: dict[str, Tensor], like: str, word: str) -> str:
    """The name of a new tensor, put into ``tensors``."""
    name = fresh(f"{like}_{word}", {**graph.tensors, **tensors})
    tensors[name] = replace(graph.tensor(like), name=name)
    return name


def _held_apart(graph: Graph, grids: Grids) -> tuple[Graph, Grids]:
    """Copies in front of activations whose input has a grid that the fused layer would not have, and behind an input of
    the network that may not take all of int8."""
    grids = dict(grids)
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}
    for node in graph.nodes:
        inputs = []
        for before in node.inputs:
            grid = grids.get(before)
            narrow = before in graph.inputs and grid is not None and not grid.whole
            fusible = isinstance(getattr(graph.producer(before), "op", None), Add | Conv2d | Linear | MaxPool2d)
            loses = isinstance(node.op, Activation) and not (_clips(node.op) and grids.get(node.output) == grid)
            if grid is not None and (narrow or (fusible and loses)):
                name = _added(graph, tensors, before, "rescaled")
                grids[name] = grid
                nodes.append(_copy(node, before, name))
                before = name
            inputs.append(before)
        nodes.append(replace(node, inputs=tuple(inputs)))
    for name in graph.inputs:
        if name in grids:
            grids[name] = Grid(grids[name].params)
    return rebuild(graph, nodes, tensors=tensors), grids
