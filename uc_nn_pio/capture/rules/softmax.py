"""softmax and log_softmax over the features of a vector, the channels of a map, or any axis but the batch's."""

from __future__ import annotations

from uc_nn_pio.capture.rules.base import Rule, Step, activation_input, over_channels, shape_without_batch
from uc_nn_pio.capture.trace import Call, Shape, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import LogSoftmax, Softmax


def _softmax(op: type[Softmax] | type[LogSoftmax]) -> Rule:
    def rule(call: Call, trace: Trace) -> list[Step]:
        source = activation_input(call, trace)
        shape = shape_without_batch(call, trace, call.outputs[0])
        dim = int(call.get("dim"))
        axis = dim % (len(shape) + 1) - 1
        if axis == -1:
            raise UnsupportedError(
                f"{op.kind} over the batch axis (dim={dim}) is not supported",
                why="it would mix the images of a batch; one image would always give 1",
                next_step=f"use {op.kind} with dim=1",
            )

        def step(read: str, made: str, of: Shape) -> Step:
            return Step(op(axis=0), op.kind, (read,), made, of)

        return over_channels(call, source, call.outputs[0], shape, axis, step)

    rule.__doc__ = f"{op.kind}; torch's ``dim`` counts the batch axis, the graph's ``axis`` does not."
    return rule


RULES: dict[str, Rule] = {
    "softmax.int": _softmax(Softmax),
    "_softmax.default": _softmax(Softmax),
    "log_softmax.int": _softmax(LogSoftmax),
    "_log_softmax.default": _softmax(LogSoftmax),
}
