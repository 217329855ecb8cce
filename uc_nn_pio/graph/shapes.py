"""Output shapes of operators, and the check that a graph's tensors and constants have them.

Shapes have no batch axis. Sizes of windows are torch's: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from uc_nn_pio.errors import ModelError
from uc_nn_pio.graph.layout import same_memory
from uc_nn_pio.graph.ops import (
    Activation,
    AdaptiveAvgPool2d,
    ArgMax,
    AvgPool2d,
    BatchNorm,
    Clamp,
    Concat,
    Conv2d,
    Dequantize,
    Elementwise,
    Embedding,
    Gather,
    Identity,
    LayerNorm,
    Linear,
    LogSoftmax,
    MaxPool2d,
    Op,
    Pad,
    Permute,
    PRelu,
    Quantize,
    Recurrent,
    Reshape,
    Softmax,
)

Shape = tuple[int, ...]
Constants = Mapping[str, Shape]


def window_count(
    size: int, kernel: int, stride: int, before: int = 0, after: int = 0, dilation: int = 1, ceil_mode: bool = False
) -> int:
    """Windows along an axis of ``size`` pixels with ``before`` and ``after`` pixels of padding; 0 or less if none fits.

    With ``ceil_mode`` a last window may reach past the padding, but must start on the map or the padding before it.
    """
    room = size + before + after - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + before else count


def convolved(op: Conv2d, shape: Shape, out_channels: int) -> tuple[int, int, int]:
    """Shape of the convolution itself, in front of a fused pool."""
    _, height, width = shape
    pad = op.padding
    rows = window_count(height, op.kernel[0], op.stride[0], pad.top, pad.bottom, op.dilation[0])
    columns = window_count(width, op.kernel[1], op.stride[1], pad.left, pad.right, op.dilation[1])
    return out_channels, rows, columns


def pooled(op: MaxPool2d | AvgPool2d, shape: Shape, ceil_mode: bool = False) -> tuple[int, int, int]:
    """Shape of a pool's output."""
    channels, height, width = shape
    pad = op.padding
    down, across = getattr(op, "dilation", (1, 1))
    rows = window_count(height, op.kernel[0], op.stride[0], pad.top, pad.bottom, down, ceil_mode)
    columns = window_count(width, op.kernel[1], op.stride[1], pad.left, pad.right, across, ceil_mode)
    return channels, rows, columns


def joined(shapes: Sequence[Shape], axis: int) -> Shape:
    """Shape of tensors one behind the other along ``axis``; they must be alike in the other axes."""
    first = shapes[0]
    return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])


def broadcast(shapes: Sequence[Shape]) -> Shape | None:
    """Shape of tensors combined element by element, which all have as many axes; None where they do not fit."""
    if len({len(shape) for shape in shapes}) != 1:
        return None
    found = []
    for sizes in zip(*shapes, strict=True):
        repeated = {size for size in sizes if size != 1}
        if len(repeated) > 1:
            return None
        found.append(repeated.pop() if repeated else 1)
    return tuple(found)


def check(op: Op, inputs: Sequence[Shape], result: Shape, constants: Constants, where: str) -> None:
    """Compare a node's output and constants with what its operator makes of its inputs.

    Args:
        inputs: shapes of the input tensors.
        result: shape of the output tensor.
        constants: shapes by role.
        where: the layer, for the message.

    Raises:
        ModelError: they do not fit each other.
    """
    if len(inputs) != op.arity if op.arity else len(inputs) < 2:
        raise ModelError(f"{op.title} of {len(inputs)} tensors; it takes {op.arity or 'two or more'}", where=where)
    given = inputs[0]
    if op.arity != 1:
        fault = _many(op, inputs, result)
        if fault:
            raise ModelError(f"{op.title} of {', '.join(map(str, inputs))} to {result}: {fault}", where=where)
        return
    if isinstance(op, SPATIAL) and (len(given) != 3 or len(result) != 3):
        raise ModelError(f"{op.title} from {given} to {result}: both must be maps (C, H, W)", where=where)
    rule = RULES.get(type(op))
    fault = rule(op, given, result, constants) if rule else None
    if fault:
        raise ModelError(f"{op.title} from {given} to {result}: {fault}", where=where)


