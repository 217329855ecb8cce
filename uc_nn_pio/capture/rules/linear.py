"""Fully connected layers: ``linear``, core ATen's ``addmm`` and ``mm``, and ``x @ w`` with a constant ``w``."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.capture.rules.base import Rule, Step, activation_input, constant, shape_without_batch
from uc_nn_pio.capture.rules.quantization import layer_constants
from uc_nn_pio.capture.trace import Call, Constant, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import Linear


def linear(call: Call, trace: Trace) -> list[Step]:
    """``weight`` (out, in) as nn.Linear keeps it."""
    return _linear(call, trace, activation_input(call, trace, "input"), constant(call, trace, "weight"), "bias")


def addmm(call: Call, trace: Trace) -> list[Step]:
    """self + mat1 @ mat2."""
    if call.get("beta", 1) != 1 or call.get("alpha", 1) != 1:
        raise UnsupportedError("addmm with alpha or beta is not supported", next_step="use nn.Linear")
    source = activation_input(call, trace, "mat1")
    return _linear(call, trace, source, _transposed(constant(call, trace, "mat2")), "self")


def matmul(call: Call, trace: Trace) -> list[Step]:
    """x @ w with a constant w of shape (in, out)."""
    role = "mat2" if call.get("mat2") is not None else "other"
    return _linear(call, trace, activation_input(call, trace), _transposed(constant(call, trace, role)), None)


def _transposed(weight: Constant | None) -> Constant | None:
    return weight and weight.moved(np.transpose)


def _linear(call: Call, trace: Trace, source: str, weight: Constant | None, bias_role: str | None) -> list[Step]:
    if weight is None or weight.array.ndim != 2:
        raise UnsupportedError(f"{call.operator} without a constant weight matrix is not supported")
    if len(trace.shapes[source]) != 2:
        raise UnsupportedError(
            f"a linear layer on a tensor of shape {list(trace.shapes[source])} is not supported",
            why="torch would apply it along the last axis only",
            next_step="flatten in front of it: torch.flatten(x, 1) or nn.Flatten()",
        )
    bias = constant(call, trace, bias_role) if bias_role else None
    outputs = weight.array.shape[:1]
    constants = layer_constants(weight, bias and bias.moved(lambda array: np.broadcast_to(array, outputs)))
    shape = shape_without_batch(call, trace, call.outputs[0])
    return [Step(Linear(), "linear", (source,), call.outputs[0], shape, constants)]


RULES: dict[str, Rule] = {
    "linear.default": linear,
    "addmm.default": addmm,
    "mm.default": matmul,
    "matmul.default": matmul,
}
