"""Operators that choose and move elements: slices, transposes, repeats, shuffles, upsampling, padding.

Each is done to an array that numbers the input's elements; what comes out is the gather's index.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from uc_nn_pio.capture.rules.base import Rule, Step, activation_input, affine, gather, shape_without_batch
from uc_nn_pio.capture.trace import Call, Ref, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import Pad

Move = Callable[[Call, np.ndarray], np.ndarray]
"""(call, the input with its batch axis) -> the output."""

Parts = Callable[[Call, np.ndarray], list[np.ndarray]]


def _numbered(trace: Trace, source: str) -> np.ndarray:
    shape = trace.shapes[source]
    return np.arange(int(np.prod(shape))).reshape(shape)


def _rule(move: Move) -> Rule:
    def rule(call: Call, trace: Trace) -> list[Step]:
        source = activation_input(call, trace)
        shape = shape_without_batch(call, trace, call.outputs[0])
        moved = move(call, _numbered(trace, source))
        if moved.shape[1:] != shape:
            raise UnsupportedError(
                f"{call.operator} from shape {list(trace.shapes[source])} to {[1, *shape]} is not supported",
                next_step="write it with slices, permute, reshape and torch.cat",
            )
        return [gather(call, source, call.outputs[0], moved[0])]

    rule.__doc__ = move.__doc__
    return rule


def _parts(divide: Parts) -> Rule:
    def rule(call: Call, trace: Trace) -> list[Step]:
        source = activation_input(call, trace)
        shape_without_batch(call, trace, call.outputs[0])
        parts = divide(call, _numbered(trace, source))
        return [gather(call, source, output, part[0]) for output, part in zip(call.outputs, parts, strict=True)]

    rule.__doc__ = divide.__doc__
    return rule


def _axis(call: Call, x: np.ndarray, name: str = "dim") -> int:
    axis = int(call.get(name, 0))
    axis += x.ndim if axis < 0 else 0
    if axis == 0:
        raise UnsupportedError(
            f"{call.operator} along the batch axis is not supported",
            why="the first axis counts the images of a batch, and inference runs one at a time",
            next_step="dim=1 is the first axis of an image",
        )
    return axis


def slices(call: Call, x: np.ndarray) -> np.ndarray:
    """``x[:, a:b:step]`` along any axis."""
    axis = int(call.get("dim", 0))
    if call.operator == "narrow":
        start = int(call.get("start", 0))
        return np.take(x, np.arange(start, start + int(call.get("length", 1))), axis=axis)
    index: list[slice] = [slice(None)] * x.ndim
    index[axis] = slice(call.get("start"), call.get("end"), call.get("step", 1))
    return x[tuple(index)]


def select(call: Call, x: np.ndarray) -> np.ndarray:
    """``x[:, i]`` along any axis."""
    return np.take(x, int(call.get("index", 0)), axis=_axis(call, x))


def permute(call: Call, x: np.ndarray) -> np.ndarray:
    """Axes in another order. Free where memory stays as it is: a map lies as H, W, C."""
    return x.transpose([int(dim) for dim in call.get("dims", ())])


def transpose(call: Call, x: np.ndarray) -> np.ndarray:
    """Two axes exchanged."""
    if call.operator == "t":
        return x.T
    return np.swapaxes(x, int(call.get("dim0", call.get("axis0", 0))), int(call.get("dim1", call.get("axis1", 0))))


def movedim(call: Call, x: np.ndarray) -> np.ndarray:
    """Axes moved to other places."""
    return np.moveaxis(x, call.get("source"), call.get("destination"))


def flip(call: Call, x: np.ndarray) -> np.ndarray:
    """The order along axes turned round."""
    return np.flip(x, [int(dim) for dim in call.get("dims", ())])


def roll(call: Call, x: np.ndarray) -> np.ndarray:
    """Elements shifted along axes, those that leave coming in at the other end."""
    dims = call.get("dims") or None
    if dims is None:
        return np.roll(x.ravel(), call.get("shifts")).reshape(x.shape)
    return np.roll(x, call.get("shifts"), dims)


def expand(call: Call, x: np.ndarray) -> np.ndarray:
    """Axes of size 1 repeated."""
    sizes = tuple(call.get("size", ()))
    x = x.reshape((1,) * (len(sizes) - x.ndim) + x.shape)
    return np.broadcast_to(x, [have if size == -1 else size for have, size in zip(x.shape, sizes, strict=True)])


def repeat(call: Call, x: np.ndarray) -> np.ndarray:
    """The whole tensor repeated along axes."""
    return np.tile(x, tuple(call.get("repeats", call.get("dims", ()))))


def repeat_interleave(call: Call, x: np.ndarray) -> np.ndarray:
    """Each element repeated along an axis."""
    return np.repeat(x, int(call.get("repeats", 1)), axis=_axis(call, x))


def pixel_shuffle(call: Call, x: np.ndarray) -> np.ndarray:
    """Channels to blocks of r x r pixels."""
    n, c, h, w = x.shape
    r = int(call.get("upscale_factor", 1))
    return x.reshape(n, c // r**2, r, r, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, c // r**2, h * r, w * r)


def pixel_unshuffle(call: Call, x: np.ndarray) -> np.ndarray:
    """Blocks of r x r pixels to channels."""
    n, c, h, w = x.shape
    r = int(call.get("downscale_factor", 1))
    return x.reshape(n, c, h // r, r, w // r, r).transpose(0, 1, 3, 5, 2, 4).reshape(n, c * r**2, h // r, w // r)


def channel_shuffle(call: Call, x: np.ndarray) -> np.ndarray:
    """Channels of groups dealt out in turn."""
    n, c, *rest = x.shape
    groups = int(call.get("groups", 1))
    return x.reshape(n, groups, c // groups, *rest).swapaxes(1, 2).reshape(x.shape)


def upsample(call: Call, x: np.ndarray) -> np.ndarray:
    """Nearest neighbours, by any factor, 1-D and 2-D; torch's ``nearest`` and ``nearest-exact``."""
    given = call.get("scale_factors")
    factors = list(given) if given else [call.get(name) for name in ("scales", "scales_h", "scales_w")]
    factors = [factor for factor in factors if factor is not None]
    axes = range(2, x.ndim)
    sizes = call.get("output_size")
    if sizes is None:
        sizes = [int(np.floor(x.shape[axis] * factor)) for axis, factor in zip(axes, factors, strict=True)]
    exact = "exact" in call.operator
    for number, (axis, size) in enumerate(zip(axes, sizes, strict=True)):
        # float32, as aten/src/ATen/native/UpSample.h computes the place
        have = x.shape[axis]
        scale = np.float32(1.0 / factors[number]) if factors else np.float32(have) / np.float32(size)
        at = (np.arange(size, dtype=np.float32) + np.float32(0.5 if exact else 0)) * scale
        x = np.take(x, np.minimum(np.floor(at).astype(int), have - 1), axis=axis)
    return x


