"""From ATen calls to the graph's operators: one file a family, one table.

A new operator is a rule in one of these files (or a new file named in ``RULES``), its dataclass in ``graph/ops.py`` and
its kernel.
"""

from __future__ import annotations

from uc_nn_pio.capture.rules import (
    activation,
    branches,
    convolution,
    linear,
    normalization,
    pooling,
    quantization,
    shape,
    softmax,
)
from uc_nn_pio.capture.rules.base import Rule, Step

RULES: dict[str, Rule] = {
    **convolution.RULES,
    **pooling.RULES,
    **linear.RULES,
    **normalization.RULES,
    **activation.RULES,
    **softmax.RULES,
    **shape.RULES,
    **branches.RULES,
    **quantization.RULES,
}

__all__ = ["RULES", "Rule", "Step"]
