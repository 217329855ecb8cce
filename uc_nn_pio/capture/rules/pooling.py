"""Pooling over windows. ``ceil_mode`` needs no attribute: the output's shape says where the last window lies."""

from __future__ import annotations

from uc_nn_pio.capture.rules.base import (
    Rule,
    Step,
    activation_input,
    pair,
    require_map,
    shape_without_batch,
    symmetric,
)
from uc_nn_pio.capture.trace import Call, Shape, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d, Reshape


def _map(call: Call, trace: Trace) -> tuple[str, Shape]:
    source = activation_input(call, trace)
    require_map(call, trace, source)
    return source, shape_without_batch(call, trace, call.outputs[0])


def max_pool2d(call: Call, trace: Trace) -> list[Step]:
    """Maximum over windows; torch's default stride is the kernel."""
    source, shape = _map(call, trace)
    kernel = pair(call.get("kernel_size"))
    op = MaxPool2d(
        kernel=kernel,
        stride=pair(call.get("stride"), kernel),
        padding=symmetric(pair(call.get("padding"), 0)),
        dilation=pair(call.get("dilation"), 1),
    )
    if any(trace.readers(index) or index == trace.output for index in call.outputs[1:]):
        raise UnsupportedError(
            "max_pool2d with return_indices is not supported", next_step="use max_pool2d without return_indices"
        )
    return [Step(op, "max_pool2d", (source,), call.outputs[0], shape)]


def avg_pool2d(call: Call, trace: Trace) -> list[Step]:
    """Mean over windows."""
    source, shape = _map(call, trace)
    kernel = pair(call.get("kernel_size"))
    divisor = call.get("divisor_override")
    op = AvgPool2d(
        kernel=kernel,
        stride=pair(call.get("stride"), kernel),
        padding=symmetric(pair(call.get("padding"), 0)),
        count_include_pad=bool(call.get("count_include_pad", True)),
        divisor_override=None if divisor is None else int(divisor),
    )
    return [Step(op, "avg_pool2d", (source,), call.outputs[0], shape)]


def adaptive_avg_pool2d(call: Call, trace: Trace) -> list[Step]:
    """Mean over as many windows as the output has pixels."""
    source, shape = _map(call, trace)
    return [Step(AdaptiveAvgPool2d(), "adaptive_avg_pool2d", (source,), call.outputs[0], shape)]


def mean(call: Call, trace: Trace) -> list[Step]:
    """``x.mean((2, 3))`` of a map: adaptive average pooling to one pixel. Core ATen writes the pooling so."""
    source = activation_input(call, trace)
    dims = call.get("dim")
    rank = len(trace.shapes[source])
    axes = sorted(axis % rank for axis in (dims if isinstance(dims, tuple) else () if dims is None else (dims,)))
    if rank != 4 or axes != [2, 3]:
        raise UnsupportedError(
            f"mean over axes {list(axes) or 'all'} of shape {list(trace.shapes[source])} is not supported",
            next_step="the nearest is the mean over height and width: x.mean((2, 3)), or nn.AdaptiveAvgPool2d(1)",
        )
    output, channels = call.outputs[0], trace.shapes[source][1]
    if call.get("keepdim", False):
        return [Step(AdaptiveAvgPool2d(), "mean", (source,), output, (channels, 1, 1))]
    pixel = f"{output}.pixel"
    return [
        Step(AdaptiveAvgPool2d(), "mean", (source,), pixel, (channels, 1, 1)),
        Step(Reshape(), "flatten", (pixel,), output, (channels,)),
    ]


RULES: dict[str, Rule] = {
    "max_pool2d.default": max_pool2d,
    "max_pool2d_with_indices.default": max_pool2d,
    "avg_pool2d.default": avg_pool2d,
    "adaptive_avg_pool2d.default": adaptive_avg_pool2d,
    "_adaptive_avg_pool2d.default": adaptive_avg_pool2d,
    "mean.dim": mean,
}
