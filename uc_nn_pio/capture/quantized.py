"""Quantize and dequantize operators, as torchao's ``convert_pt2e`` leaves them in a network: their arguments, and what
they make of constants.

Source: ``torch/ao/quantization/fx/_decomposed.py``, the library ``quantized_decomposed`` of torch. Activations are
quantized per tensor, ``(x, scale, zero_point, quant_min, quant_max, dtype)``; weights also per channel, with a list of
scales and one of zero points and the axis in front of the limits. The arithmetic here is theirs, to the bit: float32,
halves to even, and the quotient a product with the inverse scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from uc_nn_pio.capture.trace import Argument, Call, Constant, Ref, Stored
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.quant import Grid, QuantParams

LIBRARY = "quantized_decomposed"
QUANTIZE = tuple(f"{LIBRARY}.quantize_per_tensor.{overload}" for overload in ("default", "tensor", "tensor2"))
DEQUANTIZE = tuple(f"{LIBRARY}.dequantize_per_tensor.{overload}" for overload in ("default", "tensor", "tensor2"))
QUANTIZE_CHANNELS = f"{LIBRARY}.quantize_per_channel.default"
DEQUANTIZE_CHANNELS = f"{LIBRARY}.dequantize_per_channel.default"

BITS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-(2**15), 2**15 - 1), "int32": (-(2**31), 2**31 - 1)}
_SYMMETRIC = "torch.per_tensor_symmetric or torch.per_channel_symmetric"
CONVERT = (
    "quantize it with prepare_pt2e and convert_pt2e (for training: prepare_qat_pt2e), and export what that returns"
)

# What an export of an unfinished or another quantization has in it, by the operator's name; and what to say of it.
_UNFINISHED = {
    "fused_moving_avg_obs_fake_quant": ("is prepared for quantization, but not converted", CONVERT),
    "_fused_moving_avg_obs_fq_helper": ("is prepared for quantization, but not converted", CONVERT),
    "fake_quantize_per_tensor_affine": ("is prepared for quantization, but not converted", CONVERT),
    "fake_quantize_per_channel_affine": ("is prepared for quantization, but not converted", CONVERT),
    "choose_qparams": ("chooses its scales when it runs", "quantize it with fixed scales: is_dynamic=False"),
    "choose_qparams_symmetric": ("chooses its scales when it runs", "quantize it with fixed scales: is_dynamic=False"),
    "choose_qparams_per_token": ("chooses its scales when it runs", "quantize it with fixed scales: is_dynamic=False"),
    "choose_qparams_affine": ("chooses its scales when it runs", "quantize it with fixed scales: is_dynamic=False"),
    "quantize_affine": ("is quantized in blocks", "quantize activations per tensor, weights per tensor or channel"),
    "dequantize_affine": ("is quantized in blocks", "quantize activations per tensor, weights per tensor or channel"),
}


def refuse_unfinished(targets: Iterable[str], name: str) -> None:
    """Refuse a network that is prepared for quantization only, or quantized in a way that has no fixed scales.

    Args:
        targets: of all its calls, as torch or as a :class:`Call` names them.
        name: the network's, for the message.

    Raises:
        UnsupportedError: it is; what to do instead is in the message.
    """
    operators = dict.fromkeys(target.rpartition(".")[0].rpartition(".")[2] for target in targets)
    for operator in operators:
        if operator in _UNFINISHED:
            what, next_step = _UNFINISHED[operator]
            raise UnsupportedError(f"{name} {what}: it calls {operator}", where=name, next_step=next_step)
    if operators.keys() >= {"round", "clamp", "to"}:
        raise UnsupportedError(
            f"{name} is quantized in another form than quantize and dequantize operators",
            where=name,
            why="it rounds, clamps and converts in operators of its own, as the reference representation does",
            next_step="convert_pt2e(model), without use_reference_representation",
        )


@dataclass(frozen=True)
class TorchGrid:
    """The arguments of a per-tensor operator, checked. ``scale`` is the double that torch computes with."""

    scale: float
    zero_point: int
    low: int
    high: int
    dtype: str

    def int8(self) -> Grid:
        """The same in int8: uint8 is shifted by 128.

        Raises:
            UnsupportedError: other integers than int8 and uint8.
        """
        if self.dtype not in ("int8", "uint8"):
            raise UnsupportedError(
                f"activations quantized to {self.dtype} are not supported",
                next_step="use torch.int8 (or torch.uint8) in the quantizer's QuantizationSpec for activations",
            )
        shift = 128 if self.dtype == "uint8" else 0
        params = QuantParams(np.float32(self.scale), self.zero_point - shift)
        return Grid(params, self.low - shift, self.high - shift)


def grid_of(call: Call, constants: Mapping[str, Constant]) -> TorchGrid:
    """Scale, zero point and limits of a per-tensor quantize or dequantize.

    Raises:
        UnsupportedError: they are computed at inference, or contradict each other.
    """
    scale = float(_number(call.get("scale"), "scale", constants))
    zero_point = int(_number(call.get("zero_point"), "zero_point", constants))
    low, high, dtype = _limits(call, constants)
    with np.errstate(all="ignore"):
        narrow = np.float32(scale)
        usable = np.isfinite(narrow) and narrow > 0 and np.isfinite(np.float32(1) / narrow)
    if not usable:
        raise _refused(call, f"a scale of {scale:g}", "a scale and its inverse are positive and finite in float32")
    if not BITS[dtype][0] <= zero_point <= BITS[dtype][1]:
        raise _refused(call, f"a zero point of {zero_point}", f"it must be one of the integers of {dtype}")
    return TorchGrid(scale, zero_point, low, high, dtype)


def _limits(call: Call, constants: Mapping[str, Constant]) -> tuple[int, int, str]:
    dtype = call.get("dtype")
    if dtype not in BITS:
        raise UnsupportedError(
            f"quantization to {dtype} is not supported", next_step="use torch.int8, or torch.uint8 for activations"
        )
    low, high = (int(_number(call.get(role), role, constants)) for role in ("quant_min", "quant_max"))
    least, most = BITS[dtype]
    if not least <= low < high <= most:
        raise _refused(call, f"limits {low} and {high}", f"{dtype} holds {least} to {most}")
    return low, high, dtype


def _number(argument: Argument, role: str, constants: Mapping[str, Constant]) -> float:
    if isinstance(argument, Ref) and argument.name in constants and constants[argument.name].array.size == 1:
        argument = constants[argument.name].array.item()
    if isinstance(argument, Ref):
        raise UnsupportedError(
            f"quantization with a {role} that is computed at inference is not supported",
            next_step="quantize with fixed scales: is_dynamic=False",
        )
    whole = type(argument) is int and abs(argument) <= 1 << 31
    if not whole and not (role == "scale" and type(argument) is float and math.isfinite(argument)):
        shown = str(argument)[:40]
        raise UnsupportedError(f"quantization with {shown} for its {role} is not supported", next_step=CONVERT)
    return argument


def _refused(call: Call, what: str, why: str) -> UnsupportedError:
    return UnsupportedError(f"{call.operator.rpartition('.')[2]} with {what}", why=why, next_step=CONVERT)


def fold(call: Call, constants: Mapping[str, Constant]) -> Constant | None:
    """What a quantize or dequantize makes of a constant; None for another operator, or a value made at inference.

    Raises:
        UnsupportedError: arguments that make no sense.
    """
    source = call.get("input")
    if not isinstance(source, Ref) or source.name not in constants or not call.target.startswith(f"{LIBRARY}."):
        return None
    given = constants[source.name]
    if call.target in (*QUANTIZE, *DEQUANTIZE):
        grid = grid_of(call, constants)
        scale, zero_point = np.float32(grid.scale), np.float32(grid.zero_point)
        inverse, low, high, dtype = np.float32(1.0 / grid.scale), grid.low, grid.high, grid.dtype
    elif call.target in (QUANTIZE_CHANNELS, DEQUANTIZE_CHANNELS):
        low, high, dtype = _limits(call, constants)
        scale, zero_point = _channels(call, constants, given.array)
        inverse = scale.dtype.type(1) / scale
    else:
        return None
    if call.target in (*QUANTIZE, QUANTIZE_CHANNELS):
        steps = np.rint(given.array * inverse) + zero_point
        return Constant(given.name, np.clip(steps, low, high).astype(dtype))
    return _dequantized(call, given, scale, zero_point, dtype)


def _dequantized(call: Call, given: Constant, scale: np.ndarray, zero_point: np.ndarray, dtype: str) -> Constant:
    if given.array.dtype != np.dtype(dtype):
        raise _refused(call, f"{dtype} for a constant of {given.array.dtype}", "they must be the same")
    with np.errstate(over="ignore", invalid="ignore"):
        real = ((given.array.astype(np.float32) - zero_point) * scale).astype(np.float32)
    if not np.isfinite(real).all():
        raise _refused(call, "a scale that leaves float32", f"{given.name} would hold infinities")
    shift = 128 if dtype == "uint8" else 0
    shape = real.shape
    return Constant(
        "",
        real,
        Stored(
            given.array.astype(np.int32) - shift,
            np.broadcast_to(np.asarray(scale, np.float32), shape),
            np.broadcast_to(np.asarray(zero_point, np.float32) - shift, shape),
        ),
    )


def _channels(call: Call, constants: Mapping[str, Constant], array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scales and zero points, shaped to meet ``array``."""
    axis, names = call.get("axis"), (call.get("scales"), call.get("zero_points"))
    if not all(name is None or (isinstance(name, Ref) and name.name in constants) for name in names) or not names[0]:
        raise UnsupportedError(
            "scales of channels that are computed at inference are not supported",
            next_step="quantize with fixed scales: is_dynamic=False",
        )
    scales = constants[names[0].name].array
    points = constants[names[1].name].array if names[1] else np.zeros(scales.shape, np.int64)
    if (
        type(axis) is not int
        or not 0 <= axis < array.ndim
        or not scales.shape == points.shape == array.shape[axis:][:1]
    ):
        raise _refused(call, f"{scales.size} scales along axis {axis}", f"the constant's shape is {list(array.shape)}")
    with np.errstate(all="ignore"):
        narrow = scales.astype(np.float32)
        usable = np.isfinite(narrow) & (narrow > 0) & np.isfinite(1 / narrow)
    if scales.dtype.kind != "f" or not usable.all():
        raise _refused(call, "scales that are not positive and finite", "no channel can be divided by them")
    shape = [-1 if index == axis else 1 for index in range(array.ndim)]
    return scales.reshape(shape), points.astype(np.float32).reshape(shape)


