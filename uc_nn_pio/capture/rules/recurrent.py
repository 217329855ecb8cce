"""LSTM, GRU and plain recurrent layers as torch calls them: several layers, both directions, one call.

The states behind the last row come out of the call as (layers * directions, batch, units). :func:`take_states` gives
each layer's a value of its own, with the batch axis in front.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from uc_nn_pio.capture.rules.base import Rule, Step, gather
from uc_nn_pio.capture.trace import Argument, Call, Constant, Ref, Trace, renamed
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import GATES, Concat, Recurrent

OPERATORS = {"lstm.input": "lstm", "gru.input": "gru", "rnn_tanh.input": "rnn_tanh", "rnn_relu.input": "rnn_relu"}


def take_states(trace: Trace) -> Trace:
    """A trace in which ``h[-1]`` of ``_, (h, c) = lstm(x)`` is a value that the recurrent call makes."""
    taken: dict[str, str] = {}
    shapes, calls = dict(trace.shapes), []
    owners = {call.outputs[1]: call for call in trace.calls if call.target in OPERATORS}
    made: dict[str, list[str]] = {name: [] for name in owners}
    for call in trace.calls:
        source = call.get("self")
        layer = _layer_taken(call, trace.shapes[source.name][0]) if _names(source, owners) else None
        if layer is None:
            calls.append(call)
            continue
        name = taken[call.outputs[0]] = f"{source.name}.{layer}"
        shapes[name] = (1, trace.shapes[source.name][2])
        made[source.name] += [name] if name not in made[source.name] else []
    for index, call in enumerate(calls):
        arguments = {key: renamed(value, taken) for key, value in call.arguments.items()}
        more = made[call.outputs[1]] if call.target in OPERATORS else []
        calls[index] = replace(call, arguments=arguments, outputs=(*call.outputs, *more))
    outputs = tuple(taken.get(name, name) for name in trace.outputs)
    return replace(trace, calls=tuple(calls), shapes=shapes, outputs=outputs)


def _names(source: Argument, values: object) -> bool:
    return isinstance(source, Ref) and source.name in values  # type: ignore[operator]


def _layer_taken(call: Call, count: int) -> int | None:
    """The layer whose state the call takes out of all of them, if that is what it does."""
    if call.operator.startswith("select") and call.get("dim") == 0:
        return int(call.get("index")) % count  # type: ignore[arg-type]
    return 0 if call.operator.startswith("squeeze") and count == 1 and call.get("dim") in (0, (0,)) else None


def recurrent(call: Call, trace: Trace) -> list[Step]:
    """Each layer and direction is a node; a bidirectional layer's outputs stand side by side."""
    cell = OPERATORS[call.target]
    _check(call, trace, cell)
    source, output = call.get("input").name, call.outputs[0]  # type: ignore[union-attr]
    _, rows, width = trace.shapes[source]
    directions = 2 if call.get("bidirectional") else 1
    layers = int(call.get("num_layers"))  # type: ignore[arg-type]
    weights = _weights(call, trace, layers * directions)
    steps: list[Step] = []
    ends: list[tuple[str, int, int]] = []  # value, units, the row whose state is the last
    for layer in range(layers):
        last = layer == layers - 1
        given, made = source, output if last else f"{output}.{layer}"
        parts = [made] if directions == 1 else [f"{made}.forwards", f"{made}.backwards"]
        for direction, part in enumerate(parts):
            constants = next(weights)
            units = constants["weight_h"].array.shape[1]
            if constants["weight_x"].array.shape != (GATES[cell] * units, width):
                raise UnsupportedError(
                    f"{cell} with projected states is not supported", next_step="leave out proj_size"
                )
            op = Recurrent(cell, reverse=direction == 1)
            aside = not last or directions == 2
            steps.append(Step(op, cell, (given,), part, (rows, units), constants, aside=aside))
            ends.append((part, units, 0 if direction else rows - 1))
        width = units * directions
        if directions == 2:
            steps.append(Step(Concat(1), "concat", tuple(parts), made, (rows, width), aside=not last))
        source = made
    for name in call.outputs[1:]:
        if name.startswith(f"{call.outputs[1]}."):
            part, units, row = ends[int(name.rpartition(".")[2])]
            steps.append(gather(call, part, name, np.arange(units) + row * units, aside=True))
    return steps


def _weights(call: Call, trace: Trace, count: int) -> Iterator[dict[str, Constant]]:
    """The constants of each layer and direction."""
    params = call.get("params")
    constants = [trace.constants[item.name] for item in params]  # type: ignore[union-attr]
    each = 4 if call.get("has_biases") else 2
    if len(constants) != each * count:
        raise UnsupportedError(
            f"{call.operator} with projected states is not supported", next_step="leave out proj_size"
        )
    for at in range(0, len(constants), each):
        weight_x, weight_h, *biases = constants[at : at + each]
        none = Constant("", np.zeros(len(weight_x.array), np.float32))
        bias_x, bias_h = biases or (none, none)
        yield {"weight_x": weight_x, "weight_h": weight_h, "bias_x": bias_x, "bias_h": bias_h}


def _check(call: Call, trace: Trace, cell: str) -> None:
    given = call.get("input")
    shape = trace.shapes.get(given.name, ()) if isinstance(given, Ref) else ()
    if len(shape) != 3 or shape[0] != 1 or not (call.get("batch_first") or shape[1] == 1):
        raise UnsupportedError(
            f"{cell} of a tensor of shape {list(shape)} is not supported",
            why="the first axis counts the samples of a batch, the second the rows that follow each other",
            next_step="batch_first=True, and input.shape: [rows, features]",
        )
    hx = call.get("hx")
    for state in hx if isinstance(hx, tuple) else (hx,):
        if not isinstance(state, Ref) or state.name not in trace.constants or trace.constants[state.name].array.any():
            raise UnsupportedError(
                f"{cell} that begins with a state of its own is not supported",
                why="a run begins with 0, or where the run before has ended",
                next_step="leave the state out: self.layer(x); `state: carried` in the spec keeps it from run to run",
            )
    for name in call.outputs[1 : 3 if cell == "lstm" else 2]:
        if trace.readers(name) or name in trace.outputs:
            what = "the last state" if name == call.outputs[1] else "the cell"
            raise UnsupportedError(
                f"{what} of all layers of {cell} at once is not supported",
                next_step="take the output's last row, y[:, -1], or one layer's last state: _, (h, c) = self.lstm(x); "
                "h[-1]",
            )


RULES: dict[str, Rule] = dict.fromkeys(OPERATORS, recurrent)
