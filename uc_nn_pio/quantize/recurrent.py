"""Integers of recurrent layers (``docs/numerics.md``): a scale for a gate's weights of the input, one of the state."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.errors import ModelError
from uc_nn_pio.graph.ir import Graph, Node
from uc_nn_pio.graph.ops import Recurrent
from uc_nn_pio.graph.quant import QuantParams, round_half_away
from uc_nn_pio.quantize.multiplier import multipliers
from uc_nn_pio.quantize.params import quantized_weights

SUM_BITS, GATE_BITS = 11, 15
"""Bits behind the point: of what goes into a gate, and of what comes out."""

LARGEST_SUM = 2**30
"""Of what goes into a gate, with these bits: two of them fit into int32."""


def recurrent(graph: Graph, node: Node, before: QuantParams, after: QuantParams) -> dict[str, np.ndarray]:
    """The constants of an int8 node.

    Raises:
        ModelError: a sum could leave int32.
    """
    op: Recurrent = node.op
    arrays: dict[str, np.ndarray] = {}
    for side, params in (("x", before), ("h", after)):
        weight, bias = graph.constant(node, f"weight_{side}"), graph.constant(node, f"bias_{side}")
        parts = [
            quantized_weights(w, b, params.scale, per_channel=False)
            for w, b in zip(np.split(weight, op.gates), np.split(bias, op.gates), strict=True)
        ]
        integers, steps = np.concatenate([p.weight for p in parts]), np.concatenate([p.bias for p in parts])
        scale = np.concatenate([p.scale for p in parts]).astype(np.float64) * np.float64(params.scale)
        q, e = multipliers(scale * 2**SUM_BITS, str(node.source))
        bounds = np.abs(steps.astype(np.int64)) + 255 * np.abs(integers.astype(np.int64)).sum(axis=1)
        reached = bounds * np.repeat(scale, len(steps) // op.gates) * 2**SUM_BITS
        if bounds.max() >= 2**31 or reached.max() >= LARGEST_SUM:
            raise ModelError(
                "the sums of a recurrent layer can leave 32 bits",
                where=str(node.source),
                why=f"they reach {reached.max() / 2**SUM_BITS:.3g}, and {LARGEST_SUM / 2**SUM_BITS:,.0f} is the limit",
                next_step="smaller weights or biases, or precision: float32",
            )
        arrays |= {f"weight_{side}": integers, f"bias_{side}": steps}
        arrays |= {f"multiplier_{side}": q, f"exponent_{side}": e}
    bits = SUM_BITS if op.cell == "rnn_relu" else GATE_BITS
    q, e = multipliers(np.array([2.0**-bits / np.float64(after.scale)]), str(node.source))
    arrays |= {"multiplier": q, "exponent": e}
    if op.cell != "rnn_relu":
        arrays["sigmoid"] = sigmoid_table()
    return arrays


def sigmoid_table() -> np.ndarray:
    """int32 (257,): sigmoid(k / 16) with 15 bits behind the point, at most 32767."""
    values = round_half_away(2**GATE_BITS / (1 + np.exp(-np.arange(257) / 16)))
    return np.minimum(values, 2**GATE_BITS - 1).astype(np.int32)
