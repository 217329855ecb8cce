"""Operators with numbers of their own for each channel: layer norm and PReLU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from uc_nn_pio.emit.kernels.base import Kernel, Table
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import LayerNorm, Op, PRelu


@dataclass(frozen=True)
class PerChannelF32(Kernel):
    """Vectors of channels, one behind the other in memory; works in place."""

    @property
    def in_place(self) -> bool:
        return True

    @property
    def count(self) -> int:
        return self.output.shape[0]

    @property
    def vectors(self) -> int:
        return self.output.elements // self.count

    def words(self, *columns: np.ndarray) -> np.ndarray:
        """Numbers of each channel side by side, as words."""
        return np.column_stack(columns).astype(np.int32).ravel().view(np.uint32)


@dataclass(frozen=True)
class PReluF32(PerChannelF32):
    op_type: ClassVar[type[Op]] = PRelu
    template: ClassVar[str] = "prelu_f32.c.j2"

    def tables(self) -> tuple[Table, ...]:
        slope = self.graph.constant(self.node, "slope")
        return (Table(f"{self.name}_table", "float", slope, f"{self.name}: slopes"),)


@dataclass(frozen=True)
class PReluInt8(PerChannelF32):
    op_type: ClassVar[type[Op]] = PRelu
    template: ClassVar[str] = "prelu_int8.c.j2"

    @property
    def helpers(self) -> frozenset[str]:
        return frozenset({"requantize_any"})

    def tables(self) -> tuple[Table, ...]:
        q, e = (self.graph.constant(self.node, f"negative_{role}") for role in ("multiplier", "exponent"))
        comment = f"{self.name}: multiplier and shift below the zero point, a channel"
        return (Table(f"{self.name}_table", "uint32_t", self.words(q, -e), comment),)

    def variables(self) -> Mapping[str, Any]:
        q, e = (int(self.graph.constant(self.node, role)[0]) for role in ("multiplier", "exponent"))
        return {"multiplier": q, "shift": -e}


@dataclass(frozen=True)
class LayerNormF32(PerChannelF32):
    """Each vector is read three times: for its mean, its variance, and the result."""

    op_type: ClassVar[type[Op]] = LayerNorm
    template: ClassVar[str] = "layer_norm_f32.c.j2"

    @property
    def helpers(self) -> frozenset[str]:
        return frozenset({"rsqrt"})

    @property
    def affine(self) -> bool:
        return bool(self.node.constants)

    def tables(self) -> tuple[Table, ...]:
        if not self.affine:
            return ()
        weight, bias = (self.graph.constant(self.node, role) for role in ("weight", "bias"))
        weight = np.ones(self.count) if weight is None else weight
        bias = np.zeros(self.count) if bias is None else bias
        pairs = np.column_stack([weight, bias]).astype(np.float32).ravel()
        return (Table(f"{self.name}_table", "float", pairs, f"{self.name}: weight and bias, a channel"),)


@dataclass(frozen=True)
class LayerNormInt8(PerChannelF32):
    """``docs/numerics.md``: a root and a division a vector, one product of 64 bits an element."""

    op_type: ClassVar[type[Op]] = LayerNorm
    template: ClassVar[str] = "layer_norm_int8.c.j2"

    MOST: ClassVar[int] = 2**15
    """Channels whose squares' sum is sure to fit into int32."""

    @property
    def helpers(self) -> frozenset[str]:
        return frozenset({"requantize_any", "inverse_root"})

    def tables(self) -> tuple[Table, ...]:
        weight, bias = (self.graph.constant(self.node, role) for role in ("weight", "bias"))
        comment = f"{self.name}: weight and bias, a channel"
        return (Table(f"{self.name}_table", "uint32_t", self.words(weight, bias), comment),)

    def variables(self) -> Mapping[str, Any]:
        if self.count > self.MOST:
            raise UnsupportedError(
                f"a layer norm over {self.count:,} values in int8",
                where=str(self.node.source),
                why=f"sums of more than {self.MOST:,} squares leave 32 bits",
                next_step="normalize fewer axes, or set precision: float32",
            )
        q, e = (int(self.graph.constant(self.node, role)[0]) for role in ("multiplier", "exponent"))
        return {"multiplier": q, "shift": -e, "epsilon": int(self.graph.constant(self.node, "epsilon")[0])}