def rows_of(array: np.ndarray) -> np.ndarray | None:
    """One value a row (an index of the first axis) where all values of each row are the same, else None."""
    rows = array.reshape(len(array), -1)
    return rows[:, 0].copy() if rows.shape[1] and (rows == rows[:, :1]).all() else None


def check_weights(weight: Constant, bias: Constant | None) -> None:
    """Refuse weights that the kernels' integers cannot be.

    Raises:
        UnsupportedError: asymmetric weights, more than 8 bits, or scales along another axis than the outputs'.
    """
    for role, constant in (("weight", weight), ("bias", bias)):
        if constant is None or constant.stored is None:
            continue
        points = constant.stored.zero_point
        if points.any():
            raise UnsupportedError(
                f"its {role} is quantized with a zero point: {int(points[points != 0].flat[0])}",
                why="weights and biases are symmetric in int8: a real 0 is the integer 0",
                next_step=f"use qscheme {_SYMMETRIC} in the quantizer's QuantizationSpec for the {role}",
            )
    integers = weight.stored.integers
    if integers.min(initial=0) < -128 or integers.max(initial=0) > 127:
        raise UnsupportedError(
            f"its weight holds integers from {integers.min()} to {integers.max()}",
            why="weights have 8 bits",
            next_step="use torch.int8 in the quantizer's QuantizationSpec for weights",
        )
    if rows_of(weight.stored.scale) is None:
        raise UnsupportedError(
            "its weight has scales along another axis than that of the outputs",
            why="an accumulator adds up products of one scale",
            next_step="quantize the weight per tensor, or per channel with ch_axis=0",
        )
