"""Operators of the graph: one frozen dataclass each, with the attributes that shape its arithmetic.

Shapes and constants are not here: shapes belong to the tensors, weights to the graph's constants (see
:mod:`uc_nn_pio.graph.ir`). Attributes are in torch's terms and units (taps, pixels), one (height, width) pair each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from uc_nn_pio.graph.quant import Grid

Pair = tuple[int, int]


@dataclass(frozen=True)
class Padding:
    """Pixels added around a map. ``same`` with an even kernel pads more at the bottom and right, as torch does."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def __bool__(self) -> bool:
        return any((self.top, self.bottom, self.left, self.right))


@dataclass(frozen=True)
class Op:
    """Base of all operators. ``kind`` is the name in reports, docs and kernels, ``arity`` how many tensors it reads:
    None for two or more."""

    kind: ClassVar[str] = ""
    arity: ClassVar[int | None] = 1

    @property
    def title(self) -> str:
        return self.kind


@dataclass(frozen=True)
class Activation(Op):
    """An elementwise function: ``relu``, ``relu6``, ``leaky_relu`` (with ``slope``), ``sigmoid``, ``tanh``,
    ``hardsigmoid``, ``hardswish``, ``silu``, ``gelu``, ``gelu_tanh`` (its approximation) or ``elu`` (``slope`` is its
    alpha)."""

    kind: ClassVar[str] = "activation"
    function: str = "relu"
    slope: float = 0.0

    @property
    def title(self) -> str:
        """The function; ``rescale`` for the one that gives its argument back, which in int8 is another scale."""
        return "rescale" if self.function == "leaky_relu" and self.slope == 1 else self.function

    @property
    def monotone(self) -> bool:
        """Whether a larger argument never gives a smaller value, so that a maximum may be taken before it."""
        if self.function in ("leaky_relu", "elu"):
            return self.slope >= 0
        return self.function not in ("hardswish", "silu", "gelu", "gelu_tanh")


@dataclass(frozen=True)
class Clamp(Activation):
    """A value between ``low`` and ``high``; either may be infinite. From 0, and from 0 to 6, it is relu and relu6."""

    function: str = "clamp"
    low: float = -1.0
    high: float = 1.0


@dataclass(frozen=True)
class PRelu(Op):
    """x where x > 0, else x times the channel's slope. Constants: ``slope``, one a channel (axis 0)."""

    kind: ClassVar[str] = "prelu"


@dataclass(frozen=True)
class MaxPool2d(Op):
    """Maximum over windows. A padded or cut-off window looks at valid pixels only, as torch does."""

    kind: ClassVar[str] = "max_pool2d"
    kernel: Pair = (2, 2)
    stride: Pair = (2, 2)
    padding: Padding = Padding()
    dilation: Pair = (1, 1)


@dataclass(frozen=True)
class AvgPool2d(Op):
    """Mean over windows. ``count_include_pad`` and ``divisor_override`` as in torch."""

    kind: ClassVar[str] = "avg_pool2d"
    kernel: Pair = (2, 2)
    stride: Pair = (2, 2)
    padding: Padding = Padding()
    count_include_pad: bool = True
    divisor_override: int | None = None


@dataclass(frozen=True)
class AdaptiveAvgPool2d(Op):
    """Mean over windows [floor(i*H/h), ceil((i+1)*H/h)); the output's shape says h and w."""

    kind: ClassVar[str] = "adaptive_avg_pool2d"


@dataclass(frozen=True)
class Conv2d(Op):
    """2-D convolution (torch's cross-correlation), with an activation and a max-pool fused behind it where given.

    Constants: ``weight`` (out, in / groups, kernel height, kernel width), ``bias`` (out). The output tensor is the
    pool's; ``conv_shape`` keeps the (C, H, W) of the convolution itself. The value is pool(activation(convolution)); a
    monotone activation gives the same behind the maximum, and is computed there.
    """

    kind: ClassVar[str] = "conv2d"
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Padding = Padding()
    dilation: Pair = (1, 1)
    groups: int = 1
    conv_shape: tuple[int, int, int] = (0, 0, 0)
    activation: Activation | None = None
    pool: MaxPool2d | None = None

    @property
    def title(self) -> str:
        parts = [self.kind, self.activation and self.activation.title, self.pool and self.pool.title]
        return " + ".join(part for part in parts if part)


@dataclass(frozen=True)
class Linear(Op):
    """Fully connected layer. Constants: ``weight`` (out, in), ``bias`` (out).

    In a captured graph it goes from vector to vector. In a lowered graph input and output may be maps, which are read
    and written in the order of memory (H, W, C): lowering has permuted the weight's columns and rows to match.
    """

    kind: ClassVar[str] = "linear"
    activation: Activation | None = None

    @property
    def title(self) -> str:
        return f"{self.kind} + {self.activation.title}" if self.activation else self.kind


@dataclass(frozen=True)
class BatchNorm(Op):
    """y = (x - mean) / sqrt(var + eps) * weight + bias per channel (axis 0). Folded away by lowering where possible.

    Constants: ``weight``, ``bias``, ``mean``, ``var`` (C each).
    """

    kind: ClassVar[str] = "batch_norm"
    eps: float = 1e-5


@dataclass(frozen=True)
class LayerNorm(Op):
    """(x - mean) / sqrt(var + eps) over the elements of a vector, or the channels of each pixel of a map; not
    ``centred`` x / sqrt(mean of squares + eps), which is RMSNorm. Group and instance norm are this on a map of theirs.

    Constants: ``weight`` and ``bias``, one a channel each, by which that is multiplied and to which it is added; or
    none.
    """

    kind: ClassVar[str] = "layer_norm"
    eps: float = 1e-5
    centred: bool = True


GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
"""Cells of :class:`Recurrent`, and how many weighted sums of its input a unit takes."""


@dataclass(frozen=True)
class Recurrent(Op):
    """One layer of an LSTM, a GRU or a plain recurrent network, over the rows of its input: (T, n) to (T, units).

    Constants, the rows of each unit's gates as torch has them (LSTM: i, f, g, o; GRU: r, z, n): ``weight_x``
    (gates * units, n), ``weight_h`` (gates * units, units), ``bias_x`` and ``bias_h`` (gates * units).

    ``reverse`` goes from the last row to the first. The state in front of the first row is 0, or, where it is
    ``carried``, that behind the last row of the run before.
    """

    kind: ClassVar[str] = "recurrent"
    cell: str = "lstm"
    reverse: bool = False
    carried: bool = False

    @property
    def gates(self) -> int:
        return GATES[self.cell]

    @property
    def title(self) -> str:
        return f"{self.cell}{', backwards' if self.reverse else ''}{', carried on' if self.carried else ''}"


@dataclass(frozen=True)
class Softmax(Op):
    """exp(x - max) / sum over the last axis of a flat tensor, or over channels of a map (``axis`` 0)."""

    kind: ClassVar[str] = "softmax"
    axis: int = 0


@dataclass(frozen=True)
class LogSoftmax(Op):
    """x - max - log(sum(exp(x - max))), axes as :class:`Softmax`."""

    kind: ClassVar[str] = "log_softmax"
    axis: int = 0


@dataclass(frozen=True)
class Elementwise(Op):
    """Of two tensors, element by element, with an activation fused behind it where given. Both have as many axes as the
    result; an axis of size 1 is repeated, as torch broadcasts it."""

    arity: ClassVar[int | None] = 2
    activation: Activation | None = None

    @property
    def title(self) -> str:
        return f"{self.kind} + {self.activation.title}" if self.activation else self.kind


@dataclass(frozen=True)
class Add(Elementwise):
    """Sum of two tensors."""

    kind: ClassVar[str] = "add"


@dataclass(frozen=True)
class Sub(Elementwise):
    """The first tensor minus the second."""

    kind: ClassVar[str] = "sub"


@dataclass(frozen=True)
class Mul(Elementwise):
    """Product of two tensors, element by element."""

    kind: ClassVar[str] = "mul"


@dataclass(frozen=True)
class Concat(Op):
    """Tensors one behind the other along ``axis`` (of their shape in torch's order: 0 is the channels of a map)."""

    kind: ClassVar[str] = "concat"
    arity: ClassVar[int | None] = None
    axis: int = 0


@dataclass(frozen=True)
class Gather(Op):
    """Elements of the input at given places: slices, transposed, repeated, shuffled and upsampled tensors become this.

    Constants: ``index`` int32, as many as the output has elements; both the places and the outputs count in torch's
    order (as ``torch.take`` does).
    """

    kind: ClassVar[str] = "gather"


@dataclass(frozen=True)
class ArgMax(Op):
    """The place of the largest channel, the first of equal ones: of a vector, or of each pixel of a map."""

    kind: ClassVar[str] = "argmax"


@dataclass(frozen=True)
class Embedding(Op):
    """Rows of a table, at the places that the input's values name: (T,) to (T, width). Constants: ``weight`` (rows,
    width)."""

    kind: ClassVar[str] = "embedding"


@dataclass(frozen=True)
class Pad(Op):
    """Zeros around a tensor: ``before`` and ``after`` say how many on each axis."""

    kind: ClassVar[str] = "pad"
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reshape(Op):
    """Another shape over the same elements in torch's order (C, H, W). flatten, view and reshape become this.

    The map in memory is HWC, so lowering must absorb a reshape that mixes C with H and W into the weights next to
    it, or turn it into :class:`Permute`.
    """

    kind: ClassVar[str] = "reshape"


@dataclass(frozen=True)
class Permute(Op):
    """A reshape in memory terms: what lowering leaves of a :class:`Reshape` that it cannot absorb.

    ``order`` says how bytes move:

    - ``hwc_to_chw``: a map becomes a tensor in torch's order; a full copy, priced in the report.
    - ``chw_to_hwc``: a tensor in torch's order becomes a map; a full copy, priced in the report.
    - ``same``: every byte stays (a map seen with another H and W, one channel, one pixel); nothing to do in place, else
      a plain copy.

    In torch's order, and so in the NumPy reference, each of them is a reshape to the output's shape.
    """

    kind: ClassVar[str] = "permute"
    order: str = "hwc_to_chw"


@dataclass(frozen=True)
class Identity(Op):
    """Does nothing at inference: dropout, nn.Identity, contiguous, clone. Dropped by lowering."""

    kind: ClassVar[str] = "identity"


@dataclass(frozen=True)
class Quantize(Op):
    """float32 to the int8 values of ``grid``: the nearest one, clamped. In captured graphs of networks that PyTorch has
    quantized; :func:`uc_nn_pio.quantize.lift` takes it out."""

    kind: ClassVar[str] = "quantize"
    grid: Grid


@dataclass(frozen=True)
class Dequantize(Op):
    """The int8 values of ``grid`` to the float32 that they stand for. Where it occurs, as :class:`Quantize`."""

    kind: ClassVar[str] = "dequantize"
    grid: Grid
