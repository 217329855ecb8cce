"""Random torch networks with branches: residual sums, dense and inception-like joins, over maps and vectors."""

from __future__ import annotations

import random

import torch
from torch import nn

Shape = tuple[int, ...]


class Branched(nn.Module):
    """A random graph of layers. Same seed, same network; C, H and W of the input are pairwise different."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        rng = random.Random(seed)
        torch.manual_seed(seed)
        self.shape: tuple[int, int, int] = tuple(rng.sample(range(2, 10), 3))
        self.layers = nn.ModuleList()
        self.plan: list[tuple[str, tuple[int, ...], int]] = []
        shapes: list[Shape] = [self.shape]
        for _ in range(rng.randint(2, 6)):
            self._grow(rng, shapes)
        unread = self._unread(len(shapes))
        self._join_all(rng, shapes, unread)
        if rng.random() < 0.5:
            at = self._call(shapes, "layer", (len(shapes) - 1,), nn.Flatten())
            self._call(shapes, "layer", (at,), nn.LazyLinear(rng.randint(2, 8)))
        with torch.no_grad():
            self(torch.zeros(1, *self.shape))

    def _unread(self, count: int) -> list[int]:
        read = {name for _, inputs, _ in self.plan for name in inputs}
        return [i for i in range(count) if i not in read]

    def _call(self, shapes: list[Shape], kind: str, inputs: tuple[int, ...], layer: nn.Module | int) -> int:
        """Adds a step, unless torch refuses its shapes; returns its value's index."""
        with torch.no_grad():
            values = [torch.zeros(1, *shapes[i]) for i in inputs]
            if kind == "layer":
                result = layer(*values)
                self.layers.append(layer)
                argument = len(self.layers) - 1
            else:
                result, argument = _combined(kind, values, layer), layer
        self.plan.append((kind, inputs, argument))
        shapes.append(tuple(result.shape[1:]))
        return len(shapes) - 1

    def _grow(self, rng: random.Random, shapes: list[Shape]) -> None:
        maps = [i for i, shape in enumerate(shapes) if len(shape) == 3]
        at = rng.choice(maps[-3:])
        c, h, w = shapes[at]
        kind = rng.choice(("conv", "conv", "conv", "depthwise", "pool", "act", "sum", "sum", "cat", "cat", "self"))
        if kind in ("conv", "depthwise"):
            out, groups = (c, c) if kind == "depthwise" else (rng.choice((c, c, rng.randint(1, 8))), 1)
            k = rng.choice((1, 3, 3, 5))
            stride = rng.choice((1, 1, 1, 2))
            at = self._call(shapes, "layer", (at,), nn.Conv2d(c, out, k, stride, k // 2, groups=groups))
            if rng.random() < 0.3:
                at = self._call(shapes, "layer", (at,), nn.BatchNorm2d(out))
            if rng.random() < 0.6:
                self._call(shapes, "layer", (at,), rng.choice((nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Sigmoid))())
        elif kind == "pool":
            k = rng.choice((2, 3))
            stride = 1 if min(h, w) < 4 else rng.choice((1, 2))
            pool = rng.choice((nn.MaxPool2d, nn.AvgPool2d))
            if min(h, w) + 2 * (k // 2) >= k:
                self._call(shapes, "layer", (at,), pool(k, stride, k // 2))
        elif kind == "act":
            self._call(shapes, "layer", (at,), rng.choice((nn.ReLU, nn.Sigmoid, nn.Tanh))())
        elif kind == "self":
            self._call(shapes, "sum", (at, at), 0)
        else:
            other = rng.choice(maps)
            self._meet(rng, shapes, kind, at, other)

    def _meet(self, rng: random.Random, shapes: list[Shape], kind: str, a: int, b: int) -> int:
        """Two maps in one: the second is brought to the first one's size where it has to be."""
        (c, h, w), (d, _, _) = shapes[a], shapes[b]
        axis = rng.choice((1, 1, 1, 2, 3)) if kind == "cat" else 0
        if shapes[a][1:] != shapes[b][1:]:
            b = self._call(shapes, "layer", (b,), nn.AdaptiveAvgPool2d((h, w)))
        if kind == "sum" or axis > 1:
            if c != d:
                b = self._call(shapes, "layer", (b,), nn.Conv2d(d, c, 1))
            if axis == 0:
                a = self._call(shapes, "sum", (a, b), 0)
                if rng.random() < 0.6:
                    a = self._call(shapes, "layer", (a,), rng.choice((nn.ReLU, nn.ReLU6, nn.Tanh, nn.LeakyReLU))())
                return a
        inputs = (a, b) if rng.random() < 0.7 else (b, a, b) if axis == 1 else (b, a)
        return self._call(shapes, "cat", inputs, axis)

    def _join_all(self, rng: random.Random, shapes: list[Shape], unread: list[int]) -> None:
        """One output of everything that nobody reads."""
        if rng.random() < 0.3 and len(unread) > 1:
            flat = [self._call(shapes, "layer", (i,), nn.Flatten()) for i in unread]
            self._call(shapes, "cat", tuple(flat), 1)
            return
        at = unread[0]
        for other in unread[1:]:
            at = self._meet(rng, shapes, rng.choice(("sum", "cat")), at, other)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = [x]
        for kind, inputs, argument in self.plan:
            taken = [values[i] for i in inputs]
            values.append(self.layers[argument](*taken) if kind == "layer" else _combined(kind, taken, argument))
        return values[-1]


def _combined(kind: str, values: list[torch.Tensor], axis: int) -> torch.Tensor:
    return values[0] + values[1] if kind == "sum" else torch.cat(values, axis)


def random_branched(seed: int) -> Branched:
    """A network whose output is no map of nothing, with statistics that matter."""
    while True:
        try:
            module = Branched(seed)
        except (RuntimeError, ValueError):
            seed += 100_000
            continue
        with torch.no_grad():
            for layer in module.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.running_mean.normal_()
                    layer.running_var.uniform_(0.3, 2.0)
        return module.eval()
