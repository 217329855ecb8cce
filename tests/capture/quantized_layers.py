"""Networks in the form that ``convert_pt2e`` gives them, written by hand: they need torch alone, and what torchao would
not write can be written as well. Importing this module loads torch's operators ``quantized_decomposed``."""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
import torch.ao.quantization.fx._decomposed
import torch.nn.functional as F  # noqa: N812
from torch import nn

OPS = torch.ops.quantized_decomposed
LIMITS = {torch.int8: (-128, 127), torch.uint8: (0, 255), torch.int16: (-(2**15), 2**15 - 1)}


class QDQ(nn.Module):
    """quantize, dequantize of an activation. ``other`` are scale and zero point of the dequantize where they differ."""

    def __init__(
        self,
        scale: float,
        zero_point: int = 0,
        dtype: torch.dtype = torch.int8,
        limits: tuple[int, int] | None = None,
        other: tuple[float, int] | None = None,
    ) -> None:
        super().__init__()
        self.params, self.other = (scale, zero_point), other or (scale, zero_point)
        self.rest = (*(limits or LIMITS[dtype]), dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = OPS.quantize_per_tensor(x, *self.params, *self.rest)
        return OPS.dequantize_per_tensor(steps, *self.other, *self.rest)


class Quantized(nn.Module):
    """A convolution or linear with dequantized weights.

    Args:
        layer: the float layer.
        per_channel: a scale for each index of ``axis``, else one.
        zero_point: of the weights.
        dtype: of the weights' integers.
        largest: the integer of the largest weight.
        bias_scale: if given, the bias is stored as int32 in steps of this (one an output, or a number for all).
    """

    def __init__(
        self,
        layer: nn.Conv2d | nn.Linear,
        per_channel: bool = False,
        zero_point: int = 0,
        axis: int = 0,
        dtype: torch.dtype = torch.int8,
        largest: int = 127,
        bias_scale: torch.Tensor | float | None = None,
    ) -> None:
        super().__init__()
        weight = layer.weight.detach()
        others = [a for a in range(weight.ndim) if a != axis]
        magnitude = weight.abs().amax(others) if per_channel else weight.abs().amax()
        self.limits = (-127, 127, dtype) if dtype is torch.int8 else (*LIMITS[dtype], dtype)
        self.register_buffer("scale", (magnitude / largest).clamp(min=2**-12).reshape(-1))
        shape = [-1 if a == axis else 1 for a in range(weight.ndim)]
        steps = torch.round(weight / self.scale.reshape(shape)) + zero_point
        self.register_buffer("integers", steps.clamp(*self.limits[:2]).to(dtype))
        self.register_buffer("points", torch.full(self.scale.shape, zero_point, dtype=torch.int64))
        self.per_channel, self.axis, self.zero_point = per_channel, axis, zero_point
        self.number, self.bias_scale = float(self.scale[0]), None
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone())
        if bias_scale is not None:
            unit = torch.as_tensor(bias_scale).expand(layer.bias.shape).clone().float()
            self.register_buffer("bias_scales", unit)
            self.register_buffer("bias_points", torch.zeros(unit.shape, dtype=torch.int64))
            self.register_buffer("bias_integers", torch.round(layer.bias.detach() / unit).to(torch.int32))
        self.call = (
            {key: getattr(layer, key) for key in ("stride", "padding", "dilation", "groups")}
            if isinstance(layer, nn.Conv2d)
            else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.per_channel:
            weight = OPS.dequantize_per_channel(self.integers, self.scale, self.points, self.axis, *self.limits)
        else:
            weight = OPS.dequantize_per_tensor(self.integers, self.number, self.zero_point, *self.limits)
        bias = self.bias
        if hasattr(self, "bias_integers"):
            span = (-(2**31), 2**31 - 1, torch.int32)
            bias = OPS.dequantize_per_channel(self.bias_integers, self.bias_scales, self.bias_points, 0, *span)
        return F.linear(x, weight, bias) if self.call is None else F.conv2d(x, weight, bias, **self.call)


class Pairs:
    """Makes the pairs of one network, by the least and largest value that come there."""

    def __init__(self, dtype: torch.dtype = torch.int8, limits: tuple[int, int] | None = None) -> None:
        self.dtype, self.limits = dtype, limits
        self.last: QDQ | None = None

    def new(self, low: float, high: float) -> QDQ:
        """The pair whose range is ``low`` to ``high``, and 0."""
        low, high = min(low, 0.0), max(high, 2**-10)
        least, most = self.limits or LIMITS[self.dtype]
        scale = (high - low) / (most - least)
        point = max(least, min(most, round(least - low / scale)))
        self.last = QDQ(scale, point, self.dtype, self.limits)
        return self.last

    def again(self, low: float, high: float) -> QDQ:
        """The pair in front: a shared specification."""
        return self.last or self.new(low, high)


def measured(layers: list[nn.Module | Callable[[float, float], nn.Module]], x: torch.Tensor) -> nn.Sequential:
    """The layers in order; a function among them is called with the least and largest value that come there."""
    made = []
    for layer in layers:
        module = layer if isinstance(layer, nn.Module) else layer(float(x.min()), float(x.max()))
        made.append(module.eval())
        with torch.no_grad():
            x = module(x)
    return nn.Sequential(*made)


def random_quantized(seed: int) -> tuple[nn.Sequential, tuple[int, int, int]]:
    """A chain as a quantizer may write it, and its input's shape (C, H, W). Same seed, same network.

    Pairs stand where quantizers put them: behind layers, in front of or behind their activation, shared by pools and
    copies or not; in int8, uint8, or a part of it.
    """
    rng = random.Random(seed)
    torch.manual_seed(seed)
    pairs = Pairs(*rng.choice([(torch.int8,), (torch.uint8,), (torch.uint8, (0, 127)), (torch.int8, (-90, 100))]))
    c, h, w = rng.sample(range(4, 12), 3)
    shape, layers = (c, h, w), [pairs.new]
    for _ in range(rng.randint(0, 3)):
        if min(h, w) < 4:
            break
        out, groups = (c, c) if rng.random() < 0.3 else (rng.randint(2, 8), 1)
        conv = nn.Conv2d(c, out, (3, 2), padding=(1, 0), groups=groups, bias=rng.random() < 0.8)
        layers += [Quantized(conv, per_channel=rng.random() < 0.6), *_behind(rng, pairs)]
        c, w = out, w - 1
        if rng.random() < 0.6:
            layers += [rng.choice([nn.MaxPool2d, nn.AvgPool2d])(2), *rng.choice([[], [pairs.again], [pairs.new]])]
            h, w = h // 2, w // 2
        layers += rng.choice([[], [nn.Dropout(0.3)]])
    layers += [nn.Flatten(), *rng.choice([[], [pairs.again], [pairs.new]])]
    size = c * h * w
    for out in (rng.randint(2, 9), rng.randint(2, 9))[: rng.randint(1, 2)]:
        linear = nn.Linear(size, out, bias=rng.random() < 0.8)
        layers += [Quantized(linear, per_channel=rng.random() < 0.5), *_behind(rng, pairs)]
        size = out
    return measured(layers, torch.rand(16, *shape)), shape


def _behind(rng: random.Random, pairs: Pairs) -> list[nn.Module | Callable[[float, float], nn.Module]]:
    new, act = pairs.new, rng.choice([nn.ReLU, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Sigmoid])()
    clips = isinstance(act, nn.ReLU | nn.ReLU6)
    return rng.choice([[new], [nn.ReLU(), new], [new, act, new], [new, act, pairs.again if clips else new]])
