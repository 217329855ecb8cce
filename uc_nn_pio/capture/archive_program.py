"""The JSON of an exported program as a :class:`Trace`.

Schema: ``torch/_export/serde/schema.py``, major version 8. Sizes that were exported as symbols (a
dynamic batch) are computed for the input shape of the model spec.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from uc_nn_pio.capture import expressions
from uc_nn_pio.capture.exporter import module_of, source_line, to_array
from uc_nn_pio.capture.quantized import refuse_unfinished
from uc_nn_pio.capture.trace import Argument, Call, Constant, Inputs, Ref, Shape, Trace
from uc_nn_pio.errors import ModelError, UnsupportedError

if TYPE_CHECKING:
    from uc_nn_pio.capture.archive import Archive

_SCHEMA_MAJOR = 8
# ScalarType of torch/_export/serde/schema.py -> (torch's name, NumPy's type in the file)
_DTYPES = {
    1: ("uint8", "<u1"),
    2: ("int8", "<i1"),
    3: ("int16", "<i2"),
    4: ("int32", "<i4"),
    5: ("int64", "<i8"),
    6: ("float16", "<f2"),
    7: ("float32", "<f4"),
    8: ("float64", "<f8"),
    12: ("bool", "|b1"),
    13: ("bfloat16", "<u2"),
}
_MOST_ELEMENTS = 1 << 27
_MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, StopIteration)


@dataclass(frozen=True)
class KnownInput:
    """An input, as far as a network's file tells. ``shape`` is without the batch axis, ``None`` for a size that is not
    known, and ``None`` altogether where the file says nothing. ``whole``: it takes whole numbers, ``tokens`` of them
    where an embedding reads it."""

    name: str
    shape: tuple[int | None, ...] | None = None
    whole: bool = False
    tokens: int | None = None


def program_inputs(archive: Archive, model: str) -> list[KnownInput]:
    """The inputs of ``models/<model>.json``.

    Raises:
        ModelError: the file is damaged, or an input has no batch axis.
    """
    from uc_nn_pio.capture.archive import EXPORT_AGAIN, damaged

    try:
        module = archive.json(f"models/{model}.json")["graph_module"]
        values, nodes = module["graph"]["tensor_values"], module["graph"]["nodes"]
        given = [spec["user_input"]["arg"] for spec in module["signature"]["input_specs"] if "user_input" in spec]
        names = [argument["as_tensor"]["name"] for argument in given if "as_tensor" in argument]
        found = []
        for name in names:
            sizes = [int(size["as_int"]) if "as_int" in size else None for size in values[name]["sizes"]]
            if len(sizes) < 2:
                raise ModelError(
                    f"{archive.path.name} takes {name} of shape {sizes}",
                    where=archive.where,
                    why="the first axis of an input is the batch, and the network's own follow",
                    next_step=EXPORT_AGAIN.format(name=archive.path.name),
                )
            whole = _DTYPES.get(values[name]["dtype"], ("",))[0].startswith(("int", "uint"))
            found.append(KnownInput(name, tuple(sizes[1:]), whole, _tokens(name, nodes, values) if whole else None))
        return found
    except _MALFORMED as error:
        raise damaged(archive.path, f"models/{model}.json does not follow torch's schema: {error!r}") from None


def _tokens(name: str, nodes: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> int | None:
    """How many rows the embedding has that reads the input ``name``, if one does."""
    for node in nodes:
        arguments = {entry["name"]: entry["arg"].get("as_tensor", {}).get("name") for entry in node["inputs"]}
        if node["target"] == "torch.ops.aten.embedding.default" and arguments.get("indices") == name:
            return int(values[arguments["weight"]]["sizes"][0]["as_int"])
    return None


def read_program(archive: Archive, model: str, inputs: Inputs) -> Trace:
    """The trace of ``models/<model>.json`` for inputs of these shapes (without the batch axis).

    Raises:
        ModelError: it was written by another schema, for another shape, or is damaged.
        UnsupportedError: exported in training mode.
    """
    from uc_nn_pio.capture.archive import EXPORT_AGAIN, damaged

    document = archive.json(f"models/{model}.json")
    try:
        version = document["schema_version"]["major"]
        if version != _SCHEMA_MAJOR:
            raise ModelError(
                f"{archive.path.name} has schema {version}, written by torch {document.get('torch_version', '?')}",
                where=archive.where,
                why=f"schema {_SCHEMA_MAJOR} is known: torch 2.9 to 2.13 write it",
                next_step=EXPORT_AGAIN.format(name=archive.path.name),
            )
        return _Program(archive, model, document["graph_module"], inputs).trace()
    except _MALFORMED as error:
        raise damaged(archive.path, f"models/{model}.json does not follow torch's schema: {error!r}") from None


class _Program:
    def __init__(self, archive: Archive, model: str, graph_module: Mapping[str, Any], inputs: Inputs) -> None:
        self.archive = archive
        self.graph = graph_module["graph"]
        self.signature = graph_module["signature"]
        self.payloads = _Payloads(archive, model)
        self.symbols: dict[str, int] = {}
        self.inputs = inputs

    def trace(self) -> Trace:
        refuse_unfinished((node["target"] for node in self.graph["nodes"]), self.archive.path.name)
        constants: dict[str, Constant] = {}
        fixed: dict[str, Argument] = {}
        inputs: list[str] = []
        for spec in self.signature["input_specs"]:
            self._input(spec, constants, fixed, inputs)
        outputs = [self._output(spec) for spec in self.signature["output_specs"]]
        if len(inputs) != len(self.inputs):
            raise ModelError(
                f"{self.archive.path.name} has {len(inputs)} inputs ({', '.join(inputs)}); the spec gives "
                f"{len(self.inputs)}",
                where=self.archive.where,
                next_step="name each under `inputs:`, in the order of forward's arguments",
            )
        for name, shape in zip(inputs, self.inputs.values(), strict=True):
            self._bind(name, shape)
        values = self.graph["tensor_values"]
        shapes = {name: tuple(self._size(size) for size in meta["sizes"]) for name, meta in values.items()}
        dtypes = {name: _DTYPES[meta["dtype"]][0] for name, meta in values.items() if meta["dtype"] in _DTYPES}
        self.fixed = {**fixed, **self._scalars()}
        calls = tuple(call for node in self.graph["nodes"] if (call := self._call(node)))
        return Trace(tuple(inputs), tuple(outputs), calls, shapes, constants, dtypes)

    def _input(
        self, spec: Mapping[str, Any], constants: dict[str, Constant], fixed: dict[str, Argument], inputs: list[str]
    ) -> None:
        ((kind, entry),) = spec.items()
        if kind == "user_input":
            ((argument, value),) = entry["arg"].items()
            if argument == "as_tensor":
                inputs.append(value["name"])
            elif argument not in ("as_none", "as_int", "as_float", "as_bool", "as_string"):
                inputs.append(argument)
        elif kind in ("parameter", "buffer", "tensor_constant"):
            path = entry[{"parameter": "parameter_name", "buffer": "buffer_name"}.get(kind, "tensor_constant_name")]
            constants[entry["arg"]["name"]] = Constant(path, self.payloads.array(path))
        elif kind == "constant_input":
            ((_, value),) = entry["value"].items()
            fixed[entry["name"]] = value
        else:
            raise UnsupportedError(f"an input of kind {kind} is not supported", where=self.archive.where)

    def _output(self, spec: Mapping[str, Any]) -> str:
        ((kind, entry),) = spec.items()
        if kind in ("buffer_mutation", "parameter_mutation"):
            raise UnsupportedError(
                f"{self.archive.path.name} changes its own weights when it runs",
                where=self.archive.where,
                why="it was exported in training mode",
                next_step="call model.eval() before torch.export.export",
            )
        if kind != "user_output":
            raise UnsupportedError(f"an output of kind {kind} is not supported", where=self.archive.where)
        return entry["arg"]["as_tensor"]["name"]

    def _bind(self, name: str, shape: Shape) -> None:
        """Give the symbols of an input's shape the sizes of the spec's, with a batch of one."""
        sizes, want = self.graph["tensor_values"][name]["sizes"], (1, *shape)
        for size, value in zip(sizes, want, strict=False):
            tree = expressions.parse(size["as_expr"]["expr_str"]) if "as_expr" in size else None
            if tree is not None and hasattr(tree, "id"):
                self.symbols.setdefault(tree.id, value)
        have = tuple(self._size(size) for size in sizes)
        if have != want:
            fits = f", with [{', '.join(map(str, have[1:]))}] in input.shape" if have[:1] == (1,) else ""
            raise ModelError(
                f"{self.archive.path.name} was exported for an input of shape {list(have)}, not {list(want)}",
                where=self.archive.where,
                why="the first axis is the batch, which is 1 here; the others are input.shape in the spec",
                next_step=f"export it for torch.zeros{want}{fits}",
            )

    def _size(self, size: Mapping[str, Any]) -> int:
        if "as_int" in size:
            return int(size["as_int"])
        return expressions.evaluate(expressions.parse(size["as_expr"]["expr_str"]), self.symbols)

    def _scalars(self) -> dict[str, Argument]:
        """Sizes that the program computes (``x.size(0)``), now numbers. What the symbols do not decide is left out."""
        scalars: dict[str, Argument] = {}
        for name, size in self.graph["sym_int_values"].items():
            try:
                scalars[name] = self._size(size)
            except KeyError:
                continue
        return scalars

    def _call(self, node: Mapping[str, Any]) -> Call | None:
        outputs = [name for output in node["outputs"] for name in _names(output)]
        if not outputs or not any(name in self.graph["tensor_values"] for name in outputs):
            return None  # arithmetic on sizes and checks of them: the sizes are numbers already
        arguments = {entry["name"]: self._argument(entry["arg"]) for entry in node["inputs"]}
        metadata = node["metadata"]
        stack = [tuple(item.split(",", 2)[1:]) for item in metadata.get("nn_module_stack", "").split(";") if item]
        path, class_name = module_of(stack)
        file, line = source_line(metadata.get("stack_trace", ""), check=False)
        return Call(_target(node["target"]), arguments, tuple(outputs), path, class_name, file, line)

    def _argument(self, argument: Mapping[str, Any]) -> Argument:
        ((kind, value),) = argument.items()
        if kind == "as_none":
            return None
        if kind in ("as_tensor", "as_sym_int", "as_sym_float", "as_sym_bool", "as_optional_tensor"):
            return self._reference(value)
        if kind in ("as_tensors", "as_sym_ints", "as_sym_floats", "as_sym_bools", "as_optional_tensors"):
            return tuple(self._reference(item) for item in value)
        if kind in ("as_int", "as_bool", "as_string"):
            return value
        if kind == "as_float":
            return float(value)
        if kind in ("as_ints", "as_bools"):
            return tuple(value)
        if kind == "as_floats":
            return tuple(float(item) for item in value)
        if kind == "as_scalar_type":
            return _DTYPES[value][0] if value in _DTYPES else f"scalar type {value}"
        return kind  # memory formats, devices, layouts: nothing that shapes the numbers

    def _reference(self, value: Mapping[str, Any]) -> Argument:
        if "as_tensor" in value:
            value = value["as_tensor"]
        for literal in ("as_int", "as_float", "as_bool"):
            if literal in value:
                return value[literal]
        if "as_none" in value:
            return None
        name = value.get("as_name", value.get("name"))
        if not isinstance(name, str):
            raise ValueError(f"argument {value!r} names no value")
        return self.fixed.get(name, Ref(name))


def _target(name: str) -> str:
    """A call's operator as :class:`Call` names it: with its overload, and with its library where that is not ATen."""
    for prefix in ("torch.ops.aten.", "torch.ops."):
        if name.startswith(prefix) and name.count(".") == 4:
            return name.removeprefix(prefix)
    return f"{name.rpartition('.')[2]}.default"


