"""Recurrent layers in float32, a row of the input after the other.

Source of the formulas: the documentation of ``torch.nn.LSTM``, ``GRU`` and ``RNN``.
"""

from __future__ import annotations

import numpy as np

from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.graph.ops import Recurrent


def recurrent(graph: Graph, node: Node, x: np.ndarray) -> np.ndarray:
    """(batch, T, n) to (batch, T, units), each sample from a state of 0 on, whether it is carried or not."""
    op: Recurrent = node.op
    roles = ("weight_x", "weight_h", "bias_x", "bias_h")
    weight_x, weight_h, bias_x, bias_h = (graph.constant(node, role) for role in roles)
    units = weight_h.shape[1]
    hidden, cell = (np.zeros((len(x), units), np.float32) for _ in range(2))
    made = np.empty((*x.shape[:2], units), np.float32)
    for row in rows_in_order(op, x.shape[1]):
        from_x = x[:, row] @ weight_x.T + bias_x
        from_h = hidden @ weight_h.T + bias_h
        hidden, cell = _CELLS[op.cell](from_x, from_h, hidden, cell)
        made[:, row] = hidden
    return made


def rows_in_order(op: Recurrent, count: int) -> range:
    return range(count - 1, -1, -1) if op.reverse else range(count)


State = tuple[np.ndarray, np.ndarray]


def _sigmoid(v: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-v))


def _lstm(from_x: np.ndarray, from_h: np.ndarray, hidden: np.ndarray, cell: np.ndarray) -> State:
    i, f, g, o = np.split(from_x + from_h, 4, axis=1)
    cell = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(cell), cell


def _gru(from_x: np.ndarray, from_h: np.ndarray, hidden: np.ndarray, cell: np.ndarray) -> State:
    (r_x, z_x, n_x), (r_h, z_h, n_h) = (np.split(part, 3, axis=1) for part in (from_x, from_h))
    new = np.tanh(n_x + _sigmoid(r_x + r_h) * n_h)
    z = _sigmoid(z_x + z_h)
    return (1 - z) * new + z * hidden, cell


_CELLS = {
    "lstm": _lstm,
    "gru": _gru,
    "rnn_tanh": lambda from_x, from_h, hidden, cell: (np.tanh(from_x + from_h), cell),
    "rnn_relu": lambda from_x, from_h, hidden, cell: (np.maximum(from_x + from_h, 0), cell),
}
