"""A live module as a :class:`Trace`, through ``torch.export``."""

from __future__ import annotations

import contextlib
import logging
import operator
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from uc_nn_pio.capture.trace import Argument, Call, Constant, IndexShape, Inputs, Ref, Shape, Trace
from uc_nn_pio.capture.user_code import is_user_file, user_line
from uc_nn_pio.errors import ModelError

_STACK_LINE = re.compile(r'File "([^"]+)", line (\d+)')
_ROOT = re.compile(r"^(L\['self'\]|L__self__)[._]*")


def trace_module(module: torch.nn.Module, inputs: Inputs, name: str) -> Trace:
    """Export ``module``, in eval mode and float32, for inputs of these shapes (without batch axis).

    Raises:
        ModelError: torch.export cannot follow the network, most often because its path depends on values.
    """
    try:
        # With gradients off, a torch.no_grad() in the user's forward changes nothing, and leaves no trace.
        with quiet(), torch.no_grad():
            program = torch.export.export(module, zeros(inputs), strict=False)
    except Exception as error:
        raise _export_error(error, name) from None
    return _Reader(program).trace()


def zeros(inputs: Inputs) -> tuple[torch.Tensor, ...]:
    """One sample of zeros for each input, with a batch axis."""
    kinds = [(shape, torch.int64 if isinstance(shape, IndexShape) else torch.float32) for shape in inputs.values()]
    return tuple(torch.zeros(1, *shape, dtype=kind) for shape, kind in kinds)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep torch's own warnings and logs from the user: what matters is said by our errors."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


_VALUE_ERRORS = (
    "DataDependent",
    "data-dependent",
    "DynamicOutputShape",
    "_local_scalar_dense",
    "bool(",
    "dynamic control",
)


def _export_error(error: Exception, name: str) -> ModelError:
    line = user_line(error)
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if any(mark in f"{type(error).__name__} {error}" for mark in _VALUE_ERRORS):
        return ModelError(
            f"the path through {name} depends on the values in a tensor",
            where=line or name,
            why="the generated C runs the same layers for every input",
            next_step="leave out if, while, .item(), nonzero() and boolean masks that look at a tensor's values",
        )
    return ModelError(
        f"torch.export cannot capture {name}: {text}",
        where=line or name,
        next_step="write forward with torch operators alone; see torch.export's documentation on its limits",
    )


class _Reader:
    """Reads an exported program's FX graph."""

    def __init__(self, program: Any) -> None:
        self.program = program
        self.names: dict[str, str] = {}  # FX node name of a getitem -> the value it takes out
        self.shapes: dict[str, Shape] = {}
        self.dtypes: dict[str, str] = {}
        self.constants: dict[str, Constant] = {}
        self.calls: list[Call] = []

    def trace(self) -> Trace:
        signature = self.program.graph_signature
        parameters = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        inputs, outputs = [], []
        for node in self.program.graph.nodes:
            if node.op == "placeholder" and node.name in parameters:
                self.constants[node.name] = Constant(parameters[node.name], self._constant(parameters[node.name]))
            elif node.op == "placeholder":
                inputs.append(node.name)
                self._note(node.name, node.meta.get("val"))
            elif node.op == "call_function":
                self._call(node)
            elif node.op == "output":
                changed = len(signature.buffers_to_mutate) + len(signature.user_inputs_to_mutate)
                outputs = [self.names.get(item.name, item.name) for item in node.args[0][changed:]]
        return Trace(tuple(inputs), tuple(outputs), tuple(self.calls), self.shapes, self.constants, self.dtypes)

    def _constant(self, path: str) -> np.ndarray:
        state = self.program.state_dict
        tensor = state[path] if path in state else self.program.constants[path]
        return to_array(tensor)

    def _note(self, name: str, value: object) -> None:
        if isinstance(value, torch.Tensor):
            self.shapes[name] = tuple(int(size) for size in value.shape)
            self.dtypes[name] = str(value.dtype).removeprefix("torch.")

    def _call(self, node: Any) -> None:
        if node.target is operator.getitem:
            self.names[node.name] = f"{node.args[0].name}.{node.args[1]}"
            self._note(self.names[node.name], node.meta.get("val"))
            return
        value = node.meta.get("val")
        many = isinstance(value, tuple | list)
        outputs = tuple(f"{node.name}.{index}" for index in range(len(value))) if many else (node.name,)
        for name, item in zip(outputs, value if many else (value,), strict=True):
            self._note(name, item)
        path, class_name = module_of(list((node.meta.get("nn_module_stack") or {}).values()))
        file, line = source_line(node.meta.get("stack_trace") or "")
        target, arguments = self._arguments(node)
        self.calls.append(Call(target, arguments, outputs, path, class_name, file, line))

    def _arguments(self, node: Any) -> tuple[str, dict[str, Argument]]:
        target = node.target
        if not isinstance(target, torch._ops.OpOverload):
            return f"{getattr(target, '__name__', str(target))}.default", {
                str(index): self._argument(item) for index, item in enumerate(node.args)
            }
        names = [argument.name for argument in target._schema.arguments]
        arguments = {name: self._argument(item) for name, item in zip(names, node.args, strict=False)}
        arguments |= {name: self._argument(item) for name, item in node.kwargs.items()}
        operator_name = target._schema.name.removeprefix("aten::").replace("::", ".")
        return f"{operator_name}.{target._overloadname}", arguments

    def _argument(self, item: Any) -> Argument:
        if isinstance(item, torch.fx.Node):
            return Ref(self.names.get(item.name, item.name))
        if isinstance(item, list | tuple):
            return tuple(self._argument(inner) for inner in item)
        if item is None or isinstance(item, bool | int | float | str):
            return item
        return str(item).removeprefix("torch.")


def to_array(tensor: torch.Tensor) -> np.ndarray:
    """A tensor's values as NumPy, detached; bfloat16, which NumPy lacks, as float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy().copy()


def module_of(stack: list[tuple[str, Any]]) -> tuple[str, str]:
    """Path and class name of the innermost module of an ``nn_module_stack``."""
    if not stack:
        return "", ""
    path, kind = stack[-1]
    class_name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    return _ROOT.sub("", path).partition("@")[0], class_name


def source_line(stack_trace: str, *, check: bool = True) -> tuple[str | None, int | None]:
    """The innermost line of user code in a stack trace, and its file.

    With ``check`` off the files are another machine's, and only torch's own are left out.
    """
    for file, line in reversed(_STACK_LINE.findall(stack_trace)):
        if is_user_file(Path(file)) if check else not re.search(r"(site|dist)-packages|[/\\]torch[/\\]", file):
            return file, int(line)
    return None, None