def _names(output: Mapping[str, Any]) -> list[str]:
    ((kind, value),) = output.items()
    if kind == "as_tensors":
        return [item["name"] for item in value]
    if kind in ("as_tensor", "as_sym_int", "as_sym_bool", "as_sym_float"):
        return [value.get("name", value.get("as_name", ""))]
    return []


class _Payloads:
    """Weights and constants of an archive: raw numbers, or in older files one pickled mapping."""

    def __init__(self, archive: Archive, model: str) -> None:
        self.archive = archive
        self.tensors: dict[str, np.ndarray] = {}
        self.metas: dict[str, tuple[str, Mapping[str, Any]]] = {}
        for folder in ("weights", "constants"):
            pickled = f"data/{folder}/{model}.pt"
            config = f"data/{folder}/{model}_{folder}_config.json"
            if pickled in archive.members:
                self.tensors |= {name: to_array(tensor) for name, tensor in _unpickled(archive, pickled).items()}
            elif config in archive.members:
                entries = archive.json(config)["config"]
                self.metas |= {path: (f"data/{folder}/{meta['path_name']}", meta) for path, meta in entries.items()}

    def array(self, path: str) -> np.ndarray:
        """The constant called ``path`` (``conv1.weight``).

        Raises:
            KeyError, ValueError: the archive lacks it, or has too few bytes of it.
            ModelError: NaN or infinity in it.
        """
        if path not in self.tensors:
            member, meta = self.metas[path]
            data = self.archive.members[member]
            self.tensors[path] = (
                _unpickled(self.archive, member) if meta["use_pickle"] else _raw(data, meta["tensor_meta"])
            )
            if not isinstance(self.tensors[path], np.ndarray):
                self.tensors[path] = to_array(self.tensors[path])
        array = self.tensors[path]
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelError(
                f"the weights in {self.archive.path.name} are not all finite numbers: {path}",
                where=self.archive.where,
                why=f"{int((~np.isfinite(array)).sum())} of {array.size} values are NaN or infinite",
                next_step="training diverged: train again, with a smaller learning rate",
            )
        return array


