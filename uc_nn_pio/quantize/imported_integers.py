"""The int8 graph of a network that PyTorch has quantized, from its own scales and integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from uc_nn_pio.errors import ErrorGroup, ModelError, UcNnError, UnsupportedError
from uc_nn_pio.graph.ir import Graph, Node, Tensor, rebuild
from uc_nn_pio.graph.ops import AdaptiveAvgPool2d, AvgPool2d, Concat, Conv2d, Linear, LogSoftmax, Permute, Softmax
from uc_nn_pio.graph.quant import Grid, round_half_away
from uc_nn_pio.lower.rewrite import bypass, fresh, substitute
from uc_nn_pio.quantize.assemble import with_integers
from uc_nn_pio.quantize.imported import Grids, Imported
from uc_nn_pio.quantize.params import LARGEST_BIAS, IntegerWeights, Range, activation_params, fixed_params, keeps_params
from uc_nn_pio.quantize.prepare import RESCALE, without_tables
from uc_nn_pio.reference.pooling import avg_divisors

_SAME_UNIT = 2.0**-20
"""How far, relatively, a bias's stored scale may be from the product of input and weight scale: float32's rounding."""


def quantize_imported(lowered: Graph, imported: Imported, ranges: Mapping[str, Range] | None = None) -> Graph:
    """The int8 graph.

    Args:
        lowered: ``lower(imported.graph)``.
        imported: as :func:`~uc_nn_pio.quantize.lift` gives it.
        ranges: of tensors of ``prepare(lowered)``, by name, as :func:`~uc_nn_pio.quantize.calibrate` gives them; for
            those alone that the network does not quantize. Some quantizers leave the output of a last layer in float.

    Raises:
        UnsupportedError, ErrorGroup: layers whose weights, input or output are not quantized, all at once; an average
            over windows of several sizes, or a softmax, that would have to change its scale.
        ModelError: weights that are not their integers times the scale, a bias that int32 does not hold, an accumulator
            that could overflow.
    """
    graph = _without_copies(without_tables(lowered), imported.grids)
    grids = _all_grids(graph, imported.grids, ranges or {})
    graph = _rescaled(graph, grids)
    weights = {node.name: _weights(graph, node, grids) for node in graph.nodes if isinstance(node.op, Conv2d | Linear)}
    made = with_integers(graph, {name: grid.params for name, grid in grids.items()}, weights)
    return _clamped(made, grids)


def _without_copies(graph: Graph, grids: Mapping[str, Grid]) -> Graph:
    """The graph without copies between tensors of one grid, where the names of inputs and outputs allow it."""
    while node := next((node for node in graph.nodes if _is_idle(graph, node, grids)), None):
        graph = bypass(graph, node)
    return graph


def _is_idle(graph: Graph, node: Node, grids: Mapping[str, Grid]) -> bool:
    before, after = node.inputs[0], node.output
    return _is_copy(graph, node) and grids.get(before) == grids.get(after) and bypass(graph, node) is not None


def _is_copy(graph: Graph, node: Node) -> bool:
    same = graph.tensor(node.inputs[0]).shape == graph.tensor(node.output).shape
    return isinstance(node.op, Permute) and node.op.order == "same" and same


def unquantized(lowered: Graph, imported: Imported) -> tuple[str, ...]:
    """Tensors of ``prepare(lowered)`` whose range :func:`quantize_imported` needs: those that PyTorch computes in float
    and that do not follow from the others. Arguments as there."""
    graph = _without_copies(without_tables(lowered), imported.grids)
    return tuple(_unknown(graph, _grids(graph, imported.grids, {})))


def _grids(graph: Graph, known: Mapping[str, Grid], ranges: Mapping[str, Range]) -> dict[str, Grid | None]:
    """The grid of every tensor: the network's own, else that of its input behind an operator that keeps it, else the
    operator's fixed one, else the range's; None where nothing says it."""
    grids = {name: known.get(name) or _from_range(name, ranges) for name in graph.inputs}
    for node in graph.nodes:
        kept, fixed = keeps_params(node.op), fixed_params(node.op)
        alike = {grids[name] for name in node.inputs}
        follows = (alike.pop() if len(alike) == 1 else None) if kept else fixed and Grid(fixed)
        grids[node.output] = known.get(node.output) or follows or (None if kept else _from_range(node.output, ranges))
    return grids


def _from_range(name: str, ranges: Mapping[str, Range]) -> Grid | None:
    return Grid(activation_params(ranges[name])) if name in ranges else None


def _unknown(graph: Graph, grids: Mapping[str, Grid | None]) -> list[str]:
    """Tensors without a grid, but for those that would follow from another."""
    follow = {node.output for node in graph.nodes if keeps_params(node.op) and not isinstance(node.op, Concat)}
    return [tensor.name for tensor in graph.values() if grids[tensor.name] is None and tensor.name not in follow]


def _all_grids(graph: Graph, known: Mapping[str, Grid], ranges: Mapping[str, Range]) -> Grids:
    """The grid of every tensor, none missing."""
    grids = _grids(graph, known, ranges)
    errors: list[UcNnError] = [_no_grid(graph, name) for name in _unknown(graph, grids)]
    for node in graph.nodes:
        if isinstance(node.op, Conv2d | Linear) and "weight_scale" not in node.constants:
            errors.append(
                UnsupportedError(
                    f"the weights of {node.name} are not quantized",
                    where=str(node.source),
                    why="PyTorch has quantized other parts of the network; int8 needs all layers",
                    next_step="give the layer a QuantizationSpec for its weight in the quantizer, and convert again",
                )
            )
        fixed = fixed_params(node.op)
        if isinstance(node.op, Softmax | LogSoftmax) and grids[node.output] != Grid(fixed):
            params = grids[node.output].params
            errors.append(
                UnsupportedError(
                    f"{node.op.kind} quantized to scale {params.scale:g} and zero point {params.zero_point} is not "
                    "supported",
                    where=str(node.source),
                    why=f"in int8 it gives scale {fixed.scale:g}, zero point {fixed.zero_point}",
                    next_step="leave its output unquantized, or give it these (FixedQParamsQuantizationSpec)",
                )
            )
    if errors:
        raise errors[0] if len(errors) == 1 else ErrorGroup(errors)
    return {name: grid for name, grid in grids.items() if grid is not None}


def _no_grid(graph: Graph, name: str) -> UnsupportedError:
    node = graph.producer(name)
    if node is None:
        what, spec = f"the network's input {name} is not quantized", "input_qspec_map of the first layer"
    else:
        what, spec = f"the output of {node.name} ({node.op.title}) is not quantized", "output_qspec of the layer"
    return UnsupportedError(
        what,
        where=str(node.source) if node else graph.name,
        why="PyTorch computes it in float there; int8 needs its scale and zero point",
        next_step=f"annotate it in the quantizer ({spec}), convert and export again; or give calibration samples, "
        "from which its range is taken",
    )


def _rescaled(graph: Graph, grids: Grids) -> Graph:
    """Where an operator that keeps its input's grid shall give another: a copy becomes a table, an average the sum over
    a divisor, which is requantized; an input of a concat goes through a table. ``grids`` gets those of new tensors.

    Raises:
        UnsupportedError: the average's windows have several sizes.
    """
    replacements: dict[str, list[Node]] = {}
    tensors: dict[str, Tensor] = {}
    for node in graph.nodes:
        before, after = grids[node.inputs[0]], grids[node.output]
        if isinstance(node.op, Concat):
            replacements[node.output] = _joined(graph, node, grids, tensors)
            continue
        if not keeps_params(node.op) or before == after:
            continue
        if isinstance(node.op, AvgPool2d | AdaptiveAvgPool2d):
            shapes = (graph.tensor(name).shape[1:] for name in (node.inputs[0], node.output))
            counts = avg_divisors(node.op, *shapes) if isinstance(node.op, AvgPool2d) else np.array([0, 1])
            if counts.min() != counts.max():
                raise UnsupportedError(
                    f"{node.op.kind} {node.name} changes the scale, and its windows have several sizes",
                    where=str(node.source),
                    why=f"from {before.params.scale:g} to {after.params.scale:g}; that needs one divisor for all",
                    next_step="give its output the scale of its input: SharedQuantizationSpec in the quantizer",
                )
            op = replace(node.op, divisor_override=int(counts.flat[0]))
        elif _is_copy(graph, node):
            op = RESCALE
        else:
            raise ModelError(f"{node.op.title} {node.name} changes the scale of its input", where=str(node.source))
        replacements[node.output] = [replace(node, op=op)]
    return substitute(graph, replacements, tensors=tensors)


def _joined(graph: Graph, node: Node, grids: Grids, tensors: dict[str, Tensor]) -> list[Node]:
    """A concat, with a table in front of each input whose grid is not that of the output."""
    tables, inputs = [], []
    for name in node.inputs:
        if grids[name] != grids[node.output]:
            own = fresh(f"{name}_rescaled", {**graph.tensors, **tensors})
            tensors[own] = replace(graph.tensor(name), name=own)
            grids[own] = grids[node.output]
            tables.append(Node(own, RESCALE, (name,), (own,), node.source))
            name = own
        inputs.append(name)
    return [*tables, replace(node, inputs=tuple(inputs))]


def _weights(graph: Graph, node: Node, grids: Grids) -> IntegerWeights:
    """The integers that the weights were dequantized from, found again and proven to be them: no two of them give one
    float32 times their scale. A linear whose outputs have one scale has one."""
    weight, scale = graph.constant(node, "weight"), graph.constant(node, "weight_scale")
    wide = scale.reshape(-1, *(1,) * (weight.ndim - 1))
    integers = np.rint(weight.astype(np.float64) / wide)
    if (np.abs(integers + 0.5) > 128).any() or (integers.astype(np.float32) * wide != weight).any():
        raise ModelError(
            f"the weights of {node.name} are not int8 integers times their scale",
            where=str(node.source),
            why="something between export and here has changed them",
            next_step="please report it, with the exported file",
        )
    scale = _free_scales(graph, node, integers, grids)
    bias = _bias(graph, node, scale, grids)
    if isinstance(node.op, Linear) and (scale == scale[0]).all():
        scale = scale[:1]
    return IntegerWeights(integers.astype(np.int8), scale, bias)


def _free_scales(graph: Graph, node: Node, integers: np.ndarray, grids: Grids) -> np.ndarray:
    """The scales of outputs; one whose weights are all 0 may have any, and gets what its bias needs."""
    scale, bias = graph.constant(node, "weight_scale"), graph.constant(node, "bias")
    if bias is None or "bias_integers" in node.constants:
        return scale
    zero = ~integers.reshape(len(integers), -1).any(axis=1)
    least = np.abs(bias.astype(np.float64)) / (np.float64(grids[node.inputs[0]].params.scale) * LARGEST_BIAS)
    return np.where(zero, np.maximum(scale, least.astype(np.float32)), scale)


def _bias(graph: Graph, node: Node, scale: np.ndarray, grids: Grids) -> np.ndarray:
    """int32 in steps of input scale * weight scale: as stored where it is stored so, else the float bias, rounded half
    away from zero."""
    bias = graph.constant(node, "bias")
    if bias is None:
        return np.zeros(len(scale), np.int32)
    unit = np.float64(grids[node.inputs[0]].params.scale) * scale.astype(np.float64)
    stored = graph.constant(node, "bias_scale")
    if stored is not None and (np.abs(stored / unit - 1) < _SAME_UNIT).all():
        return graph.constant(node, "bias_integers").astype(np.int32)
    steps = round_half_away(bias.astype(np.float64) / unit)
    beyond = np.flatnonzero(np.abs(steps) >= 2**31)
    if len(beyond):
        channel = int(beyond[0])
        raise ModelError(
            f"the bias of output {channel} of {node.name} does not fit into 32 bits",
            where=str(node.source),
            why=f"{bias[channel]:g} is {steps[channel]:,.0f} steps of input scale * weight scale, {unit[channel]:g}",
            next_step="a larger least scale for weights in the quantizer (eps of its observer), and convert again",
        )
    return steps.astype(np.int32)


def _clamped(graph: Graph, grids: Grids) -> Graph:
    """Layers and tables that give no more than the grids of their outputs allow."""
    constants: dict[str, np.ndarray] = {}
    nodes = []
    for node in graph.nodes:
        grid = grids[node.output]
        role = next((role for role in ("clamp", "table") if role in node.constants), None)
        if not grid.whole and role:
            name = f"{node.name}.{role}.narrow"
            constants[name] = np.clip(graph.constant(node, role), grid.lowest, grid.highest)
            node = replace(node, constants={**node.constants, role: name})
        nodes.append(node)
    return rebuild(graph, nodes, constants=constants)
