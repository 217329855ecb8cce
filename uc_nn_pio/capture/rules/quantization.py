"""Quantize and dequantize operators of networks that torchao has quantized, and the constants of their layers.

A constant that is dequantized has become one float constant before rules are asked, which remembers its integers; here
activations are left. Their grid is that of int8, whether the network says int8 or uint8.
"""

from __future__ import annotations

import numpy as np

from uc_nn_pio.capture.quantized import DEQUANTIZE, QUANTIZE, check_weights, grid_of, rows_of
from uc_nn_pio.capture.rules.base import Rule, Step, activation_input, shape_without_batch
from uc_nn_pio.capture.trace import Call, Constant, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ir import DType
from uc_nn_pio.graph.ops import Dequantize, Quantize


def quantize(call: Call, trace: Trace) -> list[Step]:
    """float32 to int8 or uint8, one scale for the tensor."""
    source = activation_input(call, trace, "input")
    op = Quantize(grid_of(call, trace.constants).int8())
    shape = shape_without_batch(call, trace, call.outputs[0])
    return [Step(op, "quantize", (source,), call.outputs[0], shape, dtype=DType.INT8)]


def dequantize(call: Call, trace: Trace) -> list[Step]:
    """Back to float32."""
    source = activation_input(call, trace, "input")
    if call.get("out_dtype") not in (None, "float32"):
        raise UnsupportedError(
            f"dequantize to {call.get('out_dtype')} is not supported", next_step="quantize a float32 network"
        )
    op = Dequantize(grid_of(call, trace.constants).int8())
    return [Step(op, "dequantize", (source,), call.outputs[0], shape_without_batch(call, trace, call.outputs[0]))]


def layer_constants(weight: Constant, bias: Constant | None) -> dict[str, Constant]:
    """The constants of a convolution or linear by role.

    Where PyTorch has quantized the weight, ``weight_scale`` holds the scale of each output (out,), float32; where the
    bias, ``bias_integers`` (out,) int32 and ``bias_scale`` (out,) float32. They go with the layer through lowering,
    which moves them along when it moves the layer's outputs.

    Raises:
        UnsupportedError: the weight is not symmetric, has more than 8 bits, or scales along another axis.
    """
    constants = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    if weight.stored is None:
        return constants
    check_weights(weight, bias)
    constants["weight_scale"] = Constant("", rows_of(weight.stored.scale))
    if bias is not None and bias.stored is not None:
        constants["bias_integers"] = Constant("", bias.stored.integers.astype(np.int32))
        constants["bias_scale"] = Constant("", np.ascontiguousarray(bias.stored.scale))
    return constants


RULES: dict[str, Rule] = {**dict.fromkeys(QUANTIZE, quantize), **dict.fromkeys(DEQUANTIZE, dequantize)}
