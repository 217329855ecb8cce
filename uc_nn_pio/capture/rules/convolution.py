"""conv1d and conv2d in their forms: ``conv2d.default``, ``conv2d.padding`` ('same', 'valid'), and core ATen's
``convolution``. A signal (C, L) is a map of one row."""

from __future__ import annotations

from collections.abc import Callable

from uc_nn_pio.capture.rules.base import (
    Rule,
    Step,
    activation_input,
    borders,
    constant,
    on_row,
    pair,
    require_map,
    shape_without_batch,
    single,
    symmetric,
)
from uc_nn_pio.capture.rules.quantization import layer_constants
from uc_nn_pio.capture.rules.transposed import conv_transpose
from uc_nn_pio.capture.trace import Call, Constant, Shape, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import Conv2d, Padding, Pair


def convolution(call: Call, trace: Trace) -> list[Step]:
    """A 1-D or 2-D convolution with constant weights; groups, depthwise, stride, dilation, padding."""
    if call.get("transposed", False):
        return conv_transpose(call, trace)
    source = activation_input(call, trace, "input")
    weight = constant(call, trace, "weight")
    bias = constant(call, trace, "bias")
    if weight is None or weight.array.ndim not in (3, 4):
        dimensions = weight.array.ndim - 2 if weight else "?"
        raise UnsupportedError(
            f"convolution over {dimensions} axes is not supported", next_step="the nearest are nn.Conv1d and nn.Conv2d"
        )
    shape = shape_without_batch(call, trace, call.outputs[0])
    if weight.array.ndim == 4:
        require_map(call, trace, source)
        op = _op(call, weight, pair, shape)
        return [Step(op, "conv2d", (source,), call.outputs[0], shape, layer_constants(weight, bias))]
    if len(trace.shapes[source]) != 3:
        raise UnsupportedError(
            f"{call.operator} on a tensor of shape {list(trace.shapes[source])} is not supported",
            why="it takes signals with a batch axis: (N, C, L)",
            next_step="give the network input signals of shape [C, L], and keep the batch axis",
        )
    weight = weight.moved(lambda array: array[:, :, None])
    row = (shape[0], 1, shape[1])
    made = _op(call, weight, single, row)
    constants = layer_constants(weight, bias)
    return on_row(
        call,
        source,
        call.outputs[0],
        trace.shapes[source][1:],
        lambda x, y: Step(made, "conv1d", (x,), y, row, constants),
    )


def _op(call: Call, weight: Constant, numbers: Callable[..., Pair], shape: Shape) -> Conv2d:
    kernel = (int(weight.array.shape[2]), int(weight.array.shape[3]))
    dilation = numbers(call.get("dilation"), 1)
    return Conv2d(
        kernel=kernel,
        stride=numbers(call.get("stride"), 1),
        padding=_padding(call, kernel, dilation, numbers),
        dilation=dilation,
        groups=int(call.get("groups", 1)),
        conv_shape=shape,
    )


def _padding(call: Call, kernel: Pair, dilation: Pair, numbers: Callable[..., Pair]) -> Padding:
    padding = call.get("padding", 0)
    if padding == "valid":
        return Padding()
    if padding != "same":
        return symmetric(borders(padding, numbers))
    # torch splits an odd total with the larger half at the bottom and right (aten/src/ATen/native/Convolution.cpp).
    down, across = (d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
    return Padding(top=down // 2, bottom=down - down // 2, left=across // 2, right=across - across // 2)


RULES: dict[str, Rule] = {
    "conv1d.default": convolution,
    "conv1d.padding": convolution,
    "conv2d.default": convolution,
    "conv2d.padding": convolution,
    "convolution.default": convolution,
    "_convolution.default": convolution,
}
