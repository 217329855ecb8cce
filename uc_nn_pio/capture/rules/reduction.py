"""Means, sums and maxima over axes: poolings with windows as large as these axes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from uc_nn_pio.capture.rules.base import Rule, Step, activation_input, affine, gather, shape_without_batch
from uc_nn_pio.capture.trace import Call, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d, Op, Pair, Reshape


def mean(call: Call, trace: Trace) -> list[Step]:
    """The mean over any axes but the batch's. ``x.mean((2, 3))`` of a map is average pooling to one pixel."""
    return _reduced(call, trace, activation_input(call, trace), lambda window: AdaptiveAvgPool2d())


def total(call: Call, trace: Trace) -> list[Step]:
    """The sum over any axes but the batch's."""
    return _reduced(
        call, trace, activation_input(call, trace), lambda window: AvgPool2d(window, window, divisor_override=1)
    )


def maximum(call: Call, trace: Trace) -> list[Step]:
    """The largest value over any axes but the batch's; not its place."""
    _refuse_places(call, trace)
    return _reduced(call, trace, activation_input(call, trace), lambda window: MaxPool2d(window, window))


def minimum(call: Call, trace: Trace) -> list[Step]:
    """The smallest value over any axes but the batch's: the largest one of -x."""
    _refuse_places(call, trace)
    source, output = activation_input(call, trace), call.outputs[0]
    shape = shape_without_batch(call, trace, output)
    steps = affine(call, source, f"{output}.negative", trace.shapes[source][1:], -1.0, 0.0, aside=True)
    steps += _reduced(call, trace, source, lambda window: MaxPool2d(window, window), steps[-1].output, f"{output}.max")
    return [*steps, *affine(call, f"{output}.max", output, shape, -1.0, 0.0, aside=True)]


def _refuse_places(call: Call, trace: Trace) -> None:
    if any(trace.readers(value) or value in trace.outputs for value in call.outputs[1:]):
        raise UnsupportedError(
            f"the place of the {call.operator} is not supported",
            next_step="at the network's end leave it out: the firmware gets <model>_argmax()",
        )


def _reduced(
    call: Call,
    trace: Trace,
    source: str,
    pool_of: Callable[[Pair], Op],
    read: str | None = None,
    made: str | None = None,
) -> list[Step]:
    """A map on which a pool does it: of its own rows and columns, or with what stays as channels and the rest as one
    row."""
    read, made = read or source, made or call.outputs[0]
    shape, result = trace.shapes[source][1:], shape_without_batch(call, trace, call.outputs[0])
    dims = call.get("dim")
    dims = dims if isinstance(dims, tuple) else () if dims is None else (dims,)
    rank = len(shape) + 1
    axes = sorted(int(axis) % rank - 1 for axis in dims)
    if not axes or axes[0] < 0:
        raise UnsupportedError(
            f"{call.operator} over the batch axis is not supported",
            why="the first axis counts the images of a batch, and inference runs one at a time",
            next_step="name the axes of an image: x.mean((2, 3)), or nn.AdaptiveAvgPool2d(1)",
        )
    steps: list[Step] = []
    if len(shape) == 3 and axes[0] > 0:
        window: Pair = (shape[1] if 1 in axes else 1, shape[2] if 2 in axes else 1)
        pooled = (shape[0], shape[1] // window[0], shape[2] // window[1])
    else:
        kept = [axis for axis in range(len(shape)) if axis not in axes]
        count = math.prod(shape[axis] for axis in axes)
        channels = math.prod(shape[axis] for axis in kept)
        order = np.arange(math.prod(shape)).reshape(shape).transpose(*kept, *axes)
        steps.append(gather(call, read, f"{made}.channels", order.reshape(channels, 1, count), aside=True))
        read, window, pooled = steps[-1].output, (1, count), (channels, 1, 1)
    op: Op = pool_of(window)
    if pooled == result:
        return [*steps, Step(op, call.operator, (read,), made, result)]
    steps.append(Step(op, call.operator, (read,), f"{made}.pooled", pooled))
    return [*steps, Step(Reshape(), "reshape", (f"{made}.pooled",), made, result, aside=True)]


RULES: dict[str, Rule] = {
    "mean.dim": mean,
    "sum.dim_IntList": total,
    "amax.default": maximum,
    "max.dim": maximum,
    "amin.default": minimum,
    "min.dim": minimum,
}
