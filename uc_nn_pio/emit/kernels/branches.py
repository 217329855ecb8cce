"""Where branches meet: sums and products, element by element, and tensors one behind the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from uc_nn_pio.emit.expressions import place_of
from uc_nn_pio.emit.kernels.base import Kernel, helpers_of
from uc_nn_pio.graph.layout import memory_index
from uc_nn_pio.graph.loops import Nest, nest_of
from uc_nn_pio.graph.ops import Add, Concat, Mul, Op, Sub
from uc_nn_pio.schedule.plan import align

LEFT_SHIFT = 20
"""Bits in front of which the terms of an int8 sum are brought to one scale (``docs/numerics.md``)."""

PLANE_SHIFTS = range(22, 13, -1)
"""Bits behind the point of a plane's factors, the most exact first: two products of them with int8 fit into int32."""

NEAR = range(-3, 4)
"""How far from the exact factor, in its last bit, one is looked for."""


@dataclass(frozen=True)
class Plane:
    """``(a * left + b * right + offset) >> shift`` for int8 a and b, in int32."""

    left: int
    right: int
    offset: int
    shift: int

    def values(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a * self.left + b * self.right + self.offset) >> self.shift


def plane_of(wanted: np.ndarray, low: int, high: int, slopes: tuple[float, float]) -> Plane | None:
    """A plane that gives ``wanted`` once it is clamped to ``low`` .. ``high``; None if there is none near ``slopes``.

    Args:
        wanted: int64 (256, 256), the results for a and b from -128 to 127.
    """
    a, b = np.arange(-128, 128)[:, None], np.arange(-128, 128)[None, :]
    free_below, free_above = wanted <= low, wanted >= high
    for shift in PLANE_SHIFTS:
        left, right = (round(slope * 2**shift) for slope in slopes)
        if (abs(left) + abs(right) + 6) * 128 + (1 << shift) * 256 >= 2**31:
            continue
        bottom, top = wanted << shift, ((wanted + 1) << shift) - 1
        for nudge in NEAR:
            rest = a * (left + nudge)
            # one row of `right` after the other would be slow: what each nudge of it changes is a multiple of b
            for other in NEAR:
                plane = rest + b * (right + other)
                least = np.where(free_below, -(2**40), bottom - plane).max()
                most = np.where(free_above, 2**40, top - plane).min()
                if least <= most and max(abs(int(least)), abs(int(most))) < 2**40:
                    found = Plane(left + nudge, right + other, int(least + most) // 2, shift)
                    if _fits_int32(found):
                        return found
    return None


def _fits_int32(plane: Plane) -> bool:
    return (abs(plane.left) + abs(plane.right)) * 128 + abs(plane.offset) < 2**31


@dataclass(frozen=True)
class ElementwiseF32(Kernel):
    """Loops over the output; an operand of which axes are repeated stands still in their loops."""

    template: ClassVar[str] = "elementwise_f32.c.j2"
    sign: ClassVar[str] = "+"

    @cached_property
    def places(self) -> tuple[np.ndarray, ...]:
        """For each place of the output in memory, those of both inputs."""
        shape = self.output.shape
        inputs = (np.arange(tensor.elements).reshape(tensor.shape) for tensor in self.inputs)
        repeated = zip(self.inputs, (np.broadcast_to(places, shape).ravel() for places in inputs), strict=True)
        return tuple(memory_index(tensor.shape, shape, index) for tensor, index in repeated)

    @cached_property
    def nest(self) -> Nest:
        return nest_of(*self.places, np.arange(self.output.elements))

    def at(self, array: str, operand: int) -> str:
        """The element of an operand, or of the output (2), in the loops."""
        return place_of(array, 0, [loop.steps[operand] for loop in self.nest.loops])

    @property
    def over(self) -> tuple[tuple[str, int], ...]:
        """Over either whole operand: an element is read before its result is written."""
        whole = (tensor.name for tensor in self.inputs if tensor.shape == self.output.shape)
        return tuple((name, 0) for name in dict.fromkeys(whole))

    @property
    def helpers(self) -> frozenset[str]:
        return helpers_of(self.op.activation)

    @property
    def clamp(self) -> tuple[int, int]:
        low, high = (int(bound) for bound in self.graph.constant(self.node, "clamp"))
        return low, high

    @property
    def steps(self) -> list[tuple[int, int]]:
        """Multiplier and shift to the right: of int8 terms and their sum, or of a product."""
        q, e = (self.graph.constant(self.node, role) for role in ("multiplier", "exponent"))
        return [(int(m), -int(x)) for m, x in zip(q, e, strict=True)]


@dataclass(frozen=True)
class AddF32(ElementwiseF32):
    op_type: ClassVar[type[Op]] = Add


@dataclass(frozen=True)
class SubF32(ElementwiseF32):
    op_type: ClassVar[type[Op]] = Sub
    sign: ClassVar[str] = "-"


@dataclass(frozen=True)
class MulF32(ElementwiseF32):
    op_type: ClassVar[type[Op]] = Mul
    sign: ClassVar[str] = "*"


@dataclass(frozen=True)
class AddInt8(ElementwiseF32):
    """TensorFlow Lite's integers: in two products and a shift where a plane gives the same for all 65,536 pairs, else
    step by step."""

    op_type: ClassVar[type[Op]] = Add
    template: ClassVar[str] = "elementwise_int8.c.j2"

    @property
    def helpers(self) -> frozenset[str]:
        return frozenset() if self.plane else frozenset({"rescale"})

    @cached_property
    def plane(self) -> Plane | None:
        left, right = (float(tensor.quant.scale) / float(self.output.quant.scale) for tensor in self.inputs)
        return plane_of(self._results(), *self.clamp, (left, right if self.sign == "+" else -right))

    def _results(self) -> np.ndarray:
        """int64 (256, 256): what the steps make of all pairs."""
        x = np.arange(-128, 128, dtype=np.int64)
        a, b = (
            _rescaled((x - tensor.quant.zero_point) << LEFT_SHIFT, *step)
            for tensor, step in zip(self.inputs, self.steps, strict=False)
        )
        total = a[:, None] + (b if self.sign == "+" else -b)[None, :]
        return np.clip(_rescaled(total, *self.steps[2]) + self.output.quant.zero_point, *self.clamp)

    def variables(self) -> Mapping[str, Any]:
        low, high = self.clamp
        if self.plane is None:
            return {"low": low, "high": high}
        x = np.arange(-128, 128, dtype=np.int64)
        raw = self.plane.values(x[:, None], x[None, :])
        return {"low": low if (raw < low).any() else None, "high": high if (raw > high).any() else None}


@dataclass(frozen=True)
class SubInt8(AddInt8):
    op_type: ClassVar[type[Op]] = Sub
    sign: ClassVar[str] = "-"


@dataclass(frozen=True)
class MulInt8(ElementwiseF32):
    """TensorFlow Lite's integers: the product of both, rescaled."""

    op_type: ClassVar[type[Op]] = Mul
    template: ClassVar[str] = "mul_int8.c.j2"

    @property
    def helper(self) -> str:
        return "requantize" if self.steps[0][1] > 0 else "requantize_any"

    @property
    def helpers(self) -> frozenset[str]:
        return frozenset({self.helper})

    def variables(self) -> Mapping[str, Any]:
        (multiplier, shift), (low, high) = self.steps[0], self.clamp
        return {"multiplier": multiplier, "shift": shift, "low": low, "high": high}


def _rescaled(x: np.ndarray, multiplier: int, shift: int) -> np.ndarray:
    """What the C helper ``rescale`` computes, for any int64."""
    left, right = max(-shift, 0), max(shift, 0)
    shifted = np.clip(x << left, -(2**31), 2**31 - 1)
    t = (shifted * multiplier + (1 << 30)) >> 31
    mask = (1 << right) - 1
    return (t >> right) + ((t & mask) > (mask >> 1) + (t < 0))


@dataclass(frozen=True)
class ConcatF32(Kernel):
    """In memory: of each input a run of elements, ``outer`` times. A map lies as H, W, C, so a run is a pixel's
    channels, a row's pixels, or the whole map."""

    op_type: ClassVar[type[Op]] = Concat
    template: ClassVar[str] = "concat.c.j2"
    element: ClassVar[str] = "float"

    @property
    def outer(self) -> int:
        if not self.output.is_map:
            return math.prod(self.output.shape[: self.op.axis])
        _, height, width = self.output.shape
        return {0: height * width, 1: 1, 2: height}[self.op.axis]

    @property
    def runs(self) -> tuple[int, ...]:
        """Elements of each input's run."""
        return tuple(tensor.elements // self.outer for tensor in self.inputs)

    @property
    def over(self) -> tuple[tuple[str, int], ...]:
        """Over any one input, if that ends where the output ends: what is written stays behind what is still to be read
        of it, since every run of the output is longer."""
        whole = self.output.bytes
        once = [name for name in self.node.inputs if self.node.inputs.count(name) == 1]
        return tuple((name, align(whole - self.graph.tensor(name).bytes)) for name in once)

    def variables(self) -> Mapping[str, Any]:
        return {"outer": self.outer, "runs": self.runs}


@dataclass(frozen=True)
class ConcatInt8(ConcatF32):
    op_type: ClassVar[type[Op]] = Concat
    element: ClassVar[str] = "int8_t"
