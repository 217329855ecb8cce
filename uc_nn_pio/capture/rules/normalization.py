"""Batch normalization with its stored statistics, as in eval mode; and layer, group, instance and RMS norm, whose
statistics are the input's own."""

from __future__ import annotations

import math

import numpy as np

from uc_nn_pio.capture.rules.base import (
    Rule,
    Step,
    activation_input,
    affine,
    constant,
    gather,
    over_channels,
    shape_without_batch,
)
from uc_nn_pio.capture.trace import Call, Constant, Shape, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.layout import memory_order
from uc_nn_pio.graph.ops import BatchNorm, LayerNorm


def batch_norm(call: Call, trace: Trace) -> list[Step]:
    """Per channel (axis 1 with the batch axis). Without ``affine``, weight is 1 and bias 0."""
    source = activation_input(call, trace, "input")
    mean, var = constant(call, trace, "running_mean"), constant(call, trace, "running_var")
    if call.get("training", False) or mean is None or var is None:
        raise UnsupportedError(
            "batch norm that takes its statistics from the batch is not supported",
            why="inference runs one image at a time",
            next_step="leave track_running_stats at True; call model.eval() before torch.export.export",
        )
    path = mean.name.rpartition(".")[0]
    prefix = f"{path}." if path else "batch_norm."
    ones = np.ones_like(mean.array)
    op = BatchNorm(eps=float(call.get("eps", 1e-5)))
    constants = {
        "weight": constant(call, trace, "weight") or Constant(f"{prefix}weight", ones),
        "bias": constant(call, trace, "bias") or Constant(f"{prefix}bias", np.zeros_like(ones)),
        "mean": mean,
        "var": var,
    }
    shape = shape_without_batch(call, trace, call.outputs[0])

    def step(read: str, made: str, of: Shape) -> Step:
        return Step(op, "batch_norm", (read,), made, of, constants)

    return over_channels(call, source, call.outputs[0], shape, 0, step)


def layer_norm(call: Call, trace: Trace) -> list[Step]:
    """Over the last axes; RMS norm likewise, which takes no mean off."""
    source = activation_input(call, trace, "input")
    shape = shape_without_batch(call, trace, call.outputs[0])
    axes = len(call.get("normalized_shape", ()))
    if axes > len(shape):
        raise UnsupportedError(
            f"{call.operator} over the batch axis is not supported", next_step="name an image's axes"
        )
    eps = call.get("eps", 1e-5 if "layer" in call.operator else None)
    op = LayerNorm(float(np.finfo(np.float32).eps if eps is None else eps), centred="rms" not in call.operator)
    weight, bias = (constant(call, trace, role) for role in ("weight", "bias"))
    constants = {role: each for role, each in (("weight", weight), ("bias", bias)) if each is not None}
    numbers = np.arange(math.prod(shape)).reshape(math.prod(shape[: len(shape) - axes]), -1)
    order = memory_order(shape) if axes == len(shape) else np.arange(numbers.shape[1])
    moved = {role: each.moved(lambda array: array.ravel()[order]) for role, each in constants.items()}
    return _normed(call, source, call.outputs[0], shape, op, numbers[:, order], moved)


def group_norm(call: Call, trace: Trace) -> list[Step]:
    """Over groups of channels and all pixels; instance norm over each channel's pixels."""
    source = activation_input(call, trace, "input")
    shape, output = shape_without_batch(call, trace, call.outputs[0]), call.outputs[0]
    groups = int(call.get("num_groups", call.get("group", shape[0])))
    numbers = np.arange(math.prod(shape)).reshape(groups, -1)
    order = memory_order(shape) if groups == 1 else np.arange(numbers.shape[1])
    scale, shift = (_spread(constant(call, trace, role), shape) for role in ("weight", "bias"))
    op = LayerNorm(float(call.get("eps", 1e-5)))
    if scale is None and shift is None:
        return _normed(call, source, output, shape, op, numbers[:, order], {})
    scale, shift = 1.0 if scale is None else scale, 0.0 if shift is None else shift
    normed = f"{output}.normed"
    steps = _normed(call, source, normed, shape, op, numbers[:, order], {})
    return [*steps, *affine(call, normed, output, shape, scale, shift, aside=True)]


def instance_norm(call: Call, trace: Trace) -> list[Step]:
    """Over each channel's pixels; or with stored statistics, as batch norm."""
    if not call.get("use_input_stats", True):
        return batch_norm(call, trace)
    return group_norm(call, trace)


def _spread(each: Constant | None, shape: Shape) -> np.ndarray | None:
    """One number a channel, for broadcasting."""
    return None if each is None else each.array.astype(np.float64).reshape(-1, *(1,) * (len(shape) - 1))


def _normed(
    call: Call, source: str, output: str, shape: Shape, op: LayerNorm, rows: np.ndarray, constants: dict[str, Constant]
) -> list[Step]:
    """``op`` over each row of element numbers: the channels of a map that has a pixel for each, or one vector."""
    stem = call.operator.strip("_").removeprefix("native_")
    count, own = rows.shape[1], ((rows.shape[1], 1, len(rows)) if len(rows) > 1 else (rows.shape[1],))
    front = gather(call, source, f"{output}.rows", rows.T.reshape(own), aside=True)
    made = Step(op, stem, (front.output,), f"{output}.made", own, constants)
    back = np.empty(math.prod(shape), np.int64)
    back[rows.T.ravel()] = np.arange(len(rows) * count)
    return [front, made, gather(call, made.output, output, back.reshape(shape), aside=True)]


RULES: dict[str, Rule] = {
    "batch_norm.default": batch_norm,
    "_native_batch_norm_legit_no_training.default": batch_norm,
    "native_batch_norm.default": batch_norm,
    "cudnn_batch_norm.default": batch_norm,
    "layer_norm.default": layer_norm,
    "native_layer_norm.default": layer_norm,
    "rms_norm.default": layer_norm,
    "_fused_rms_norm.default": layer_norm,
    "group_norm.default": group_norm,
    "native_group_norm.default": group_norm,
    "instance_norm.default": instance_norm,
}
