"""Elements moved to other places (slices, transposed, repeated, upsampled tensors), and zeros around a tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from uc_nn_pio.emit.expressions import place_of
from uc_nn_pio.emit.kernels.base import Kernel, Table
from uc_nn_pio.graph.layout import memory_index
from uc_nn_pio.graph.loops import Loop, Nest, nest_of
from uc_nn_pio.graph.ops import Gather, Op, Pad


@dataclass(frozen=True)
class GatherF32(Kernel):
    """Nested loops over the places that are read; where these follow no steps, a table says where each run of them
    begins."""

    op_type: ClassVar[type[Op]] = Gather
    template: ClassVar[str] = "gather.c.j2"
    element: ClassVar[str] = "float"

    @cached_property
    def places(self) -> np.ndarray:
        """For each place of the output in memory, that of the input."""
        return memory_index(self.input.shape, self.output.shape, self.graph.constant(self.node, "index"))

    @cached_property
    def nest(self) -> Nest:
        return nest_of(self.places)

    @property
    def in_place(self) -> bool:
        """What is read lies at or behind what is written, from the first element on."""
        return bool((self.places >= np.arange(len(self.places))).all())

    @property
    def free_in_place(self) -> bool:
        return np.array_equal(self.places, np.arange(len(self.places)))

    def tables(self) -> tuple[Table, ...]:
        starts = self.nest.starts[0]
        if len(starts) == 1:
            return ()
        return (Table(f"{self.name}_table", "uint32_t", starts, f"{self.name}: where each run of elements begins"),)

    def variables(self) -> Mapping[str, Any]:
        starts, loops = self.nest.starts[0], self.nest.loops
        if len(starts) == 1:
            return {"loops": loops, "place": place_of("x", int(starts[0]), [loop.steps[0] for loop in loops])}
        loops = (Loop(len(starts), (0,)), *loops)
        steps = [loop.steps[0] for loop in loops]
        return {"loops": loops, "place": place_of("x", 0, steps, f"(int32_t){self.function}_table[i]")}


@dataclass(frozen=True)
class GatherInt8(GatherF32):
    element: ClassVar[str] = "int8_t"


@dataclass(frozen=True)
class PadF32(Kernel):
    op_type: ClassVar[type[Op]] = Pad
    template: ClassVar[str] = "pad.c.j2"
    element: ClassVar[str] = "float"

    @property
    def zero(self) -> str:
        return "0.0f"

    def variables(self) -> Mapping[str, Any]:
        shape, before = self.output.shape, self.op.before
        inner = np.arange(self.output.elements).reshape(shape)[
            tuple(slice(b, b + n) for b, n in zip(before, self.input.shape, strict=True))
        ]
        nest = nest_of(memory_index(shape, self.input.shape, inner.ravel()))
        steps = [loop.steps[0] for loop in nest.loops]
        return {"loops": nest.loops, "place": place_of("y", int(nest.starts[0, 0]), steps)}


@dataclass(frozen=True)
class PadInt8(PadF32):
    element: ClassVar[str] = "int8_t"

    @property
    def zero(self) -> str:
        return str(self.output.quant.zero_point)
