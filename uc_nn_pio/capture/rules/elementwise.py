"""Sums, differences and products: of two computed tensors, or of one with a constant, which becomes a scale and a shift
of each channel and folds into a layer next to it where there is one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from uc_nn_pio.capture.rules.base import Rule, Step, activation_input, affine, gather, shape_without_batch
from uc_nn_pio.capture.trace import Call, Ref, Shape, Trace
from uc_nn_pio.capture.unsupported import NEAREST
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import Add, Elementwise, Mul, Reshape, Sub


@dataclass(frozen=True)
class Computed:
    """A value that is computed at inference; its shape is without the batch axis."""

    name: str
    shape: Shape


Operand = Computed | np.ndarray


def add(call: Call, trace: Trace) -> list[Step]:
    """The sum of two tensors, or of one and a constant. Shapes broadcast as torch's."""
    a, b = _operands(call, trace)
    before, b = _scaled(call, b)
    return before + _combined(call, trace, Add(), a, b)


def subtract(call: Call, trace: Trace) -> list[Step]:
    """The difference of two tensors, or of one and a constant, either way round."""
    a, b = _operands(call, trace)
    if call.operator == "rsub":  # other - alpha * self
        a, b = b, a
    before, b = _scaled(call, b)
    return before + _combined(call, trace, Sub(), a, b)


def multiply(call: Call, trace: Trace) -> list[Step]:
    """The product of two tensors, or of one and a constant."""
    return _combined(call, trace, Mul(), *_operands(call, trace))


def divide(call: Call, trace: Trace) -> list[Step]:
    """A tensor divided by a constant."""
    a, b = _operands(call, trace)
    if isinstance(b, Computed) or call.get("rounding_mode") is not None:
        raise UnsupportedError(
            f"{call.operator} by a value that is computed at inference, or with rounding, is not supported",
            next_step="a product is: multiply by what is known before inference",
        )
    if (b == 0).any():
        raise UnsupportedError(f"{call.operator} by 0 is not supported", next_step="look at the constant")
    return _combined(call, trace, Mul(), a, 1.0 / b)


def negate(call: Call, trace: Trace) -> list[Step]:
    """-x."""
    return _combined(call, trace, Mul(), _computed(trace, activation_input(call, trace)), np.float64(-1))


def power(call: Call, trace: Trace) -> list[Step]:
    """The square; other powers have no kernel."""
    source = _computed(trace, activation_input(call, trace))
    if call.get("exponent", 2) != 2:
        raise UnsupportedError(
            f"a power of {call.get('exponent')} is not supported", next_step="the square and products are: x * x"
        )
    return _combined(call, trace, Mul(), source, source)


def _computed(trace: Trace, name: str) -> Computed:
    return Computed(name, trace.shapes[name][1:])


def _operands(call: Call, trace: Trace) -> tuple[Operand, Operand]:
    found: list[Operand] = []
    for value in (call.get("self"), call.get("other")):
        if isinstance(value, Ref) and value.name in trace.constants:
            found.append(trace.constants[value.name].array.astype(np.float64))
        elif isinstance(value, Ref) and value.name in trace.shapes:
            found.append(_computed(trace, value.name))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append(np.float64(value))
        else:
            what = "a number that is computed at inference" if isinstance(value, Ref) else repr(value)
            raise UnsupportedError(f"{call.operator} of {what} is not supported", next_step=NEAREST["add"])
    return found[0], found[1]


def _scaled(call: Call, operand: Operand) -> tuple[list[Step], Operand]:
    """The operand times torch's ``alpha``, and what computes that."""
    alpha = call.get("alpha", 1)
    if alpha == 1 or not isinstance(operand, Computed):
        return [], operand if isinstance(operand, Computed) else operand * alpha
    name = f"{call.outputs[0]}.scaled"
    steps = affine(call, operand.name, name, operand.shape, float(alpha), 0.0, aside=True)
    return steps, Computed(name, operand.shape)


def _combined(call: Call, trace: Trace, op: Elementwise, a: Operand, b: Operand) -> list[Step]:
    shape = shape_without_batch(call, trace, call.outputs[0])
    if isinstance(a, Computed) and isinstance(b, Computed):
        return _of_two(call, op, a, b, shape)
    if not isinstance(a, Computed) and not isinstance(b, Computed):
        raise UnsupportedError(
            f"{call.operator} of two constants is not supported",
            next_step="compute it once, before the weights are saved",
        )
    source, constant = (a, b) if isinstance(a, Computed) else (b, a)
    before: list[Step] = []
    name = source.name
    if source.shape != shape:  # the constant is larger: the tensor is repeated first
        numbers = np.arange(math.prod(source.shape)).reshape(source.shape)
        before.append(gather(call, name, f"{call.outputs[0]}.wide", np.broadcast_to(numbers, shape), aside=True))
        name = before[0].output
    scale, shift = {
        Add: (1.0, constant),
        Sub: (1.0, -constant) if source is a else (-1.0, constant),
        Mul: (constant, 0.0),
    }[type(op)]
    return before + affine(call, name, call.outputs[0], shape, scale, shift)


def _of_two(call: Call, op: Elementwise, a: Computed, b: Computed, shape: Shape) -> list[Step]:
    steps, names = [], []
    for number, operand in enumerate((a, b)):
        name = operand.name
        if len(operand.shape) < len(shape):
            filled = (1,) * (len(shape) - len(operand.shape)) + operand.shape
            name = f"{call.outputs[0]}.operand{number}"
            steps.append(Step(Reshape(), "reshape", (operand.name,), name, filled, aside=True))
        names.append(name)
    return [*steps, Step(op, op.kind, tuple(names), call.outputs[0], shape)]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("add.Tensor", "add.Scalar"), add),
    **dict.fromkeys(("sub.Tensor", "sub.Scalar", "subtract.Tensor", "rsub.Tensor", "rsub.Scalar"), subtract),
    **dict.fromkeys(("mul.Tensor", "mul.Scalar", "multiply.Tensor", "multiply.Scalar"), multiply),
    **dict.fromkeys(("div.Tensor", "div.Scalar", "divide.Tensor", "true_divide.Tensor"), divide),
    "neg.default": negate,
    "pow.Tensor_Scalar": power,
    "square.default": power,
}
