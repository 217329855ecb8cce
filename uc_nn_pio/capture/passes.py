"""Passes ``Trace -> Trace`` that bring a captured network into the one form that the operator rules read.

Order matters and is that of :func:`normalize`: in-place operators first, so that every later pass may take each value
as made once and never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from uc_nn_pio.capture import quantized
from uc_nn_pio.capture.constants import computed
from uc_nn_pio.capture.rules import views
from uc_nn_pio.capture.trace import Call, Constant, Ref, Trace, renamed
from uc_nn_pio.errors import UnsupportedError

# Operators whose result may share its input's memory.
_VIEW_NAMES = (
    "alias alias_copy contiguous detach dropout feature_dropout expand flatten lift_fresh_copy permute reshape select "
    "slice split split_with_sizes squeeze swapaxes swapdims t to transpose unbind unflatten unsqueeze view view_as "
    "_unsafe_view broadcast_to chunk movedim moveaxis narrow"
)
_VIEWS = frozenset(_VIEW_NAMES.split())


def normalize(trace: Trace) -> Trace:
    """All passes in their order."""
    for step in (functionalize, fold_constants, join_matmul_add, join_rows, drop_dead):
        trace = step(trace)
    return trace


def functionalize(trace: Trace) -> Trace:
    """Turn ``relu_`` into ``relu``: whoever reads the changed value afterwards reads the result.

    Raises:
        UnsupportedError: a value is changed in place while another view of it is still read; the reader would see the
            change in torch.
    """
    names: dict[str, str] = {}
    root: dict[str, str] = {}
    calls: list[Call] = []
    for index, call in enumerate(trace.calls):
        arguments = {key: renamed(value, names) for key, value in call.arguments.items()}
        self_ref = arguments.get("self", arguments.get("input"))
        operator = call.operator
        in_place = operator.endswith("_") and not operator.startswith("_") and isinstance(self_ref, Ref)
        if isinstance(self_ref, Ref) and operator in _VIEWS:
            root.update({output: root.get(self_ref.name, self_ref.name) for output in call.outputs})
        if in_place:
            _check_no_other_view(trace, index, self_ref.name, names, root)
            for old, new in list(names.items()):
                if new == self_ref.name:
                    names[old] = call.outputs[0]
            names[self_ref.name] = call.outputs[0]
            if operator.rstrip("_").endswith("dropout"):  # the one family whose two forms differ in this name
                arguments = {"input": self_ref, **{key: value for key, value in arguments.items() if key != "self"}}
            call = replace(call, target=f"{operator[:-1]}.{call.target.rpartition('.')[2]}")
        calls.append(replace(call, arguments=arguments))
    return replace(trace, calls=tuple(calls), outputs=tuple(names.get(name, name) for name in trace.outputs))


def _check_no_other_view(trace: Trace, index: int, changed: str, names: dict[str, str], root: dict[str, str]) -> None:
    origin = root.get(changed, changed)
    later = {names.get(name, name) for call in trace.calls[index + 1 :] for name in call.reads()}
    later |= {names.get(name, name) for name in trace.outputs}
    if any(root.get(name, name) == origin for name in later - {changed}):
        call = trace.calls[index]
        raise UnsupportedError(
            f"{call.operator} changes in place a value that is still read through another view",
            where=_place(call),
            next_step=f"use the form that returns a new tensor: {call.operator.rstrip('_')}",
        )


def _place(call: Call) -> str:
    place = call.module or call.operator
    return f"{place} ({call.file}:{call.line})" if call.file and call.line else place


def fold_constants(trace: Trace) -> Trace:
    """Carry out what the network does with constants alone: transposes and copies (``linear`` may come as ``addmm``
    with a transposed weight), quantize and dequantize, and whatever else :mod:`constants` knows.

    Raises:
        UnsupportedError: a constant is quantized in a way that makes no sense.
    """
    constants = dict(trace.constants)
    calls = []
    for call in trace.calls:
        source = call.get("self", call.get("input"))
        fold = _FOLDS.get(call.operator)
        if fold and isinstance(source, Ref) and source.name in constants:
            constant = constants[source.name]
            constants[call.outputs[0]] = constant.moved(partial(fold, call=call))
        elif folded := _quantized(call, constants, trace):
            constants[call.outputs[0]] = folded
        elif (array := computed(call, constants)) is not None:
            constants[call.outputs[0]] = Constant("", array)
        else:
            calls.append(call)
    return replace(trace, calls=tuple(calls), constants=constants)


def _quantized(call: Call, constants: Mapping[str, Constant], trace: Trace) -> Constant | None:
    """What a quantize or dequantize makes of a constant; where it cannot, the layer that reads the result is named."""
    try:
        return quantized.fold(call, constants)
    except UnsupportedError as error:
        reader = call
        while reader.operator.startswith(quantized.LIBRARY) and (readers := trace.readers(reader.outputs[0])):
            reader = readers[0]
        raise UnsupportedError(error.what, where=_place(reader), why=error.why, next_step=error.next_step) from None


def _same(array: np.ndarray, call: Call) -> np.ndarray:
    return array


def _as_view(move: views.Move) -> Callable[[np.ndarray, Call], np.ndarray]:
    return lambda array, call: move(call, array)


_FOLDS: dict[str, Callable[[np.ndarray, Call], np.ndarray]] = {
    **{
        target.partition(".")[0]: _as_view(move)
        for move, targets in views.ANY_AXIS.items()
        for target in targets.split()
    },
    "numpy_T": lambda array, call: array.T,
    "view": lambda array, call: array.reshape(call.get("size")),
    "reshape": lambda array, call: array.reshape(call.get("shape")),
    "squeeze": lambda array, call: array.squeeze(call.get("dim")),
    "unsqueeze": lambda array, call: np.expand_dims(array, call.get("dim")),
    "alias": _same,
    "clone": _same,
    "contiguous": _same,
    "detach": _same,
    "lift_fresh_copy": _same,
}


def join_matmul_add(trace: Trace) -> Trace:
    """Write ``x @ w + b`` with constant ``w`` and ``b`` as one ``addmm``, as ``nn.Linear`` computes it."""
    products = {
        call.outputs[0]: call
        for call in trace.calls
        if call.operator in ("mm", "matmul") and _constant_name(trace, call, "mat2", "other")
    }
    calls: list[Call] = []
    joined: set[str] = set()
    for call in trace.calls:
        pair = (
            [call.get("self"), call.get("other")] if call.target == "add.Tensor" and call.get("alpha", 1) == 1 else []
        )
        for value, bias in (pair, pair[::-1]) if pair else ():
            product = products.get(value.name) if isinstance(value, Ref) else None
            if not product or not isinstance(bias, Ref) or bias.name not in trace.constants:
                continue
            vector = trace.constants[bias.name].array
            if vector.ndim != 1 or len(trace.readers(value.name)) > 1 or value.name in trace.outputs:
                continue
            weight = product.get("mat2", product.get("other"))
            joined.add(value.name)
            call = replace(
                product,
                target="addmm.default",
                arguments={"self": bias, "mat1": product.get("self"), "mat2": weight},
                outputs=call.outputs,
            )
            break
        calls.append(call)
    return replace(trace, calls=tuple(call for call in calls if call.outputs[0] not in joined))


def join_rows(trace: Trace) -> Trace:
    """Write ``view, addmm, view`` as one ``linear`` along the last axis: core ATen makes a matrix of all rows."""
    made = {output: call for call in trace.calls for output in call.outputs}
    constants = dict(trace.constants)
    calls = []
    for call in trace.calls:
        product = made.get(getattr(call.get("self"), "name", "")) if call.operator in _VIEWING else None
        joined = _along_last_axis(trace, product, call, made, constants) if product else None
        calls.append(joined or call)
    return replace(trace, calls=tuple(calls), constants=constants)


_VIEWING = ("view", "_unsafe_view", "reshape")


def _along_last_axis(
    trace: Trace, product: Call, behind: Call, made: Mapping[str, Call], constants: dict[str, Constant]
) -> Call | None:
    """The linear that a product and the view behind it are; its weight is put into ``constants``."""
    if product.operator not in ("addmm", "mm") or product.get("alpha", 1) != 1 or product.get("beta", 1) != 1:
        return None
    rows = product.get("mat1") if product.operator == "addmm" else product.get("self")
    front, weight = made.get(getattr(rows, "name", "")), _constant_name(trace, product, "mat2")
    if front is None or weight is None or front.operator not in _VIEWING or not isinstance(front.get("self"), Ref):
        return None
    source = front.get("self").name
    given, result = trace.shapes.get(source, ()), trace.shapes[behind.outputs[0]]
    if len(given) < 3 or given[:-1] != result[:-1] or trace.shapes[rows.name][-1] != given[-1]:
        return None
    name = f"{weight}.transposed"
    constants[name] = constants[weight].moved(np.transpose)
    bias = {"bias": product.get("self")} if product.operator == "addmm" else {}
    arguments = {"input": Ref(source), "weight": Ref(name), **bias}
    return replace(product, target="linear.default", arguments=arguments, outputs=behind.outputs)


def _constant_name(trace: Trace, call: Call, *roles: str) -> str | None:
    for role in roles:
        value = call.get(role)
        if isinstance(value, Ref) and value.name in trace.constants:
            return value.name
    return None


def drop_dead(trace: Trace) -> Trace:
    """Leave out calls that the output does not depend on, and constants that nothing reads."""
    needed = set(trace.outputs)
    kept: list[Call] = []
    for call in reversed(trace.calls):
        if needed.intersection(call.outputs):
            needed.update(call.reads())
            kept.append(call)
    constants = {name: constant for name, constant in trace.constants.items() if name in needed}
    return replace(trace, calls=tuple(reversed(kept)), constants=constants)