def split(call: Call, x: np.ndarray) -> list[np.ndarray]:
    """Parts along an axis, each a tensor of its own."""
    axis = _axis(call, x)
    if call.operator == "unbind":
        return [np.take(x, i, axis=axis) for i in range(x.shape[axis])]
    if call.operator == "chunk":
        sizes: object = -(-x.shape[axis] // int(call.get("chunks", 1)))
    else:
        sizes = call.get("split_size", call.get("split_sizes"))
    if isinstance(sizes, int):
        return np.split(x, range(sizes, x.shape[axis], sizes), axis=axis)
    return np.split(x, np.cumsum(sizes)[:-1], axis=axis)


def indexed(call: Call, trace: Trace) -> list[Step]:
    """Elements at constant places along axes: ``x[:, [2, 0, 1]]``, index_select."""
    source = activation_input(call, trace)
    indices = call.get("indices")
    if call.operator == "index_select":
        axis = int(call.get("dim", 0)) % len(trace.shapes[source])
        indices = (*(None,) * axis, call.get("index"))
    chosen = [index for index in indices or () if index is not None]
    if not chosen or not all(isinstance(index, Ref) and index.name in trace.constants for index in chosen):
        raise UnsupportedError(
            f"{call.operator.strip('_')} by values that are computed at inference is not supported",
            next_step="constant places are taken: x[:, [2, 0, 1]]",
        )
    places = tuple(slice(None) if index is None else _places(trace.constants[index.name].array) for index in indices)
    shape_without_batch(call, trace, call.outputs[0])
    return [gather(call, source, call.outputs[0], _numbered(trace, source)[places][0])]


def _places(array: np.ndarray) -> np.ndarray:
    """An index, or a mask."""
    return array.astype(bool) if array.dtype == np.bool_ else array.astype(np.int64)


_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""torch's modes by NumPy's names."""

_MODE_OF = {"reflection": "reflect", "replication": "replicate"}
"""By the beginning of the operator that has the mode in its name."""


def pad(call: Call, trace: Trace) -> list[Step]:
    """Around any axis but the batch's: with a number, or by reflection, replication or going round. Zeros in front of a
    convolution become its own padding. Negative numbers cut off."""
    source = activation_input(call, trace)
    shape = shape_without_batch(call, trace, call.outputs[0])
    amounts = [int(amount) for amount in call.get("pad", call.get("padding", ()))]
    rank = len(trace.shapes[source])
    ends = [(0, 0)] * (rank - len(amounts) // 2)
    ends += list(zip(amounts[0::2], amounts[1::2], strict=True))[::-1]
    if any(ends[0]):
        raise UnsupportedError("padding of the batch axis is not supported", next_step="pad the axes of an image")
    mode = _MODE_OF.get(call.operator.partition("_")[0], call.get("mode", "constant"))
    grown = [(max(before, 0), max(after, 0)) for before, after in ends]
    kept = tuple(slice(max(-b, 0), n - max(-a, 0)) for (b, a), n in zip(ends, trace.shapes[source], strict=True))
    numbers = _numbered(trace, source)[kept]
    if not numbers.size:
        raise UnsupportedError("padding that cuts everything off is not supported", next_step="look at its amounts")
    if mode in _MODES:
        return [gather(call, source, call.outputs[0], np.pad(numbers, grown, mode=_MODES[mode])[0])]
    steps = []
    if numbers.shape != trace.shapes[source]:
        steps.append(gather(call, source, f"{call.outputs[0]}.cut", numbers[0], aside=True))
        source = steps[-1].output
    value = float(call.get("value") or 0)
    if not np.isfinite(value):
        raise UnsupportedError(
            f"padding with {value} is not supported", next_step="give a max-pool's padding to the pool itself"
        )
    before, after = zip(*grown[1:], strict=True)
    op = partial(Step, Pad(before, after), "pad")
    if value == 0:
        return [*steps, op(inputs=(source,), output=call.outputs[0], shape=shape)]
    # zeros around the values less the number, and the number added again
    steps += affine(call, source, f"{call.outputs[0]}.less", numbers.shape[1:], 1.0, -value, aside=True)
    steps.append(op(inputs=(steps[-1].output,), output=f"{call.outputs[0]}.padded", shape=shape))
    return [*steps, *affine(call, steps[-1].output, call.outputs[0], shape, 1.0, value, aside=True)]


ANY_AXIS: dict[Move, str] = {
    slices: "slice.Tensor narrow.default",
    permute: "permute.default permute_copy.default",
    transpose: "transpose.int t.default swapaxes.default swapdims.default",
    movedim: "movedim.int movedim.intlist moveaxis.int moveaxis.intlist",
    flip: "flip.default",
    roll: "roll.default",
    expand: "expand.default expand_copy.default broadcast_to.default",
    repeat: "repeat.default tile.default",
}
"""Those that take the first axis as any other: what is done to constants, which have no batch axis, too."""

_MOVES: dict[Move, str] = {
    **ANY_AXIS,
    select: "select.int",
    repeat_interleave: "repeat_interleave.self_int",
    pixel_shuffle: "pixel_shuffle.default",
    pixel_unshuffle: "pixel_unshuffle.default",
    channel_shuffle: "channel_shuffle.default native_channel_shuffle.default",
    upsample: (
        "upsample_nearest1d.default upsample_nearest1d.vec upsample_nearest2d.default upsample_nearest2d.vec "
        "_upsample_nearest_exact1d.default _upsample_nearest_exact1d.vec _upsample_nearest_exact2d.default "
        "_upsample_nearest_exact2d.vec"
    ),
}
_PADS = (
    "pad.default constant_pad_nd.default reflection_pad1d.default reflection_pad2d.default replication_pad1d.default "
    "replication_pad2d.default"
)
RULES: dict[str, Rule] = {
    **{target: _rule(move) for move, targets in _MOVES.items() for target in targets.split()},
    **dict.fromkeys("split.Tensor split_with_sizes.default chunk.default unbind.int".split(), _parts(split)),
    **dict.fromkeys(_PADS.split(), pad),
    "index.Tensor": indexed,
    "_unsafe_index.Tensor": indexed,
    "index_select.default": indexed,
}
