"""Trace -> Graph: rules applied, names given, errors of all layers collected."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from uc_nn_pio.capture.passes import normalize
from uc_nn_pio.capture.quantized import DEQUANTIZE, DEQUANTIZE_CHANNELS, refuse_unfinished
from uc_nn_pio.capture.rules import RULES, Step
from uc_nn_pio.capture.rules.recurrent import take_states
from uc_nn_pio.capture.trace import Call, Constant, Ref, Shape, Trace
from uc_nn_pio.capture.unsupported import advice
from uc_nn_pio.errors import ErrorGroup, Location, ModelError, UnsupportedError
from uc_nn_pio.graph.ir import DType, Graph, Node, Source, Tensor

INPUT = "input"


class Names:
    """Hands out names that are C identifiers, each once, whatever its case (macros are upper case)."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def fresh(self, wish: str) -> str:
        """``wish`` as a C identifier, with ``_1``, ``_2`` ... behind it where the name is taken."""
        stem = re.sub(r"[^0-9A-Za-z_]", "_", wish).strip("_") or "layer"
        stem = f"layer_{stem}" if stem[0].isdigit() else stem
        name, count = stem, 0
        while name.lower() in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name.lower())
        return name


def to_graph(
    trace: Trace, name: str, locations: Mapping[str, Location] | None = None, inputs: Sequence[str] = (INPUT,)
) -> Graph:
    """The graph of a captured network.

    Args:
        trace: as captured; it is normalized here.
        name: the graph's name.
        inputs: what to call its inputs.
        locations: for networks listed in a spec: where each layer stands, by module path.

    Raises:
        UnsupportedError: an operator or parameter has no kernel; an :class:`ErrorGroup` where there are several.
    """
    refuse_unfinished((call.target for call in trace.calls), name)
    return _Mapper(take_states(normalize(trace)), locations or {}).graph(name, inputs)


class _Mapper:
    def __init__(self, trace: Trace, locations: Mapping[str, Location]) -> None:
        self.trace = trace
        self.locations = locations
        self.names = Names()
        self.tensors: dict[str, Tensor] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.constant_names: dict[tuple[str, Shape, bytes], str] = {}
        self.nodes: list[Node] = []
        self.tensor_of: dict[str, str] = {}
        self.errors: list[UnsupportedError] = []

    def graph(self, name: str, inputs: Sequence[str]) -> Graph:
        for value, wish in zip(self.trace.inputs, inputs, strict=True):
            self.tensor_of[value] = self._tensor(wish, self.trace.shapes[value][1:])
        for call in self.trace.calls:
            self._map(call)
        if self.errors:
            raise self.errors[0] if len(self.errors) == 1 else ErrorGroup(list(self.errors))
        for number, value in enumerate(self.trace.outputs):
            if value not in self.tensor_of:
                which = "the output" if len(self.trace.outputs) == 1 else f"output {number}"
                raise ModelError(
                    f"{which} of {name} does not depend on its input",
                    why="forward returns a parameter or a constant",
                    next_step="return what the last layer computes",
                )
        made, outputs = (tuple(self.tensor_of[v] for v in values) for values in (self.trace.inputs, self.trace.outputs))
        return Graph(name, tuple(self.nodes), self.tensors, self.constants, made, outputs)

    def _map(self, call: Call) -> None:
        source = call.get("input")
        if (
            call.target in (*DEQUANTIZE, DEQUANTIZE_CHANNELS)
            and isinstance(source, Ref)
            and source.name not in self.tensor_of
        ):
            return  # the quantize in front has the same arguments and was refused for them
        try:
            for step in self._steps(call):
                self._add(call, step)
        except UnsupportedError as error:
            source = self._source(call, call.operator)
            self.errors.append(
                UnsupportedError(error.what, where=error.where or str(source), why=error.why, next_step=error.next_step)
            )

    def _steps(self, call: Call) -> list[Step]:
        rule = RULES.get(call.target)
        if rule is None:
            operator = call.operator.rpartition(".")[2].strip("_")
            near = f"{operator}.default" in RULES or any(target.startswith(f"{operator}.") for target in RULES)
            what = f"this form of {operator} ({call.target})" if near else f"operator {operator}"
            raise UnsupportedError(f"{what} is not supported", next_step=advice(call.operator))
        steps = rule(call, self.trace)
        dtype = self.trace.dtypes.get(call.outputs[0], "float32")
        if dtype != "float32" and steps[-1].dtype is DType.FLOAT32 and call.target != "argmax.default":
            raise UnsupportedError(
                f"{call.operator} computes in {dtype}, which is not supported",
                why="between layers stand float32 values, or quantize and dequantize as convert_pt2e writes them",
                next_step="remove the conversion; save the weights as float32",
            )
        return steps

    def _add(self, call: Call, step: Step) -> None:
        if any(value not in self.tensor_of for value in step.inputs):
            return  # an operator in front was refused, and the user hears of it
        source = self._source(call, step.stem)
        wish = _wish(call, step)
        name = self.names.fresh(wish)
        self.tensors[name] = Tensor(name, step.shape, step.dtype)
        self.tensor_of[step.output] = name
        constants = {role: self._constant(constant, f"{wish}.{role}") for role, constant in step.constants.items()}
        inputs = tuple(self.tensor_of[value] for value in step.inputs)
        self.nodes.append(Node(name, step.op, inputs, (name,), source, constants))

    def _tensor(self, wish: str, shape: Shape) -> str:
        name = self.names.fresh(wish)
        self.tensors[name] = Tensor(name, shape)
        return name

    def _constant(self, constant: Constant, unnamed: str) -> str:
        """The name under which the constant lies in the graph: float32, but for the integers of a bias."""
        integers = constant.array.dtype == np.int32 and not constant.name
        array = np.ascontiguousarray(constant.array, dtype=np.int32 if integers else np.float32)
        wish = constant.name or unnamed
        key = (wish, array.shape, array.tobytes())
        if key not in self.constant_names:
            name = self.constant_names[key] = self.names.fresh(wish)
            self.constants[name] = array
        return self.constant_names[key]

    def _source(self, call: Call, stem: str) -> Source:
        layer = call.module if _is_leaf(call) else f"{stem} in {call.module}" if call.module else stem
        location = self.locations.get(call.module)
        if location is not None:
            return Source(layer, str(location.file), location.line)
        return Source(layer, call.file and Path(call.file).name, call.line)


def _is_leaf(call: Call) -> bool:
    """Whether the call is all that a layer of torch does, so that the layer's path names it."""
    return bool(call.module) and call.module_class.startswith("torch.nn.modules.")


def _wish(call: Call, step: Step) -> str:
    if _is_leaf(call) and not step.aside:
        return call.module
    return f"{call.module}.{step.stem}" if call.module else step.stem
