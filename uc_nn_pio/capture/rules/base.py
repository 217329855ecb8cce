"""What an operator rule gets and gives: one call of a trace in, the graph's operators out.

A rule is ``(call, trace) -> [Step]``. It raises :class:`UnsupportedError` without a place; the caller knows the layer
and adds it, and goes on to the next call, so that a user sees all that is wrong at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from uc_nn_pio.capture.trace import Call, Constant, Ref, Shape, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ir import DType
from uc_nn_pio.graph.ops import BatchNorm, Gather, Identity, Op, Padding, Pair, Reshape


@dataclass(frozen=True)
class Step:
    """One node to be: ``stem`` names it where it does not come from a module of torch.nn.

    ``shape`` has no batch axis. ``output`` is the trace's value that it makes; a value in between has a new name. A
    constant without a name gets the node's and its role. Steps ``aside`` of the one that a layer of torch.nn is named
    after have its name and their stem.
    """

    op: Op
    stem: str
    inputs: tuple[str, ...]
    output: str
    shape: Shape
    constants: Mapping[str, Constant] = field(default_factory=dict)
    dtype: DType = DType.FLOAT32
    aside: bool = False


Rule = Callable[[Call, Trace], list[Step]]


def activation_input(call: Call, trace: Trace, *roles: str) -> str:
    """Name of the value that the call works on.

    Raises:
        UnsupportedError: it is a constant, so that the layer would compute the same at every inference.
    """
    for role in roles or ("self", "input"):
        value = call.get(role)
        if isinstance(value, Ref):
            if value.name in trace.constants:
                raise UnsupportedError(
                    f"{call.operator} of the constant {trace.constants[value.name].name} is not supported",
                    next_step="compute it once, before the weights are saved",
                )
            return value.name
    raise UnsupportedError(f"{call.operator} without a tensor to work on is not supported")


def constant(call: Call, trace: Trace, role: str) -> Constant | None:
    """The constant that the call reads as ``role``, None where it reads none.

    Raises:
        UnsupportedError: the role is filled by a value that is computed at inference.
    """
    value = call.get(role)
    if value is None:
        return None
    if isinstance(value, Ref) and value.name in trace.constants:
        return trace.constants[value.name]
    raise UnsupportedError(
        f"{call.operator} with a {role} that is computed at inference is not supported",
        next_step=f"make the {role} a parameter (for weight_norm and spectral_norm: remove the parametrization first)",
    )


def shape_without_batch(call: Call, trace: Trace, value: str) -> Shape:
    """The shape of ``value`` without its batch axis.

    Raises:
        UnsupportedError: the value has no batch axis of size 1 in front.
    """
    shape = trace.shapes[value]
    if len(shape) < 2 or shape[0] != 1:
        raise UnsupportedError(
            f"{call.operator} gives shape {list(shape)}, which mixes or drops the batch axis",
            why="the first axis counts the images of a batch, and inference runs one at a time",
            next_step="keep the first axis: torch.flatten(x, 1), x.view(x.size(0), -1), or name the axes to squeeze",
        )
    return shape[1:]


def gather(call: Call, source: str, output: str, index: np.ndarray, *, aside: bool = False) -> Step:
    """The elements of ``source`` that ``index`` numbers, in its shape; both without the batch axis."""
    constants = {"index": Constant("", index.ravel().astype(np.int32))}
    stem = "gather" if aside else call.operator.strip("_")
    return Step(Gather(), stem, (source,), output, index.shape, constants, aside=aside)


def over_channels(
    call: Call, source: str, output: str, shape: Shape, axis: int, step: Callable[[str, str, Shape], Step]
) -> list[Step]:
    """``step``, which takes a vector or the channels of each pixel of a map, on a tensor of ``shape`` whose channels
    are ``axis``.

    ``step`` gets its input and output and the input's shape; it may change the number of channels.
    """
    if len(shape) == 1 or (len(shape) == 3 and axis == 0):
        return [step(source, output, shape)]
    others = [size for number, size in enumerate(shape) if number != axis]
    numbers = np.moveaxis(np.arange(math.prod(shape)).reshape(shape), axis, 0)
    front = gather(call, source, f"{output}.map", numbers.reshape(shape[axis], 1, -1), aside=True)
    made = step(front.output, f"{output}.made", front.shape)
    numbers = np.arange(math.prod(made.shape)).reshape(made.shape[0], *others)
    return [front, made, gather(call, made.output, output, np.moveaxis(numbers, 0, axis), aside=True)]


def affine(
    call: Call,
    source: str,
    output: str,
    shape: Shape,
    scale: np.ndarray | float,
    shift: np.ndarray | float,
    *,
    aside: bool = False,
) -> list[Step]:
    """``source * scale + shift``, which broadcast to ``shape``: a batch norm of the channels that they differ by, or of
    all elements where they differ by more than one axis."""
    factors = np.broadcast_to(np.asarray(scale, np.float64), (1, *shape))[0]
    terms = np.broadcast_to(np.asarray(shift, np.float64), (1, *shape))[0]
    if (factors == 1).all() and (terms == 0).all():
        return [Step(Identity(), call.operator.strip("_"), (source,), output, shape, aside=aside)]
    for axis in range(len(shape)):
        first = tuple(slice(None) if number == axis else slice(0, 1) for number in range(len(shape)))
        if (factors == factors[first]).all() and (terms == terms[first]).all():
            break
    else:
        flat, done = f"{output}.flat", f"{output}.done"
        inner = affine(call, flat, done, (math.prod(shape),), factors.ravel(), terms.ravel(), aside=aside)
        before = Step(Reshape(), "reshape", (source,), flat, (math.prod(shape),), aside=True)
        return [before, *inner, Step(Reshape(), "reshape", (done,), output, shape, aside=True)]
    values = {"weight": factors[first].ravel(), "bias": terms[first].ravel()}
    values |= {"mean": np.zeros(shape[axis]), "var": np.ones(shape[axis])}
    constants = {role: Constant("", array.astype(np.float32)) for role, array in values.items()}

    def step(read: str, made: str, of: Shape) -> Step:
        return Step(BatchNorm(eps=0.0), call.operator.strip("_"), (read,), made, of, constants, aside=aside)

    return over_channels(call, source, output, shape, axis, step)


def on_row(call: Call, source: str, output: str, shape: Shape, step: Callable[[str, str], Step]) -> list[Step]:
    """``step``, which makes a map of one row of a map of one row, on a signal of ``shape`` (C, L)."""
    front = Step(Reshape(), "reshape", (source,), f"{output}.map", (shape[0], 1, shape[1]), aside=True)
    made = step(front.output, f"{output}.made")
    back = Step(Reshape(), "reshape", (made.output,), output, (made.shape[0], made.shape[2]), aside=True)
    return [front, made, back]


def single(value: object, default: object = None) -> Pair:
    """As :func:`pair`, of a signal's parameter: 1 down and that number across."""
    across = pair(value, default)[1]
    return (1, across)


