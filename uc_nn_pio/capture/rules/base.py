"""What an operator rule gets and gives: one call of a trace in, the graph's operators out.

A rule is ``(call, trace) -> [Step]``. It raises :class:`UnsupportedError` without a place; the caller knows the layer
and adds it, and goes on to the next call, so that a user sees all that is wrong at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from uc_nn_pio.capture.trace import Call, Constant, Ref, Shape, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ir import DType
from uc_nn_pio.graph.ops import Op, Padding, Pair


@dataclass(frozen=True)
class Step:
    """One node to be: ``stem`` names it where it does not come from a module of torch.nn.

    ``shape`` has no batch axis. ``output`` is the trace's value that it makes; a value in between has a new name. A
    constant without a name gets the node's and its role.
    """

    op: Op
    stem: str
    inputs: tuple[str, ...]
    output: str
    shape: Shape
    constants: Mapping[str, Constant] = field(default_factory=dict)
    dtype: DType = DType.FLOAT32


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
