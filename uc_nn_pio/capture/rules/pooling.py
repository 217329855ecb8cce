"""Pooling over windows of maps and of signals. ``ceil_mode`` needs no attribute: the output's shape says where the last
window lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from uc_nn_pio.capture.rules.base import (
    Rule,
    Step,
    activation_input,
    borders,
    on_row,
    pair,
    require_map,
    shape_without_batch,
    single,
    symmetric,
)
from uc_nn_pio.capture.trace import Call, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d, Op, Pair

Numbers = Callable[..., Pair]
"""What makes a pair of an argument: :func:`pair` for a map, :func:`single` for a signal."""


def _pooled(call: Call, trace: Trace, make: Callable[[Numbers], Op]) -> list[Step]:
    """The pool on a map (C, H, W), or on a signal (C, L) as a map of one row."""
    source, output = activation_input(call, trace), call.outputs[0]
    if len(trace.shapes[source]) == 3 and call.operator.rstrip("_").endswith("1d"):
        shape = shape_without_batch(call, trace, output)
        row = (shape[0], 1, shape[1])
        op = make(single)
        return on_row(
            call,
            source,
            output,
            trace.shapes[source][1:],
            lambda x, y: Step(op, call.operator.strip("_"), (x,), y, row),
        )
    require_map(call, trace, source)
    return [Step(make(pair), call.operator.strip("_"), (source,), output, shape_without_batch(call, trace, output))]


def max_pool(call: Call, trace: Trace) -> list[Step]:
    """Maximum over windows; torch's default stride is the kernel."""
    _refuse_indices(call, trace)

    def make(numbers: Numbers) -> Op:
        return MaxPool2d(**_window(call, numbers), dilation=numbers(call.get("dilation"), 1))

    return _pooled(call, trace, make)


def avg_pool(call: Call, trace: Trace) -> list[Step]:
    """Mean over windows."""
    divisor = call.get("divisor_override")

    def make(numbers: Numbers) -> Op:
        return AvgPool2d(
            **_window(call, numbers),
            count_include_pad=bool(call.get("count_include_pad", True)),
            divisor_override=None if divisor is None else int(divisor),
        )

    return _pooled(call, trace, make)


def adaptive_avg_pool(call: Call, trace: Trace) -> list[Step]:
    """Mean over as many windows as the output has pixels."""
    return _pooled(call, trace, lambda _: AdaptiveAvgPool2d())


def adaptive_max_pool(call: Call, trace: Trace) -> list[Step]:
    """Maximum over as many windows as the output has pixels, if all are of one size."""
    _refuse_indices(call, trace)
    given = trace.shapes[activation_input(call, trace)][2:]  # without batch and channels
    made = trace.shapes[call.outputs[0]][2:]
    if any(size % count for size, count in zip(given, made, strict=True)):
        raise UnsupportedError(
            f"{call.operator.strip('_')} from {list(given)} to {list(made)} is not supported",
            why="its windows would have unlike sizes",
            next_step="the nearest is a max-pool with its kernel and stride written out",
        )
    window = tuple(size // count for size, count in zip(given, made, strict=True))
    return _pooled(call, trace, lambda numbers: MaxPool2d(numbers(window), numbers(window)))


def _window(call: Call, numbers: Numbers) -> dict[str, Any]:
    """Kernel, stride and padding; torch's default stride is the kernel."""
    kernel = numbers(call.get("kernel_size"))
    stride, padding = numbers(call.get("stride"), kernel), symmetric(borders(call.get("padding"), numbers))
    return {"kernel": kernel, "stride": stride, "padding": padding}


def _refuse_indices(call: Call, trace: Trace) -> None:
    if any(trace.readers(index) or index in trace.outputs for index in call.outputs[1:]):
        name = call.operator.strip("_").replace("_with_indices", "")
        raise UnsupportedError(
            f"{name} with return_indices is not supported", next_step=f"use {name} without return_indices"
        )


RULES: dict[str, Rule] = {
    "max_pool1d.default": max_pool,
    "max_pool1d_with_indices.default": max_pool,
    "max_pool2d.default": max_pool,
    "max_pool2d_with_indices.default": max_pool,
    "avg_pool1d.default": avg_pool,
    "avg_pool2d.default": avg_pool,
    "adaptive_avg_pool1d.default": adaptive_avg_pool,
    "adaptive_avg_pool2d.default": adaptive_avg_pool,
    "_adaptive_avg_pool2d.default": adaptive_avg_pool,
    "adaptive_max_pool1d.default": adaptive_max_pool,
    "adaptive_max_pool2d.default": adaptive_max_pool,
}