def borders(value: object, numbers: Callable[..., Pair]) -> Pair:
    """Padding down and across; ``numbers`` is :func:`pair` for a map or :func:`single` for a signal, whose one row has
    none."""
    down, across = numbers(value, 0)
    return (0 if numbers is single else down, across)


def pair(value: object, default: object = None) -> Pair:
    """A (height, width) pair from ``n``, ``[n]`` or ``[h, w]``; ``default`` where torch leaves the list empty."""
    if value is None or value == ():
        value = default
    if isinstance(value, int):
        return (value, value)
    if isinstance(value, tuple) and len(value) == 1:
        return (value[0], value[0])
    if isinstance(value, tuple) and len(value) == 2:
        return (value[0], value[1])
    raise UnsupportedError(f"{value!r} is no pair of height and width")


def symmetric(padding: Pair) -> Padding:
    """The same padding at both ends of each axis."""
    return Padding(top=padding[0], bottom=padding[0], left=padding[1], right=padding[1])


def require_map(call: Call, trace: Trace, value: str) -> None:
    """Refuse a value that is no batch of maps (N, C, H, W)."""
    if len(trace.shapes[value]) != 4:
        raise UnsupportedError(
            f"{call.operator} on a tensor of shape {list(trace.shapes[value])} is not supported",
            why="it takes maps with a batch axis: (N, C, H, W)",
            next_step="give the network input maps of shape [C, H, W], and keep the batch axis",
        )
