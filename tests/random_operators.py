"""Random networks of all operators: a plan of small numbers, and the network that it says.

A plan is a shape and steps ``(operator, number)``. What an operator's parameters are follows from the number and from
the value that it is applied to; a step whose operator does not suit that value is left out. So every plan is a valid
network, and so is every part of one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

Shape = tuple[int, ...]
Function = Callable[[list[torch.Tensor]], torch.Tensor]
MOST_ELEMENTS = 500
MOST_WEIGHTS = 3000


@dataclass(frozen=True)
class Plan:
    """``shape`` is the input's, of one to three axes, without the batch axis."""

    shape: Shape
    steps: tuple[tuple[int, int], ...]


class Drawn(nn.Module):
    """The network of a plan. ``titles`` says what it does, for messages."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        self.functions: list[Function] = []
        self.titles: list[str] = []
        self.plan = plan
        torch.manual_seed(sum((i + 1) * number for i, (_, number) in enumerate(plan.steps)))
        values = [torch.randn(1, *plan.shape)]
        with torch.no_grad():
            for operator, number in plan.steps:
                name, draw = OPERATORS[operator % len(OPERATORS)]
                step = _Step(self, random.Random(number), [tuple(value.shape[1:]) for value in values])
                function = draw(step)
                if function is None:
                    continue
                made = self.eval()._run(function, values)
                if made is not None:
                    values.append(made)
                    self.functions.append(function)
                    self.titles.append(f"{name} {tuple(made.shape[1:])}")

    def _run(self, function: Function, values: list[torch.Tensor]) -> torch.Tensor | None:
        """Its value; None for one that torch refuses, that is too large, or all one number."""
        try:
            made = function(values)
        except (RuntimeError, ValueError, IndexError):
            return None
        small = 0 < made.numel() <= MOST_ELEMENTS and 1 < made.dim() < 5 and made.shape[0] == 1
        return made if small and torch.isfinite(made).all() else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = [x]
        for function in self.functions:
            values.append(function(values))
        return values[-1]


@dataclass(frozen=True)
class _Step:
    """What an operator is drawn from: the network so far, numbers, and the shapes of its values."""

    network: Drawn
    rng: random.Random
    shapes: list[Shape]

    @property
    def shape(self) -> Shape:
        return self.shapes[-1]

    @property
    def rank(self) -> int:
        return len(self.shape)

    def layer(self, layer: nn.Module) -> Function | None:
        """The layer on the last value; None if it is large."""
        if sum(each.numel() for each in layer.parameters()) > MOST_WEIGHTS:
            return None
        for module in layer.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
                module.running_mean.normal_()
                module.running_var.uniform_(0.3, 2)
            if isinstance(module, nn.modules.batchnorm._NormBase | nn.LayerNorm | nn.GroupNorm | nn.RMSNorm):
                for parameter in module.parameters():
                    parameter.data.normal_()
        self.network.layers.append(layer)
        return lambda values: layer(values[-1])

    def axis(self) -> int:
        return self.rng.randint(1, self.rank)

    def pick(self, *options: object) -> object:
        return self.rng.choice(options)

    def pair(self, low: int, high: int) -> int | tuple[int, ...]:
        """A number for each axis of a map or a signal."""
        return tuple(self.rng.randint(low, high) for _ in range(self.rank - 1))


def _of_rank(*ranks: int) -> Callable:
    def decorate(draw: Callable[[_Step], Function | None]) -> Callable[[_Step], Function | None]:
        return lambda step: draw(step) if step.rank in ranks else None

    return decorate


@_of_rank(2, 3)
def _conv(step: _Step) -> Function | None:
    rng, channels = step.rng, step.shape[0]
    groups = rng.choice([g for g in range(1, channels + 1) if channels % g == 0])
    kind = nn.Conv1d if step.rank == 2 else nn.Conv2d
    padding = rng.choice((0, step.pair(0, 2), "same", "valid"))
    stride = 1 if padding == "same" else step.pair(1, 3)
    made = groups * rng.randint(1, 3)
    options = {"dilation": step.pair(1, 2), "groups": groups, "bias": rng.random() < 0.7}
    if rng.random() < 0.2 and isinstance(padding, tuple):
        options["padding_mode"] = rng.choice(("reflect", "replicate", "circular"))
    return step.layer(kind(channels, made, step.pair(1, 4), stride, padding, **options))


@_of_rank(2, 3)
def _transposed(step: _Step) -> Function | None:
    rng, channels = step.rng, step.shape[0]
    groups = rng.choice([g for g in range(1, channels + 1) if channels % g == 0])
    kind = nn.ConvTranspose1d if step.rank == 2 else nn.ConvTranspose2d
    stride = step.pair(1, 3)
    more = tuple(rng.randint(0, s - 1) for s in stride)
    options = {"output_padding": more, "groups": groups, "bias": rng.random() < 0.7, "dilation": step.pair(1, 2)}
    return step.layer(kind(channels, groups * rng.randint(1, 2), step.pair(1, 4), stride, step.pair(0, 2), **options))


@_of_rank(2, 3)
def _max_pool(step: _Step) -> Function | None:
    kind = nn.MaxPool1d if step.rank == 2 else nn.MaxPool2d
    kernel = step.pair(1, 3)
    padding = tuple(step.rng.randint(0, k // 2) for k in kernel)
    return step.layer(kind(kernel, step.pair(1, 3), padding, step.pair(1, 2), ceil_mode=step.rng.random() < 0.4))


@_of_rank(2, 3)
def _avg_pool(step: _Step) -> Function | None:
    kind = nn.AvgPool1d if step.rank == 2 else nn.AvgPool2d
    kernel = step.pair(1, 3)
    padding = tuple(step.rng.randint(0, k // 2) for k in kernel)
    options = {"ceil_mode": step.rng.random() < 0.3, "count_include_pad": step.rng.random() < 0.5}
    return step.layer(kind(kernel, step.pair(1, 3), padding, **options))


@_of_rank(2, 3)
def _adaptive_pool(step: _Step) -> Function | None:
    if step.rng.random() < 0.5:
        sizes = tuple(step.rng.choice([n for n in range(1, size + 1) if size % n == 0]) for size in step.shape[1:])
        return step.layer((nn.AdaptiveMaxPool1d if step.rank == 2 else nn.AdaptiveMaxPool2d)(sizes))
    sizes = tuple(step.rng.randint(1, size + 1) for size in step.shape[1:])
    return step.layer((nn.AdaptiveAvgPool1d if step.rank == 2 else nn.AdaptiveAvgPool2d)(sizes))


def _linear(step: _Step) -> Function | None:
    return step.layer(nn.Linear(step.shape[-1], step.rng.randint(1, 12), bias=step.rng.random() < 0.7))


@_of_rank(2)
def _recurrent(step: _Step) -> Function | None:
    rng = step.rng
    kind = rng.choice((nn.LSTM, nn.GRU, nn.RNN, lambda *n, **options: nn.RNN(*n, nonlinearity="relu", **options)))
    both, layers = rng.random() < 0.3, rng.choice((1, 1, 2))
    options = {"num_layers": layers, "bias": rng.random() < 0.8, "bidirectional": both, "batch_first": True}
    layer = kind(step.shape[1], rng.randint(1, 9), **options)
    if step.layer(layer) is None:
        return None
    if rng.random() < 0.6:
        return lambda values: layer(values[-1])[0]

    def last(values: list[torch.Tensor]) -> torch.Tensor:
        state = layer(values[-1])[1]
        state = state[0] if isinstance(state, tuple) else state
        return torch.cat([state[-2], state[-1]], 1) if both else state[-1]

    return last


def _activation(step: _Step) -> Function | None:
    rng = step.rng
    layers = (
        *(nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.SiLU, nn.GELU, nn.SELU),
        *(lambda: nn.LeakyReLU(rng.uniform(-0.5, 1.5)), lambda: nn.ELU(rng.uniform(0.1, 2)), lambda: nn.CELU(0.7)),
        *(lambda: nn.Hardtanh(-rng.random(), rng.random()), lambda: nn.GELU("tanh"), nn.PReLU),
        lambda: nn.PReLU(step.shape[0]),
    )
    return step.layer(rng.choice(layers)())


def _norm(step: _Step) -> Function | None:
    rng, channels = step.rng, step.shape[0]
    groups = rng.choice([g for g in range(1, channels + 1) if channels % g == 0])
    options = [
        lambda: nn.LayerNorm(step.shape[-rng.randint(1, step.rank) :]),
        lambda: nn.RMSNorm(step.shape[-1:]),
        lambda: {1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d}[step.rank](channels),
    ]
    if step.rank > 1:
        options.append(lambda: nn.GroupNorm(groups, channels, affine=rng.random() < 0.7))
        kind = nn.InstanceNorm1d if step.rank == 2 else nn.InstanceNorm2d
        options.append(lambda: kind(channels, affine=rng.random() < 0.5))
    return step.layer(rng.choice(options)())


def _softmax(step: _Step) -> Function | None:
    return step.layer(step.pick(nn.Softmax, nn.LogSoftmax)(step.axis()))


def _reduction(step: _Step) -> Function | None:
    keep = step.rng.random() < 0.5 or step.rank == 1
    axes = tuple(sorted(step.rng.sample(range(1, step.rank + 1), step.rng.randint(1, step.rank))))
    if len(axes) == step.rank:
        keep = True
    name = step.pick("mean", "sum", "amax", "amin")
    return lambda values: getattr(values[-1], name)(dim=axes, keepdim=keep)


def _slice(step: _Step) -> Function | None:
    axis = step.axis()
    start, stride = step.rng.randint(0, max(0, step.shape[axis - 1] - 1)), step.rng.randint(1, 2)
    index = [slice(None)] * (step.rank + 1)
    index[axis] = slice(start, None, stride)
    return lambda values: values[-1][tuple(index)]


def _permuted(step: _Step) -> Function | None:
    order = (0, *(1 + axis for axis in step.rng.sample(range(step.rank), step.rank)))
    return lambda values: values[-1].permute(order)


def _reshaped(step: _Step) -> Function | None:
    count = math.prod(step.shape)
    divisors = [n for n in range(1, count + 1) if count % n == 0]
    first = step.rng.choice(divisors)
    second = step.rng.choice([n for n in divisors if count // first % n == 0])
    shape = step.rng.choice(((count,), (first, count // first), (first, second, count // first // second)))
    return lambda values: values[-1].reshape(1, *shape)


def _moved(step: _Step) -> Function | None:
    axis, count = step.axis(), step.rng.randint(1, 3)
    options = [
        lambda values: values[-1].flip(axis),
        lambda values: values[-1].roll(count, axis),
        lambda values: values[-1].repeat_interleave(2, dim=axis),
        lambda values: torch.cat([values[-1], values[-1]], axis),
        lambda values: torch.stack([values[-1], -values[-1]], axis),
        lambda values: values[-1].chunk(2, axis)[0],
        lambda values: values[-1].select(axis, 0),
    ]
    if step.rank > 1:
        options.append(lambda values: F.interpolate(values[-1], scale_factor=2))
        options.append(lambda values: F.interpolate(values[-1], size=[n + count for n in values[-1].shape[2:]]))
    if step.rank == 3:
        options += [nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.ChannelShuffle(2)]
        shuffle = step.rng.choice(options)
        return step.layer(shuffle) if isinstance(shuffle, nn.Module) else shuffle
    return step.rng.choice(options)


def _padded(step: _Step) -> Function | None:
    axes = step.rng.randint(1, step.rank)
    amounts = [step.rng.randint(-1, 2) for _ in range(2 * axes)]
    value = step.pick(0.0, 0.0, 1.5)
    if step.rank > 1 and step.rng.random() < 0.4:
        amounts = [max(0, amount) for amount in amounts[: 2 * (step.rank - 1)]] + [0] * max(
            0, 2 * (step.rank - 1) - len(amounts)
        )
        mode = step.pick("reflect", "replicate", "circular")
        return lambda values: F.pad(values[-1], amounts, mode=mode)
    return lambda values: F.pad(values[-1], amounts, value=value)


def _with_constant(step: _Step) -> Function | None:
    number = step.rng.choice((-1.5, 0.25, 2.0, 3))
    return step.rng.choice(
        (
            lambda values: values[-1] + number,
            lambda values: number - values[-1],
            lambda values: values[-1] * number,
            lambda values: values[-1] / number,
            lambda values: -values[-1],
            lambda values: values[-1].clamp(-0.5, 0.5) ** 2,
        )
    )


def _of_two(step: _Step) -> Function | None:
    """With the latest earlier value that broadcasts, or with the mean over some axes."""
    combine = step.rng.choice((torch.add, torch.sub, torch.mul))
    for back in range(2, len(step.shapes) + 1):
        try:
            if len(torch.broadcast_shapes(step.shape, step.shapes[-back])) <= 3:
                return lambda values: combine(values[-1], values[-back])
        except RuntimeError:
            continue
    axes = tuple(step.rng.sample(range(1, step.rank + 1), step.rng.randint(1, step.rank)))
    return lambda values: combine(values[-1].mean(axes, keepdim=True), values[-1])


def _joined(step: _Step) -> Function | None:
    axis = step.axis()
    for back in range(2, len(step.shapes) + 1):
        other = step.shapes[-back]
        if len(other) == step.rank and all(
            a == b for i, (a, b) in enumerate(zip(other, step.shape, strict=True), 1) if i != axis
        ):
            return lambda values: torch.cat([values[-back], values[-1]], axis)
    return None


OPERATORS: tuple[tuple[str, Callable[[_Step], Function | None]], ...] = (
    ("activation", _activation),
    ("convolution", _conv),
    ("linear", _linear),
    ("max_pool", _max_pool),
    ("avg_pool", _avg_pool),
    ("of two", _of_two),
    ("norm", _norm),
    ("transposed convolution", _transposed),
    ("adaptive pool", _adaptive_pool),
    ("constant", _with_constant),
    ("reshape", _reshaped),
    ("permute", _permuted),
    ("slice", _slice),
    ("moved", _moved),
    ("padding", _padded),
    ("reduction", _reduction),
    ("softmax", _softmax),
    ("cat", _joined),
    ("convolution again", _conv),
    ("recurrent", _recurrent),
)
"""The plainest first: to them plans shrink."""


def random_plan(seed: int) -> Plan:
    """Same seed, same plan."""
    rng = random.Random(seed)
    shape = tuple(rng.randint(1, 7) for _ in range(rng.choice((1, 2, 3, 3, 3))))
    steps = tuple((rng.randrange(len(OPERATORS)), rng.randrange(1000)) for _ in range(rng.randint(1, 8)))
    return Plan(shape, steps)
