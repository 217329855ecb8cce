"""Where branches of a network meet: the sum of two tensors, and tensors one behind the other."""

from __future__ import annotations

from uc_nn_pio.capture.rules.base import Rule, Step, shape_without_batch
from uc_nn_pio.capture.trace import Argument, Call, Ref, Trace
from uc_nn_pio.capture.unsupported import NEAREST
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import Add, Concat


def add(call: Call, trace: Trace) -> list[Step]:
    """The sum of two tensors of one shape, both computed at inference."""
    terms = [call.get("self"), call.get("other")]
    if not all(_is_computed(term, trace) for term in terms):
        raise UnsupportedError("add of a constant is not supported", next_step=NEAREST["sub"])
    if call.get("alpha", 1) != 1:
        raise UnsupportedError(
            f"add with alpha {call.get('alpha')} is not supported",
            next_step="fold the factor into the weights of the layer in front",
        )
    names = tuple(term.name for term in terms if isinstance(term, Ref))
    shape = shape_without_batch(call, trace, call.outputs[0])
    if any(trace.shapes[name][1:] != shape for name in names):
        shapes = " and ".join(str(list(trace.shapes[name])) for name in names)
        raise UnsupportedError(
            f"add of shapes {shapes} is not supported",
            why="the smaller one would have to be repeated",
            next_step="give both branches the same shape: the stride or a 1x1 convolution of the shorter one does it",
        )
    return [Step(Add(), "add", names, call.outputs[0], shape)]


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


def _is_computed(value: Argument, trace: Trace) -> bool:
    return isinstance(value, Ref) and value.name not in trace.constants


RULES: dict[str, Rule] = {"add.Tensor": add, "cat.default": cat, "concat.default": cat, "concatenate.default": cat}
