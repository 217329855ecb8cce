"""Tensors one behind the other."""

from __future__ import annotations

from uc_nn_pio.capture.rules.base import Rule, Step, shape_without_batch
from uc_nn_pio.capture.trace import Argument, Call, Ref, Shape, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import Concat, Reshape


def cat(call: Call, trace: Trace) -> list[Step]:
    """Tensors one behind the other along any axis but the batch's."""
    parts = call.get("tensors")
    parts = parts if isinstance(parts, tuple) else ()
    if not all(_is_computed(part, trace) for part in parts):
        raise UnsupportedError("cat with a constant is not supported", next_step="compute it from the input")
    rank = len(trace.shapes[call.outputs[0]])
    axis = int(call.get("dim", 0))
    axis += rank if axis < 0 else 0
    if axis == 0:
        raise UnsupportedError(
            "cat along the batch axis is not supported",
            why="the first axis counts the images of a batch, and inference runs one at a time",
            next_step="use dim=1 for channels",
        )
    names = tuple(part.name for part in parts if isinstance(part, Ref))
    # torch leaves out empty tensors of one axis, which older code begins a list with
    names = tuple(name for name in names if len(trace.shapes[name]) == rank)
    shape = shape_without_batch(call, trace, call.outputs[0])
    if len(names) == 1:
        raise UnsupportedError("cat of one tensor is not supported", next_step="leave it out")
    return [Step(Concat(axis - 1), "cat", names, call.outputs[0], shape)]


def stack(call: Call, trace: Trace) -> list[Step]:
    """Tensors one behind the other along an axis of their own, which is not the batch's."""
    parts = call.get("tensors")
    parts = parts if isinstance(parts, tuple) else ()
    if len(parts) == 1:
        raise UnsupportedError("stack of one tensor is not supported", next_step="x.unsqueeze gives it the new axis")
    if not all(_is_computed(part, trace) for part in parts):
        raise UnsupportedError("stack with a constant is not supported", next_step="compute it from the input")
    shape = shape_without_batch(call, trace, call.outputs[0])
    axis = int(call.get("dim", 0)) % (len(shape) + 1)
    steps = [
        Step(Reshape(), "unsqueeze", (part.name,), f"{call.outputs[0]}.part{number}", _one(shape, axis - 1), aside=True)
        for number, part in enumerate(parts)
    ]
    joined = tuple(step.output for step in steps)
    return [*steps, Step(Concat(axis - 1), "stack", joined, call.outputs[0], shape)]


def _one(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], 1, *shape[axis + 1 :])


def _is_computed(value: Argument, trace: Trace) -> bool:
    return isinstance(value, Ref) and value.name not in trace.constants


RULES: dict[str, Rule] = {
    **dict.fromkeys(("cat.default", "concat.default", "concatenate.default"), cat),
    "stack.default": stack,
}
