"""Runs the user's network in torch: what the generated C is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

_BATCH = 250


def run_module(module: torch.nn.Module, *inputs: np.ndarray) -> np.ndarray:
    """The (first) output of ``module`` for its inputs (N, ...) float32, in torch's order, computed in batches.

    An exported program has its batch axis fixed to 1, so a module that refuses more is run sample by sample.
    """
    import torch

    step = _BATCH
    parts: list[np.ndarray] = []
    with torch.no_grad():
        while sum(map(len, parts)) < len(inputs[0]):
            first = sum(map(len, parts))
            try:
                given = module(*(torch.from_numpy(values[first : first + step]) for values in inputs))
                given = list(given.values()) if isinstance(given, dict) else given
                parts.append((given if isinstance(given, torch.Tensor) else given[0]).numpy())
            except (RuntimeError, AssertionError):
                if step == 1:
                    raise
                step = 1
    return np.concatenate(parts)
