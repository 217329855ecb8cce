"""From ATen calls to the graph's operators: one file a family, one table.

A new operator is a rule in one of these files (or a new file named in ``RULES``), its dataclass in ``graph/ops.py`` and
its kernel.
"""

from __future__ import annotations

from uc_nn_pio.capture.rules import (
    activation,
    branches,
    convolution,
    elementwise,
    indices,
    linear,
    normalization,
    pooling,
    quantization,
    recurrent,
    reduction,
    shape,
    softmax,
    transposed,
    views,
)
from uc_nn_pio.capture.rules.base import Rule, Step

RULES: dict[str, Rule] = {
    **convolution.RULES,
    **transposed.RULES,
    **pooling.RULES,
    **linear.RULES,
    **normalization.RULES,
    **activation.RULES,
    **softmax.RULES,
    **shape.RULES,
    **views.RULES,
    **reduction.RULES,
    **elementwise.RULES,
    **branches.RULES,
    **recurrent.RULES,
    **indices.RULES,
    **quantization.RULES,
}

__all__ = ["RULES", "Rule", "Step"]
