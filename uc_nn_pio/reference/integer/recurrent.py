"""Recurrent layers in integers, as ``docs/numerics.md`` has them.

Sums that go into a gate have 11 bits behind the point, saturated to 16; what comes out of one has 15. An LSTM's cell
has 11, a GRU's state 15: the output is a rounded copy of it, which the next row multiplies.
"""

from __future__ import annotations

import numpy as np

from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.graph.ops import Recurrent
from uc_nn_pio.reference.integer.requantize import requantize, rescale
from uc_nn_pio.reference.recurrent import rows_in_order

SUM_BITS, GATE_BITS = 11, 15
INT16 = np.iinfo(np.int16)


def recurrent(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """int8 (batch, T, n) to int8 (batch, T, units), each sample from a state of 0 on."""
    op: Recurrent = node.op
    before, after = (graph.tensor(name).quant for name in (node.inputs[0], node.output))
    take = {role: graph.constant(node, role) for role in node.constants}
    weight_x, weight_h = (take[role].astype(np.int64) for role in ("weight_x", "weight_h"))
    units = weight_h.shape[1]
    table = take.get("sigmoid", np.zeros(0)).astype(np.int64)  # a ReLU needs none
    hidden = np.full((len(x), units), after.zero_point, np.int64)
    state = np.zeros((len(x), units), np.int64)
    by_gate = {
        side: [np.repeat(take[f"{role}_{side}"], units) for role in ("multiplier", "exponent")] for side in ("x", "h")
    }
    made = np.empty((*x.shape[:2], units), np.int8)
    for row in rows_in_order(op, x.shape[1]):
        acc_x = (x[:, row].astype(np.int64) - before.zero_point) @ weight_x.T + take["bias_x"]
        acc_h = (hidden - after.zero_point) @ weight_h.T + take["bias_h"]
        from_x = rescale(acc_x, *by_gate["x"])
        from_h = rescale(acc_h, *by_gate["h"])
        value, state = _CELLS[op.cell](from_x, from_h, state, table)
        made[:, row] = requantize(value, take["multiplier"][0], take["exponent"][0], after.zero_point)
        hidden = made[:, row].astype(np.int64)
    return made


def saturated(v: np.ndarray) -> np.ndarray:
    return np.clip(v, INT16.min, INT16.max)


def rounded(v: np.ndarray, bits: int) -> np.ndarray:
    """``v / 2^bits`` to the nearest, halves up."""
    return (v + (1 << (bits - 1))) >> bits


def sigmoid(v: np.ndarray, table: np.ndarray) -> np.ndarray:
    """15 bits behind the point, of a sum with 11: a line between two of 257 values of the table for |v|."""
    size = np.minimum(np.abs(saturated(v)), INT16.max)
    at, part = size >> 7, size & 127
    value = table[at] + (((table[at + 1] - table[at]) * part + 64) >> 7)
    return np.where(v < 0, (1 << GATE_BITS) - value, value)


def tanh(v: np.ndarray, table: np.ndarray) -> np.ndarray:
    """15 bits behind the point: 2 sigmoid(2 v) - 1."""
    return 2 * sigmoid(2 * saturated(v), table) - (1 << GATE_BITS)


Made = tuple[np.ndarray, np.ndarray]


def _lstm(from_x: np.ndarray, from_h: np.ndarray, cell: np.ndarray, table: np.ndarray) -> Made:
    i, f, g, o = np.split(from_x + from_h, 4, axis=1)
    kept = rounded(sigmoid(f, table) * cell, GATE_BITS)
    added = rounded(sigmoid(i, table) * tanh(g, table), 2 * GATE_BITS - SUM_BITS)
    cell = saturated(kept + added)
    return rounded(sigmoid(o, table) * tanh(cell, table), GATE_BITS), cell


def _gru(from_x: np.ndarray, from_h: np.ndarray, state: np.ndarray, table: np.ndarray) -> Made:
    (r_x, z_x, n_x), (r_h, z_h, n_h) = (np.split(part, 3, axis=1) for part in (from_x, from_h))
    new = tanh(n_x + rounded(sigmoid(r_x + r_h, table) * saturated(n_h), GATE_BITS), table)
    z = sigmoid(z_x + z_h, table)
    state = rounded(z * state + ((1 << GATE_BITS) - z) * new, GATE_BITS)
    return state, state


def _rnn_tanh(from_x: np.ndarray, from_h: np.ndarray, state: np.ndarray, table: np.ndarray) -> Made:
    return tanh(from_x + from_h, table), state


def _rnn_relu(from_x: np.ndarray, from_h: np.ndarray, state: np.ndarray, table: np.ndarray) -> Made:
    return np.maximum(from_x + from_h, 0), state


_CELLS = {"lstm": _lstm, "gru": _gru, "rnn_tanh": _rnn_tanh, "rnn_relu": _rnn_relu}
