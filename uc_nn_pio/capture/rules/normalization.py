"""Batch normalization with its stored statistics, as in eval mode."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.capture.rules.base import Rule, Step, activation_input, constant, over_channels, shape_without_batch
from uc_nn_pio.capture.trace import Call, Constant, Shape, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import BatchNorm


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

    if len(shape) == 1:
        return [step(source, call.outputs[0], shape)]
    return over_channels(call, source, call.outputs[0], shape, 0, step)


RULES: dict[str, Rule] = {
    "batch_norm.default": batch_norm,
    "_native_batch_norm_legit_no_training.default": batch_norm,
    "native_batch_norm.default": batch_norm,
    "cudnn_batch_norm.default": batch_norm,
}