SPATIAL = (AdaptiveAvgPool2d, AvgPool2d, Conv2d, MaxPool2d)

# Each rule says what is wrong, or None.


def _elementwise(op: Op, given: Shape, result: Shape, constants: Constants) -> str | None:
    return None if given == result else "the shape changes"


def _many(op: Op, inputs: Sequence[Shape], result: Shape) -> str | None:
    """Of operators that read several tensors."""
    if isinstance(op, Concat):
        first = inputs[0]
        if not 0 <= op.axis < len(first):
            return f"there is no axis {op.axis}"
        others = [(*shape[: op.axis], *shape[op.axis + 1 :]) for shape in inputs]
        if any(len(s) != len(first) for s in inputs) or len(set(others)) > 1:
            return "they differ in more than the axis along which they are joined"
        return None if joined(inputs, op.axis) == result else f"they make {joined(inputs, op.axis)}"
    if isinstance(op, Elementwise):
        return None if broadcast(inputs) == result else f"they make {broadcast(inputs) or 'nothing'}"
    return None if all(shape == result for shape in inputs) else "all must have one shape"


def _softmax(op: Softmax | LogSoftmax, given: Shape, result: Shape, constants: Constants) -> str | None:
    if given != result:
        return "the shape changes"
    return None if -len(given) <= op.axis < len(given) else f"there is no axis {op.axis}"


def _batch_norm(op: BatchNorm, given: Shape, result: Shape, constants: Constants) -> str | None:
    wrong = [role for role, shape in constants.items() if shape != given[:1]]
    if wrong:
        return f"{wrong[0]} has shape {constants[wrong[0]]}, {given[0]} channels are needed"
    missing = {"mean", "var"} - set(constants)
    return f"{sorted(missing)[0]} is missing" if missing else _elementwise(op, given, result, constants)


def _reshape(op: Reshape, given: Shape, result: Shape, constants: Constants) -> str | None:
    return None if math.prod(given) == math.prod(result) else "the number of elements changes"


def _per_channel(op: PRelu | LayerNorm, given: Shape, result: Shape, constants: Constants) -> str | None:
    if len(given) not in (1, 3):
        return "channels are those of a vector or a map"
    each = ("weight", "bias", "slope")
    wrong = [role for role in each if constants.get(role, given[:1]) != given[:1]]
    if wrong:
        return f"{wrong[0]} has shape {constants[wrong[0]]}, {given[0]} channels are needed"
    return _elementwise(op, given, result, constants)


def _argmax(op: ArgMax, given: Shape, result: Shape, constants: Constants) -> str | None:
    if len(given) not in (1, 3):
        return "channels are those of a vector or a map"
    return None if result == (1, *given[1:]) else "there is one place for all channels"


def _embedding(op: Embedding, given: Shape, result: Shape, constants: Constants) -> str | None:
    weight = constants.get("weight", ())
    if len(weight) != 2:
        return "the weight has rows of a width"
    return None if result == (*given, weight[1]) else f"rows have {weight[1]} elements"


def _recurrent(op: Recurrent, given: Shape, result: Shape, constants: Constants) -> str | None:
    if len(given) != 2 or len(result) != 2 or given[0] != result[0]:
        return "a row of the input gives a row of the output"
    rows = op.gates * result[1]
    wanted = {"weight_x": (rows, given[1]), "weight_h": (rows, result[1]), "bias_x": (rows,), "bias_h": (rows,)}
    wrong = [role for role, shape in wanted.items() if constants.get(role) != shape]
    return f"{wrong[0]} has shape {constants.get(wrong[0])}, {wanted[wrong[0]]} is needed" if wrong else None


def _gather(op: Gather, given: Shape, result: Shape, constants: Constants) -> str | None:
    wanted = (math.prod(result),)
    return None if constants.get("index") == wanted else f"the index has shape {constants.get('index')}, not {wanted}"