def _unpickled(archive: Archive, member: str) -> Any:
    import torch

    return torch.load(io.BytesIO(archive.members[member]), map_location="cpu", weights_only=True)


def _raw(data: bytes, meta: Mapping[str, Any]) -> np.ndarray:
    """Numbers in a file, by size, stride and offset, all within the bytes there are."""
    name, code = _DTYPES[meta["dtype"]]
    sizes = [int(size["as_int"]) for size in meta["sizes"]]
    strides = [int(stride["as_int"]) for stride in meta["strides"]]
    offset = int(meta["storage_offset"]["as_int"])
    numbers = np.frombuffer(data, dtype=code)
    if min([offset, *sizes, *strides], default=0) < 0 or int(np.prod(sizes, dtype=object)) > _MOST_ELEMENTS:
        raise ValueError(f"sizes {sizes}, strides {strides}")
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if 0 in sizes:
        return np.zeros(sizes, dtype=code)
    if last >= numbers.size:
        raise ValueError(f"{numbers.size} numbers where {last + 1} are needed")
    steps = [stride * numbers.itemsize for stride in strides]
    array = np.lib.stride_tricks.as_strided(numbers[offset:], sizes, steps).copy()
    return (array.astype(np.uint32) << 16).view(np.float32) if name == "bfloat16" else array
