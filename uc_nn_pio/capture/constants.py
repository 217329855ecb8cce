"""What a network computes without its input: ranges, zeros, positional encodings, places to gather from.

NumPy does it once, in torch's types, and the result is a constant like any other.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

import numpy as np

from uc_nn_pio.capture.trace import Argument, Call, Constant, Ref

MOST_ELEMENTS = 1 << 22
"""More are not worked out: no microcontroller holds them."""

_DTYPES = {
    **{"float32": np.float32, "float64": np.float64, "float16": np.float16, "bool": np.bool_},
    **{f"int{bits}": np.dtype(f"int{bits}").type for bits in (8, 16, 32, 64)},
    "uint8": np.uint8,
}


def computed(call: Call, constants: Mapping[str, Constant]) -> np.ndarray | None:
    """The call's value where it depends on constants alone and is known here, else None."""
    work = _CREATED.get(call.operator)
    if work is None:
        work = _WORKED.get(call.operator)
        if work is None or not any(True for _ in call.reads()) or any(name not in constants for name in call.reads()):
            return None
    if len(call.outputs) != 1:
        return None

    def value(name: str, default: Argument = None) -> object:
        return _plain(call.get(name, default), constants)

    try:
        array = np.asarray(work(value))
    except (TypeError, ValueError, IndexError, KeyError, OverflowError):
        return None  # a form of the call that is not known here: its rule says what is wrong
    return array if 0 < array.size <= MOST_ELEMENTS else None


def _plain(value: Argument, constants: Mapping[str, Constant]) -> object:
    if isinstance(value, Ref):
        return constants[value.name].array
    if isinstance(value, tuple):
        return tuple(_plain(item, constants) for item in value)
    return value


Value = Callable[..., object]
"""``value(name, default)``: an argument of the call, references as arrays."""


def _dtype(value: Value, default: type) -> type:
    name = value("dtype")
    return default if name is None else _DTYPES[str(name).removeprefix("torch.")]


def _arange(value: Value) -> np.ndarray:
    start, end, step = value("start", 0), value("end"), value("step", 1)
    whole = all(isinstance(each, int) for each in (start, end, step))
    return np.arange(start, end, step).astype(_dtype(value, np.int64 if whole else np.float32))


def _filled(number: float | None) -> Callable[[Value], np.ndarray]:
    def work(value: Value) -> np.ndarray:
        filling = value("fill_value") if number is None else number
        return np.full(value("size"), filling, _dtype(value, np.float32))

    return work


def _of_two(function: Callable) -> Callable[[Value], np.ndarray]:
    def work(value: Value) -> np.ndarray:
        a, b = value("self"), value("other")
        alpha = value("alpha", 1)
        result = function(_typed(a, b), _typed(b, a) if alpha == 1 else _typed(b, a) * alpha)
        return result.astype(np.float32) if result.dtype == np.float64 else result

    return work


def _typed(value: object, other: object) -> np.ndarray:
    """A number beside an array takes its type, a fraction beside whole numbers is float32: as in torch."""
    if isinstance(value, np.ndarray):
        return value
    kind = other.dtype if isinstance(other, np.ndarray) else np.dtype(np.float32)
    return np.asarray(value, np.float32 if isinstance(value, float) and kind.kind in "iub" else kind)


def _of_one(function: Callable) -> Callable[[Value], np.ndarray]:
    def work(value: Value) -> np.ndarray:
        array = value("self")
        whole = array.dtype.kind in "iub"
        return function(array.astype(np.float32) if whole and function not in (np.negative, np.abs) else array)

    return work


def _as_type(value: Value) -> np.ndarray:
    array = value("self")
    return array.astype(_dtype(value, array.dtype.type))


def _divided(value: Value) -> np.ndarray:
    mode = value("rounding_mode")
    quotient = _of_two(lambda a, b: np.float32(1) * a / b)(value)
    return quotient if mode is None else {"floor": np.floor, "trunc": np.trunc}[mode](quotient)


_CREATED: dict[str, Callable[[Value], object]] = {
    "arange": _arange,
    "zeros": _filled(0),
    "ones": _filled(1),
    "full": _filled(None),
    "scalar_tensor": lambda value: np.asarray(value("s"), _dtype(value, np.float32)),
}
_WORKED: dict[str, Callable[[Value], object]] = {
    **{"add": _of_two(operator.add), "sub": _of_two(operator.sub), "mul": _of_two(operator.mul)},
    **{"div": _divided, "neg": _of_one(np.negative), "abs": _of_one(np.abs)},
    **{name: _of_one(getattr(np, name)) for name in ("sin", "cos", "exp", "sqrt", "log", "floor", "ceil")},
    **{"remainder": _of_two(np.remainder), "fmod": _of_two(np.fmod)},
    "rsqrt": _of_one(lambda array: 1 / np.sqrt(array)),
    "reciprocal": _of_one(lambda array: 1 / array),
    "pow": lambda value: np.power(_typed(value("self"), value("exponent")), _typed(value("exponent"), value("self"))),
    "clamp": lambda value: np.clip(value("self"), value("min"), value("max")),
    **dict.fromkeys(("to", "_to_copy"), _as_type),
    "cat": lambda value: np.concatenate(value("tensors"), axis=int(value("dim", 0))),
    "stack": lambda value: np.stack(value("tensors"), axis=int(value("dim", 0))),
    "select": lambda value: np.take(value("self"), int(value("index")), axis=int(value("dim"))),
    "flatten": lambda value: value("self").ravel() if value("start_dim", 0) == 0 else _refuse(),
    "zeros_like": lambda value: np.zeros_like(value("self")),
    "ones_like": lambda value: np.ones_like(value("self")),
}


def _refuse() -> np.ndarray:
    raise ValueError("not known here")
