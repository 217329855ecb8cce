"""Whole numbers in a network: the place of the largest value, and rows of a table by their number."""

from __future__ import annotations

from uc_nn_pio.capture.rules.base import Rule, Step, activation_input, over_channels, shape_without_batch
from uc_nn_pio.capture.trace import Call, Ref, Shape, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import ArgMax, Embedding, Reshape


def argmax(call: Call, trace: Trace) -> list[Step]:
    """The place of the largest value along any axis but the batch's; the first of equal ones."""
    source, output = activation_input(call, trace), call.outputs[0]
    shape = trace.shapes[source][1:]
    dim = call.get("dim")
    axis = int(dim) % (len(shape) + 1) - 1 if dim is not None else -1  # type: ignore[call-overload]
    if axis < 0:
        raise UnsupportedError(
            "argmax over the batch axis, or over everything, is not supported",
            why="the first axis counts the samples of a batch",
            next_step="name an axis: x.argmax(dim=1)",
        )

    def step(read: str, made: str, of: Shape) -> Step:
        return Step(ArgMax(), call.operator, (read,), made, (1, *of[1:]))

    made = over_channels(call, source, f"{output}.place", shape, axis, step)
    result = trace.shapes[output][1:] or (1,)
    return [*made, Step(Reshape(), "reshape", (f"{output}.place",), output, result, aside=True)]


def embedding(call: Call, trace: Trace) -> list[Step]:
    """Rows of a table, at places that the network gets (``inputs: {x: {shape: [8], tokens: 100}}``) or finds."""
    indices, weight = call.get("indices"), call.get("weight")
    if not isinstance(weight, Ref) or weight.name not in trace.constants:
        raise UnsupportedError("embedding with a table that is computed at inference is not supported")
    if not isinstance(indices, Ref) or indices.name in trace.constants:
        raise UnsupportedError("embedding of constants is not supported", next_step="compute it once, before")
    shape = shape_without_batch(call, trace, call.outputs[0])
    table = {"weight": trace.constants[weight.name]}
    return [Step(Embedding(), "embedding", (indices.name,), call.outputs[0], shape, table)]


RULES: dict[str, Rule] = {"argmax.default": argmax, "embedding.default": embedding}