def _pad(op: Pad, given: Shape, result: Shape, constants: Constants) -> str | None:
    if len(op.before) != len(given) or len(op.after) != len(given) or min(*op.before, *op.after, 0) < 0:
        return "zeros are counted from 0 on, for each axis"
    wanted = tuple(b + n + a for b, n, a in zip(op.before, given, op.after, strict=True))
    return None if wanted == result else f"the padding makes {wanted}"


def _permute(op: Permute, given: Shape, result: Shape, constants: Constants) -> str | None:
    ranks = {"hwc_to_chw": (True, False), "chw_to_hwc": (False, True)}
    if op.order == "same":
        return None if same_memory(given, result) else "the order in memory changes"
    if op.order not in ranks or (len(given) == 3, len(result) == 3) != ranks[op.order]:
        return f"order {op.order!r} does not fit"
    return _reshape(op, given, result, constants)  # type: ignore[arg-type]


def _linear(op: Linear, given: Shape, result: Shape, constants: Constants) -> str | None:
    return _constants(constants, (math.prod(result), math.prod(given)))


def _constants(constants: Constants, weight: Shape) -> str | None:
    """Weight as given; a bias, where there is one, of the weight's first axis."""
    if constants.get("weight") != weight:
        return f"the weight has shape {constants.get('weight')}, {weight} is needed"
    if constants.get("bias", weight[:1]) != weight[:1]:
        return f"the bias has shape {constants['bias']}, {weight[:1]} is needed"
    return None


def _conv(op: Conv2d, given: Shape, result: Shape, constants: Constants) -> str | None:
    channels, out = given[0], op.conv_shape[0]
    if op.groups < 1 or channels % op.groups or out % op.groups:
        return f"{op.groups} groups do not divide {channels} and {out} channels"
    shape = convolved(op, given, out)
    if min(shape) < 1:
        return "the kernel is larger than the map"
    if shape != op.conv_shape:
        return f"conv_shape is {op.conv_shape}, the convolution makes {shape}"
    fault = _constants(constants, (out, channels // op.groups, *op.kernel))
    if fault or op.pool is None:
        return fault or (None if shape == result else f"the convolution makes {shape}")
    return _pool(op.pool, shape, result, {})


def _pool(op: MaxPool2d | AvgPool2d, given: Shape, result: Shape, constants: Constants) -> str | None:
    options = [pooled(op, given, ceil_mode) for ceil_mode in (False, True)]
    if result not in options:
        return f"the pool makes {options[0]}"
    if min(result) < 1:
        return "the window is larger than the map"
    dilation = getattr(op, "dilation", (1, 1))
    for axis, before in enumerate((op.padding.top, op.padding.left)):
        size = given[1 + axis]
        for i in range(result[1 + axis]):
            first = i * op.stride[axis] - before
            taps = range(first, first + op.kernel[axis] * dilation[axis], dilation[axis])
            if not any(0 <= tap < size for tap in taps):
                return "a window lies on padding alone, where torch gives -inf"
    return None


def _adaptive(op: AdaptiveAvgPool2d, given: Shape, result: Shape, constants: Constants) -> str | None:
    return None if given[0] == result[0] else "the number of channels changes"


RULES: Mapping[type[Op], Callable[..., str | None]] = {
    Activation: _elementwise,
    Clamp: _elementwise,
    AdaptiveAvgPool2d: _adaptive,
    ArgMax: _argmax,
    AvgPool2d: _pool,
    BatchNorm: _batch_norm,
    Conv2d: _conv,
    Dequantize: _elementwise,
    Embedding: _embedding,
    Gather: _gather,
    Identity: _elementwise,
    LayerNorm: _per_channel,
    Linear: _linear,
    LogSoftmax: _softmax,
    MaxPool2d: _pool,
    Pad: _pad,
    Permute: _permute,
    PRelu: _per_channel,
    Quantize: _elementwise,
    Recurrent: _recurrent,
    Reshape: _reshape,
    Softmax: _softmax,
}
"""One rule an operator; an operator without one is not checked."""
