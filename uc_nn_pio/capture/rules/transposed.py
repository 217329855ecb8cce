"""Transposed convolutions, as a convolution that makes all phases of a stride at once and a shuffle of its channels.

With stride s, output o = s * m + f - padding of an axis is the sum of ``x[m + (f - t * dilation) / s] * weight[t]``
over the taps t for which that is a whole number: for each phase f an ordinary convolution, with taps of its own.
Together they are one with s * s times the channels, whose kernel has zeros where a phase lacks a tap.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from uc_nn_pio.capture.rules.base import (
    Rule,
    Step,
    activation_input,
    borders,
    constant,
    gather,
    pair,
    require_map,
    shape_without_batch,
    single,
)
from uc_nn_pio.capture.trace import Call, Constant, Shape, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import Conv2d, Padding, Reshape


@dataclass(frozen=True)
class _Axis:
    """One axis: of ``size`` inputs, ``count`` outputs, of ``taps``."""

    size: int
    count: int
    taps: int
    stride: int
    padding: int
    dilation: int

    @property
    def places(self) -> dict[tuple[int, int], int]:
        """(phase, tap) -> the input's place, relative to m."""
        pairs = itertools.product(range(self.stride), range(self.taps))
        steps = {(f, t): f - t * self.dilation for f, t in pairs}
        return {key: step // self.stride for key, step in steps.items() if step % self.stride == 0}

    @property
    def reach(self) -> tuple[int, int]:
        return min(self.places.values()), max(self.places.values())

    @property
    def kernel(self) -> int:
        low, high = self.reach
        return high - low + 1

    @property
    def first(self) -> int:
        """The first m that is computed."""
        return min(self.padding // self.stride, -self.reach[0])

    @property
    def made(self) -> int:
        """How many m are computed: all that are needed, and no fewer than read the whole input."""
        last = max((self.count - 1 + self.padding) // self.stride, self.size - 1 - self.reach[1])
        return last - self.first + 1

    @property
    def around(self) -> tuple[int, int]:
        """Padding of the convolution."""
        low, high = self.reach
        return -low - self.first, self.first + self.made - 1 + high - (self.size - 1)


def conv_transpose(call: Call, trace: Trace) -> list[Step]:
    """A transposed convolution, 1-D or 2-D, in all its parameters: a convolution and a shuffle."""
    source = activation_input(call, trace, "input")
    weight, bias = constant(call, trace, "weight"), constant(call, trace, "bias")
    if weight is None or weight.array.ndim not in (3, 4):
        dimensions = weight.array.ndim - 2 if weight else "?"
        raise UnsupportedError(
            f"a transposed convolution over {dimensions} axes is not supported",
            next_step="the nearest are nn.ConvTranspose1d and nn.ConvTranspose2d",
        )
    if weight.stored is not None:
        raise UnsupportedError(
            "a transposed convolution that PyTorch has quantized is not supported",
            next_step="leave it in float, and calibrate here: precision: int8",
        )
    signal = weight.array.ndim == 3
    numbers = single if signal else pair
    shape = shape_without_batch(call, trace, call.outputs[0])
    if not signal:
        require_map(call, trace, source)
    given = trace.shapes[source][1:]
    row, result = ((given[0], 1, given[1]), (shape[0], 1, shape[1])) if signal else (given, shape)
    array = weight.array[:, :, None] if signal else weight.array
    padding = borders(call.get("padding"), numbers)
    axes = [
        _Axis(row[1 + i], result[1 + i], array.shape[2 + i], stride, padding[i], dilation)
        for i, (stride, dilation) in enumerate(
            zip(numbers(call.get("stride"), 1), numbers(call.get("dilation"), 1), strict=True)
        )
    ]
    groups = int(call.get("groups", 1))
    phases = axes[0].stride * axes[1].stride
    constants = {"weight": Constant(weight.name, _weight(array, groups, axes))}
    if bias is not None:
        constants["bias"] = Constant(bias.name, np.repeat(bias.array, phases))
    (top, bottom), (left, right) = (axis.around for axis in axes)
    conv_shape = (result[0] * phases, axes[0].made, axes[1].made)
    op = Conv2d(
        kernel=(axes[0].kernel, axes[1].kernel),
        padding=Padding(top, bottom, left, right),
        groups=groups,
        conv_shape=conv_shape,
    )
    steps, output = [], call.outputs[0]
    if signal:
        steps.append(Step(Reshape(), "reshape", (source,), f"{output}.map", row, aside=True))
        source = steps[-1].output
    steps.append(Step(op, call.operator.strip("_"), (source,), f"{output}.phases", conv_shape, constants))
    return [
        *steps,
        gather(call, f"{output}.phases", output, _shuffled(conv_shape, axes, result).reshape(shape), aside=True),
    ]


def _weight(array: np.ndarray, groups: int, axes: list[_Axis]) -> np.ndarray:
    """(out * phases, in / groups, kernel), from torch's (in, out / groups, taps)."""
    grouped = array.reshape(groups, -1, *array.shape[1:]).swapaxes(1, 2)  # (groups, out / groups, in / groups, taps)
    down, across = axes
    made = np.zeros(
        (*grouped.shape[:2], down.stride, across.stride, grouped.shape[2], down.kernel, across.kernel), array.dtype
    )
    for ((fy, ty), y), ((fx, tx), x) in itertools.product(down.places.items(), across.places.items()):
        made[:, :, fy, fx, :, y - down.reach[0], x - across.reach[0]] = grouped[:, :, :, ty, tx]
    return made.reshape(-1, *made.shape[4:])


def _shuffled(made: Shape, axes: list[_Axis], result: Shape) -> np.ndarray:
    """Where each output lies among the phases."""
    down, across = axes
    numbers = np.arange(np.prod(made)).reshape(result[0], down.stride, across.stride, *made[1:])
    whole = numbers.transpose(0, 3, 1, 4, 2).reshape(result[0], made[1] * down.stride, made[2] * across.stride)
    top, left = (axis.padding - axis.first * axis.stride for axis in axes)
    return whole[:, top : top + result[1], left : left + result[2]]


RULES: dict[str, Rule] = {
    "conv_transpose1d.default": conv_transpose,
    "conv_transpose2d.input": conv_transpose,
}
