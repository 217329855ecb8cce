"""Kernels that make or take whole numbers: the place of the largest channel, and rows of a table.

An index is a value like any other: a float32 that is whole, or in int8 the integer less 128.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from uc_nn_pio.emit.kernels.base import Kernel, Table
from uc_nn_pio.graph.ops import ArgMax, Embedding, Op


@dataclass(frozen=True)
class ArgMaxF32(Kernel):
    op_type: ClassVar[type[Op]] = ArgMax
    template: ClassVar[str] = "argmax.c.j2"
    ctype: ClassVar[str] = "float"

    @property
    def count(self) -> int:
        return self.input.shape[0]


@dataclass(frozen=True)
class ArgMaxInt8(ArgMaxF32):
    ctype: ClassVar[str] = "int8_t"


@dataclass(frozen=True)
class EmbeddingF32(Kernel):
    op_type: ClassVar[type[Op]] = Embedding
    template: ClassVar[str] = "embedding.c.j2"
    ctype: ClassVar[str] = "float"

    @property
    def rows(self) -> int:
        return len(self.graph.constant(self.node, "weight"))

    @property
    def row_words(self) -> int:
        return self.width

    @property
    def width(self) -> int:
        return self.graph.constant(self.node, "weight").shape[1]

    def tables(self) -> tuple[Table, ...]:
        values = self.graph.constant(self.node, "weight").ravel()
        return (Table(f"{self.name}_table", "float", values, f"{self.name}: {self.rows} rows of {self.width}"),)


@dataclass(frozen=True)
class EmbeddingInt8(EmbeddingF32):
    """Rows begin with a word, so that flash is read in words."""

    ctype: ClassVar[str] = "int8_t"

    @property
    def row_words(self) -> int:
        return -(-self.width // 4)

    def tables(self) -> tuple[Table, ...]:
        weight = self.graph.constant(self.node, "weight")
        padded = np.pad(weight, [(0, 0), (0, -weight.shape[1] % 4)])
        words = np.ascontiguousarray(padded).astype("<i1").view("<u4").ravel().astype(np.uint32)
        comment = f"{self.name}: {self.rows} rows of {self.width}, four a word"
        return (Table(f"{self.name}_table", "uint32_t", words, comment),)
