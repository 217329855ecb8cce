"""How much of each tensor is 0: soft-float routines are done sooner with a zero."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from uc_nn_pio.graph.ir import DType, Graph
from uc_nn_pio.reference import run_batch

SAMPLES = 2


def zero_shares(graph: Graph) -> Mapping[str, float]:
    """By the tensors' names, 0..1, for noise as input (normal, the same each time). Integers are as fast whatever they
    are: nothing for int8."""
    entries = [graph.tensor(name) for name in graph.inputs]
    if any(entry.dtype is not DType.FLOAT32 for entry in entries):
        return {}
    rng = np.random.default_rng(0)
    inputs = {entry.name: rng.normal(size=(SAMPLES, *entry.shape)).astype(np.float32) for entry in entries}
    values = run_batch(graph, inputs)
    return {name: float(np.mean(value == 0)) for name, value in values.items()}
