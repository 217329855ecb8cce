"""What a network computes of constants alone is what torch computes, to its types."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from uc_nn_pio import reference
from uc_nn_pio.capture import capture_module


class Shifted(nn.Module):
    """Its input plus a constant that it works out."""

    def __init__(self, work: Callable[[], torch.Tensor]) -> None:
        super().__init__()
        self.work = work

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.work()


WORKED: dict[str, Callable[[], torch.Tensor]] = {
    "remainder": lambda: torch.arange(-4, 4) % 3,
    "fmod": lambda: torch.fmod(torch.arange(-4, 4), 3),
    "quotient": lambda: torch.arange(-4, 4) / 3,
    "rounded down": lambda: torch.div(torch.arange(-4, 4), 3, rounding_mode="floor"),
    "rounded to 0": lambda: torch.div(torch.arange(-4, 4), 3, rounding_mode="trunc"),
    "steps": lambda: torch.arange(0, 4, 0.5) * 2 - 1,
    "powers": lambda: 0.5 ** torch.arange(8) + torch.sqrt(torch.full((8,), 2.0)),
    "cut and joined": lambda: torch.cat([torch.zeros(3), torch.ones(9)[2:7]]).flip(0),
    "expanded and turned": lambda: torch.arange(4).float().expand(2, -1).transpose(0, 1).reshape(8),
    "chosen": lambda: torch.arange(16).view(2, 8)[1].clamp(9, 12),
}


@pytest.mark.parametrize("name", WORKED)
def test_constants(name: str) -> None:
    module = Shifted(WORKED[name]).eval()
    x = torch.randn(1, 8, generator=torch.Generator().manual_seed(1))
    graph = capture_module(module, (8,), "net")
    found = reference.run(graph, {"input": x[0].numpy()})[graph.outputs[0]]
    np.testing.assert_allclose(found, module(x)[0].numpy(), rtol=1e-6, atol=1e-6)
