"""What a validation asks of whatever runs the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from uc_nn_pio.validation.layers import LayerCheck


class Target(Protocol):
    """This computer, a virtual board or a real one. Inputs and outputs go by the graph's names, in torch's order and
    of the model's own type: int8 or float32."""

    name: str

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs, (N, ...) each, of inputs (N, ...)."""

    def check(self, sample: Mapping[str, np.ndarray]) -> tuple[LayerCheck, ...]:
        """Every layer of one sample, inputs (1, ...), against the reference."""

    def about(self) -> Mapping[str, Any]:
        """Further fields of a :class:`~uc_nn_pio.validation.result.Validation`."""
