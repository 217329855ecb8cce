"""Random networks of the kinds that run on small chips; nothing is fitted to any of them."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import nn

from uc_nn_pio.capture import capture_module
from uc_nn_pio.graph.cost import macs
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import Method, calibrate, quantize

MOST_MACS = {"int8": 400_000, "float32": 80_000}


class _Residual(nn.Module):
    """``inner`` beside a way around it; their sum, or both behind each other."""

    def __init__(self, inner: nn.Module, join: str) -> None:
        super().__init__()
        self.inner, self.join = inner, join

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.inner(x)
        return x + made if self.join == "add" else torch.cat((x, made), dim=1)


def random_graph(seed: int, precision: str) -> Graph:
    """A lowered, and for int8 quantized, network. Same seed, same network."""
    rng = random.Random(f"{precision} {seed}")
    torch.manual_seed(seed)
    while True:
        module, shape = _network(rng)
        module.eval()
        try:
            graph = lower(capture_module(module, shape, "net"))
        except (ValueError, RuntimeError):
            continue  # a window larger than its map
        if sum(macs(graph, node) for node in graph.nodes) <= MOST_MACS[precision]:
            break
    if precision == "float32":
        return graph
    values = np.random.default_rng(seed).normal(size=(4, *shape)).astype(np.float32)
    return quantize(graph, calibrate(graph, [values], Method.MINMAX))


def _network(rng: random.Random) -> tuple[nn.Sequential, tuple[int, int, int]]:
    shape = (rng.choice((1, 1, 3)), rng.randint(12, 32), rng.randint(12, 32))
    layers: list[nn.Module] = []
    channels = shape[0]
    for _ in range(rng.randint(1, 4)):
        made, channels = _block(rng, channels)
        layers += made
    if rng.random() < 0.3:
        layers.append(nn.AdaptiveAvgPool2d(1))
    layers.append(nn.Flatten())
    for _ in range(rng.randint(0, 2)):
        layers += [nn.LazyLinear(rng.randint(12, 64)), nn.ReLU()]
    layers.append(nn.LazyLinear(rng.randint(2, 12)))
    module = nn.Sequential(*layers)
    try:
        module(torch.zeros(1, *shape))  # gives lazy layers their shapes
    except (ValueError, RuntimeError):
        return _network(rng)  # the maps have become too small
    return module, shape


def _block(rng: random.Random, channels: int) -> tuple[list[nn.Module], int]:
    kind = rng.choice(("conv", "conv", "separable", "residual"))
    activation = rng.choice((nn.ReLU, nn.ReLU, nn.ReLU6, nn.LeakyReLU))
    if kind == "residual" and channels > 1:
        inner = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), activation())
        join = rng.choice(("add", "concat"))
        return [_Residual(inner, join)], channels * (1 if join == "add" else 2)
    out = rng.choice((4, 6, 8, 10, 12, 16, 24))
    if kind == "separable" and channels > 1:
        stride = rng.choice((1, 1, 2))
        depthwise = nn.Conv2d(channels, channels, 3, padding=1, stride=stride, groups=channels)
        return [depthwise, activation(), nn.Conv2d(channels, out, 1), activation()], out
    kernel = rng.choice((3, 3, 5))
    made = [nn.Conv2d(channels, out, kernel, padding=rng.choice((0, kernel // 2)), stride=rng.choice((1, 1, 1, 2)))]
    made.append(activation())
    pool = rng.choice((None, nn.MaxPool2d(2), nn.MaxPool2d(2), nn.MaxPool2d(3, 2), nn.AvgPool2d(2)))
    return [*made, *([pool] if pool else [])], out
