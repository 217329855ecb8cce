"""conv2d in its forms: ``conv2d.default``, ``conv2d.padding`` ('same', 'valid'), and core ATen's ``convolution``."""

from __future__ import annotations

from uc_nn_pio.capture.rules.base import (
    Rule,
    Step,
    activation_input,
    constant,
    pair,
    require_map,
    shape_without_batch,
    symmetric,
)
from uc_nn_pio.capture.rules.quantization import layer_constants
from uc_nn_pio.capture.trace import Call, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import Conv2d, Padding, Pair


def conv2d(call: Call, trace: Trace) -> list[Step]:
    """A 2-D convolution with constant weights; groups, depthwise, stride, dilation, padding."""
    source = activation_input(call, trace, "input")
    weight = constant(call, trace, "weight")
    bias = constant(call, trace, "bias")
    if weight is None or weight.array.ndim != 4:
        dimensions = weight.array.ndim - 2 if weight else "?"
        raise UnsupportedError(
            f"convolution over {dimensions} axes is not supported",
            next_step="use nn.Conv2d; a 1-D signal of length W is a map [C, 1, W] with kernel (1, k)",
        )
    if call.get("transposed", False):
        raise UnsupportedError("a transposed convolution is not supported", next_step="the nearest is nn.Conv2d")
    require_map(call, trace, source)
    kernel = (int(weight.array.shape[2]), int(weight.array.shape[3]))
    dilation = pair(call.get("dilation"), 1)
    shape = shape_without_batch(call, trace, call.outputs[0])
    op = Conv2d(
        kernel=kernel,
        stride=pair(call.get("stride"), 1),
        padding=_padding(call, kernel, dilation),
        dilation=dilation,
        groups=int(call.get("groups", 1)),
        conv_shape=shape,
    )
    return [Step(op, "conv2d", (source,), call.outputs[0], shape, layer_constants(weight, bias))]


def _padding(call: Call, kernel: Pair, dilation: Pair) -> Padding:
    padding = call.get("padding", 0)
    if padding == "valid":
        return Padding()
    if padding != "same":
        return symmetric(pair(padding, 0))
    # torch splits an odd total with the larger half at the bottom and right (aten/src/ATen/native/Convolution.cpp).
    down, across = (d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
    return Padding(top=down // 2, bottom=down - down // 2, left=across // 2, right=across - across // 2)


RULES: dict[str, Rule] = {
    "conv2d.default": conv2d,
    "conv2d.padding": conv2d,
    "convolution.default": conv2d,
    "_convolution.default": conv2d,
}
