"""Kernels: one Python file and one template an operator. :data:`KERNELS` is the list that ``docs`` and errors go by."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection

from uc_nn_pio.emit.kernels.base import Kernel, Table, View
from uc_nn_pio.emit.kernels.branches import AddF32, AddInt8, ConcatF32, ConcatInt8, MulF32, MulInt8, SubF32, SubInt8
from uc_nn_pio.emit.kernels.conv2d_f32 import Conv2dF32
from uc_nn_pio.emit.kernels.conv2d_int8 import Conv2dInt8
from uc_nn_pio.emit.kernels.depthwise_int8 import DepthwiseInt8, is_depthwise
from uc_nn_pio.emit.kernels.elementwise_f32 import ActivationF32, LogSoftmaxF32, PermuteF32, SoftmaxF32
from uc_nn_pio.emit.kernels.elementwise_int8 import ActivationInt8, LogSoftmaxInt8, PermuteInt8, SoftmaxInt8
from uc_nn_pio.emit.kernels.gather import GatherF32, GatherInt8, PadF32, PadInt8
from uc_nn_pio.emit.kernels.indices import ArgMaxF32, ArgMaxInt8, EmbeddingF32, EmbeddingInt8
from uc_nn_pio.emit.kernels.linear_f32 import LinearF32
from uc_nn_pio.emit.kernels.linear_int8 import LinearInt8
from uc_nn_pio.emit.kernels.normalization import LayerNormF32, LayerNormInt8, PReluF32, PReluInt8
from uc_nn_pio.emit.kernels.pool_f32 import AdaptiveAvgPool2dF32, AvgPool2dF32, MaxPool2dF32
from uc_nn_pio.emit.kernels.pool_int8 import AdaptiveAvgPool2dInt8, AvgPool2dInt8, MaxPool2dInt8
from uc_nn_pio.emit.kernels.recurrent import RecurrentF32, RecurrentInt8
from uc_nn_pio.emit.kernels.tuning import PLAIN, Tuning
from uc_nn_pio.errors import ErrorGroup, UcNnError, UnsupportedError
from uc_nn_pio.graph.ir import DType, Graph
from uc_nn_pio.graph.ops import Clamp, Op

_FLOAT32 = (
    Conv2dF32,
    LinearF32,
    MaxPool2dF32,
    AvgPool2dF32,
    AdaptiveAvgPool2dF32,
    ActivationF32,
    PReluF32,
    LayerNormF32,
    ArgMaxF32,
    EmbeddingF32,
    RecurrentF32,
    SoftmaxF32,
    LogSoftmaxF32,
    PermuteF32,
    GatherF32,
    PadF32,
    AddF32,
    SubF32,
    MulF32,
    ConcatF32,
)
_INT8 = (
    Conv2dInt8,
    LinearInt8,
    MaxPool2dInt8,
    AvgPool2dInt8,
    AdaptiveAvgPool2dInt8,
    ActivationInt8,
    PReluInt8,
    LayerNormInt8,
    ArgMaxInt8,
    EmbeddingInt8,
    RecurrentInt8,
    SoftmaxInt8,
    LogSoftmaxInt8,
    PermuteInt8,
    GatherInt8,
    PadInt8,
    AddInt8,
    SubInt8,
    MulInt8,
    ConcatInt8,
)
KERNELS: dict[tuple[type[Op], DType], type[Kernel]] = {
    **{(k.op_type, DType.FLOAT32): k for k in _FLOAT32},
    **{(k.op_type, DType.INT8): k for k in _INT8},
    (Clamp, DType.FLOAT32): ActivationF32,
    (Clamp, DType.INT8): ActivationInt8,
}


def select(graph: Graph, prefix: str, tuning: Tuning = PLAIN, taken: Collection[str] = ()) -> list[Kernel]:
    """Choose a kernel for every node of a lowered graph, in order. ``prefix`` starts the C names, of which
    some may be ``taken``.

    Raises:
        UnsupportedError, ErrorGroup: nodes that no kernel computes, all at once.
    """
    names = _c_names([node.name for node in graph.nodes], taken)
    kernels: list[Kernel] = []
    errors: list[UcNnError] = []
    for node in graph.nodes:
        dtype = graph.tensor(node.output).dtype
        kernel_type = KERNELS.get((type(node.op), dtype))
        if kernel_type is None:
            errors.append(
                UnsupportedError(
                    f"no kernel computes {node.op.kind} in {dtype.value}",
                    where=str(node.source),
                    why="kernels exist for " + ", ".join(sorted({op.kind for op, d in KERNELS if d == dtype})),
                )
            )
            continue
        if kernel_type is Conv2dInt8 and is_depthwise(graph, node):
            kernel_type = DepthwiseInt8
        kernel = kernel_type(graph, node, prefix, names[node.name], tuning)
        try:
            kernel.variables()
        except UnsupportedError as error:
            errors.append(error)
        kernels.append(kernel)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ErrorGroup(errors)
    return kernels


# Parts of names that the generated C uses itself: the API, the assertions' tags and the arithmetical helpers.
_RESERVED = frozenset(
    (
        "context input set_row push_row row reset move run output argmax label hundredths pixels assert float table"
        " exp log sigmoid tanh hardsigmoid hardswish silu gelu gelu_tanh elu"
        " rsqrt inverse_root requantize requantize_any rescale requantize_leaky requantize_any_leaky first_tap end_tap"
        " within even odd dual gate gate_tanh reset_state"
    ).split()
)
_SUFFIXES = ("", *(f"_{part}" for part in "slot end at border weights scratch edges channel row middle table".split()))
_SUFFIXES += (
    "_exponentials",
    "_logarithms",
    "_gates",
    "_state",
    *(f"_{side}{n}" for side in ("left", "right") for n in ("", *range(32))),
)
"""What kernels append to a node's name for tables and functions of their own."""


def _c_names(nodes: list[str], further: Collection[str] = ()) -> dict[str, str]:
    """A C name for each node, ASCII and clear of the API's and of each other's; its own name where that is possible."""
    taken: set[str] = {*_RESERVED, *further}
    names: dict[str, str] = {}
    for node in nodes:
        plain = re.sub(r"[^0-9A-Za-z_]", "_", node) or "layer"
        candidates = itertools.chain([plain], (f"{plain}_layer{n or ''}" for n in itertools.count()))
        names[node] = next(c for c in candidates if not taken & {c + suffix for suffix in _SUFFIXES})
        taken |= {names[node] + suffix for suffix in _SUFFIXES}
    return names


__all__ = ["KERNELS", "Kernel", "Table", "View", "select"]
