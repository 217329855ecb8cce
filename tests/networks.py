"""Random small torch networks, and the way from a torch module to a design, for tests of several packages."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from torch import nn

from uc_nn_pio.capture import capture_module
from uc_nn_pio.converter import make_design
from uc_nn_pio.design import Design
from uc_nn_pio.spec import InputSpec, MemorySpec, ModelSource, ModelSpec, OutputSpec

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, lambda: nn.LeakyReLU(-0.3))


def design_of(module: nn.Module, shape: tuple[int, ...], name: str = "net", **spec: object) -> Design:
    """Capture, lower and plan a module; ``spec`` may give ``input``, ``output`` and ``memory``."""
    module.eval()
    defaults = {"input": InputSpec(shape), "output": OutputSpec(), "memory": MemorySpec()} | spec
    model = ModelSpec(Path(f"{name}.yaml"), name, ModelSource(), text_sha256="0" * 64, **defaults)
    return make_design(model, capture_module(module, shape, name), None)


def random_network(seed: int) -> tuple[nn.Sequential, tuple[int, int, int]]:
    """A valid chain of layers and its input shape; C, H and W are pairwise different. Same seed, same network."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    while True:
        c, h, w = rng.sample(range(1, 15), 3)
        layers = _spatial(rng, c) + _head(rng)
        module = nn.Sequential(*layers)
        module.eval()
        try:
            with torch.no_grad():
                out = module(torch.randn(1, c, h, w))
        except (RuntimeError, ValueError):
            continue  # a kernel larger than its map: draw again
        if 0 < out.numel() <= 2000:
            _randomize(module)
            return module, (c, h, w)


def _spatial(rng: random.Random, channels: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for _ in range(rng.randint(1, 3)):
        kind = rng.choice(("conv", "conv", "conv", "depthwise", "max", "avg", "adaptive", "activation"))
        if kind in ("conv", "depthwise"):
            groups = channels if kind == "depthwise" else rng.choice([g for g in (1, 1, 2, 3) if channels % g == 0])
            out = groups * rng.randint(1, 4)
            layers.append(_conv(rng, channels, out, groups))
            channels = out
            if rng.random() < 0.3:
                layers.append(nn.BatchNorm2d(channels))
            if rng.random() < 0.7:
                layers.append(rng.choice(ACTIVATIONS)())
            if rng.random() < 0.6:
                layers.append(_max_pool(rng))
        elif kind == "max":
            layers.append(_max_pool(rng))
        elif kind == "avg":
            layers.append(_avg_pool(rng))
        elif kind == "adaptive":
            layers.append(nn.AdaptiveAvgPool2d((rng.randint(1, 5), rng.randint(1, 5))))
        else:
            layers.append(rng.choice(ACTIVATIONS)())
        if rng.random() < 0.15:
            layers.append(nn.Dropout(0.5))
    return layers


def _conv(rng: random.Random, channels: int, out: int, groups: int) -> nn.Conv2d:
    kernel = (rng.randint(1, 5), rng.randint(1, 5))
    dilation = rng.choice((1, 1, 1, 2, (2, 1)))
    same = rng.random() < 0.2
    return nn.Conv2d(
        channels,
        out,
        kernel,
        stride=1 if same else rng.choice((1, 1, 2, (1, 2), 3)),
        padding="same" if same else (rng.randint(0, kernel[0]), rng.randint(0, kernel[1])),
        dilation=dilation,
        groups=groups,
        bias=rng.random() < 0.8,
    )


def _max_pool(rng: random.Random) -> nn.MaxPool2d:
    kernel = rng.choice((2, 2, 3, (2, 3), (4, 1), 4))
    dilation = rng.choice((1, 1, 1, 2))
    # a dilated window may lie on padding alone, where torch gives -inf; such a pool is refused
    largest = 0 if dilation > 1 else (kernel if isinstance(kernel, int) else min(kernel)) // 2
    return nn.MaxPool2d(
        kernel,
        stride=rng.choice((None, None, 1, 2, 3)),
        padding=rng.choice((0, 0, largest)),
        dilation=dilation,
        ceil_mode=rng.random() < 0.4,
    )


def _avg_pool(rng: random.Random) -> nn.AvgPool2d:
    return nn.AvgPool2d(
        rng.choice((2, 3, (3, 2))),
        stride=rng.choice((None, 1, 2, 3)),
        padding=rng.choice((0, 1)),
        ceil_mode=rng.random() < 0.4,
        count_include_pad=rng.random() < 0.5,
        divisor_override=rng.choice((None, None, 3)),
    )


def _head(rng: random.Random) -> list[nn.Module]:
    choice = rng.random()
    if choice < 0.35:
        return []
    layers: list[nn.Module] = [nn.Flatten()]
    if choice < 0.45:
        return layers
    layers.append(nn.LazyLinear(rng.randint(1, 12)))
    if rng.random() < 0.5:
        layers += [rng.choice(ACTIVATIONS)(), nn.LazyLinear(rng.randint(2, 9))]
    if rng.random() < 0.5:
        layers.append(rng.choice((nn.Softmax, nn.LogSoftmax))(dim=1))
    return layers


def _randomize(module: nn.Module) -> None:
    """Batch-norm statistics that are not 0 and 1, and biases that matter."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.3, 2.0)
                layer.weight.normal_()
                layer.bias.normal_()
