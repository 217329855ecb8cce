"""Runs generated C on the host: compiled to a shared library, called through ctypes."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from uc_nn_pio.errors import ModelError, ToolError
from uc_nn_pio.graph.layout import from_memory, to_memory
from uc_nn_pio.graph.quant import QuantParams, to_int8, to_real

STRICT_FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror", "-ffp-contract=off")


_TELL = """\
/* Hands what the traced network tells to whoever asked for it. */
#include "{name}.h"

static void (*listener)(int32_t layer, const void *made, int32_t at, int32_t count);

void {name}_tell(void (*function)(int32_t layer, const void *made, int32_t at, int32_t count))
{{
    listener = function;
}}

void {name}_layer_begins(int32_t layer)
{{
    (void)layer;
}}

void {name}_layer_ends(int32_t layer, const {element} *made, int32_t at, int32_t count)
{{
    if (listener != 0) {{
        listener(layer, made, at, count);
    }}
}}
"""
_LISTENER = ctypes.CFUNCTYPE(None, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32)

Shapes = tuple[int, ...] | Mapping[str, tuple[int, ...]]
ONLY_INPUT, ONLY_OUTPUT = "input", "output"


class HostModel:
    """One generated model as native code. What its integers stand for is read from its header, as firmware would.

    Args:
        files: file name -> text, as the converter returns them.
        name: the model's name.
        shapes: torch's shapes of input and output, without the batch axis; of several, by their names.
        folder: where to compile; the caller removes it.
        compiler: a C compiler on PATH.

    Raises:
        ToolError: no compiler, or the C does not compile without a warning.
    """

    def __init__(
        self,
        files: Mapping[str, str],
        name: str,
        shapes: tuple[Shapes, Shapes],
        folder: Path,
        compiler: str = "gcc",
    ) -> None:
        self.name = name
        self.input_shapes, self.output_shapes = _by_name(shapes[0], ONLY_INPUT), _by_name(shapes[1], ONLY_OUTPUT)
        self.input_shape, self.output_shape = (next(iter(each.values())) for each in self._ends)
        header = files[f"{name}.h"]
        self.precision = _define(header, name, "PRECISION").strip('"')
        self.quant = (
            (_quant(header, name, "INPUT"), _quant(header, name, "OUTPUT")) if self.precision == "int8" else None
        )
        self._quants = {
            end: _quant(header, name, "INPUT" if end == ONLY_INPUT else "OUTPUT")
            if end in (ONLY_INPUT, ONLY_OUTPUT)
            else _quant(header, name, of=end)
            for ends in self._ends
            for end in (ends if self.quant else ())
        }
        self._element = np.dtype(self.precision)
        self.traced = f"void {name}_layer_ends(" in header
        if self.traced:
            element = "int8_t" if self.quant else "float"
            files = {**files, f"{name}_tell.c": _TELL.format(name=name, element=element)}
        library = _compile(files, name, folder, compiler)
        self._library = ctypes.CDLL(str(library))
        self._context = (ctypes.c_uint8 * int(_define(header, name, "CONTEXT_BYTES")))()
        self._functions = {}
        self.streamed = f"#define {name.upper()}_STREAMED 1" in header
        fill = (
            {"row": ctypes.c_void_p, "push_row": ctypes.c_int32, "reset": None}
            if self.streamed
            else {"input": ctypes.c_void_p}
        )
        if f"#define {name.upper()}_CARRIED 1" in header:
            fill = {**fill, "reset_state": None}
        fill = {**fill, **{f"input_{end}": ctypes.c_void_p for end in self.input_shapes if end != ONLY_INPUT}}
        fill = {**fill, **{f"output_{end}": ctypes.c_void_p for end in self.output_shapes if end != ONLY_OUTPUT}}
        for function, result in (fill | {"output": ctypes.c_void_p, "run": None}).items():
            self._functions[function] = getattr(self._library, f"{name}_{function}")
            self._functions[function].restype = result
        getattr(self._library, f"{name}_argmax").restype = ctypes.c_int32

    @property
    def _ends(self) -> tuple[Mapping[str, tuple[int, ...]], ...]:
        return self.input_shapes, self.output_shapes

    def run_named(self, inputs: Mapping[str, np.ndarray], *, integers: bool = False) -> dict[str, np.ndarray]:
        """Every output by its name, for every input by its name: (N, ...) float32 in torch's order, or an int8 model's
        own ``integers``. One input is called ``input``, one output ``output``."""
        given = {end: np.asarray(inputs[end]) for end in self.input_shapes}
        if self.quant and not integers:
            given = {end: to_int8(values, self._quants[end]) for end, values in given.items()}
        memory = {
            end: to_memory(np.ascontiguousarray(values, self._element), rank=len(self.input_shapes[end]))
            for end, values in given.items()
        }
        found: dict[str, list[np.ndarray]] = {end: [] for end in self.output_shapes}
        for number in range(len(next(iter(memory.values())))):
            self._fill({end: np.ascontiguousarray(values[number]) for end, values in memory.items()})
            self._functions["run"](self._context)
            for end, values in found.items():
                values.append(self._output(end))
        outputs = {end: from_memory(np.stack(v), self.output_shapes[end]) for end, v in found.items()}
        if self.quant and not integers:
            outputs = {end: to_real(values, self._quants[end]) for end, values in outputs.items()}
        return outputs

    goes_on = False
    """Whether a sample goes on in the state in which the one before has ended, where the model carries one."""

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """Outputs, (N, ...) float32 in torch's order, for inputs (N, ...) float32 in torch's order. An int8 model's
        inputs are quantized on the way in, and its outputs are what the integers stand for."""
        return self._real(self._run(to_int8(inputs, self.quant[0]) if self.quant else inputs))

    def reset_state(self) -> None:
        """The next run begins anew, where the model carries a state."""
        if "reset_state" in self._functions:
            self._functions["reset_state"](self._context)

    def run_integers(self, inputs: np.ndarray) -> np.ndarray:
        """An int8 model's own outputs for its own inputs: int8, (N, ...) in torch's order, both.

        Raises:
            ModelError: the model computes in float32, or the inputs are not int8.
        """
        if self.quant is None or inputs.dtype != np.int8:
            raise ModelError(f"{self.name} takes {self.precision}, not integers of type {inputs.dtype}")
        return self._run(inputs)

    def run_pixels(self, raw: np.ndarray) -> np.ndarray:
        """Outputs for raw frames (N, C, H, W) uint8, through the generated preprocessing; float32, as :meth:`run`."""
        channels, height, width = self.input_shape
        set_row = getattr(self._library, f"{self.name}_set_row")
        out = []
        for frame in to_memory(np.ascontiguousarray(raw), rank=3).reshape(-1, height, width * channels):
            for y, row in enumerate(frame):
                set_row(self._context, ctypes.c_int32(y), np.ascontiguousarray(row).ctypes.data_as(ctypes.c_void_p))
            out.append(self._finish())
        return self._real(from_memory(np.stack(out), self.output_shape))

    def trace(self, inputs: Mapping[str, np.ndarray], elements: Sequence[int]) -> list[np.ndarray | None]:
        """What each layer has made of one sample (inputs by name, (1, ...) each, of the model's own type): its
        ``elements`` in memory's order, or as many as it has told of; None of a layer without code of its own.

        Raises:
            ToolError: this is not the traced C.
        """
        if not self.traced:
            raise ToolError("this C tells nothing of its layers", where=f"{self.name}.h")
        made = [np.zeros(count, self._element) for count in elements]
        told = [0] * len(made)

        @_LISTENER
        def listen(layer: int, at: int, first: int, count: int) -> None:
            if count:
                ctypes.memmove(made[layer][first:].ctypes.data, at, count * self._element.itemsize)
                told[layer] += count

        tell = getattr(self._library, f"{self.name}_tell")
        tell(listen)
        try:
            self.run_named(inputs, integers=True)
        finally:
            tell(None)
        return [values[:count] if count else None for values, count in zip(made, told, strict=True)]

    def argmax(self) -> int:
        """The class of the last run, as the C says it."""
        return int(getattr(self._library, f"{self.name}_argmax")(self._context))

    def _real(self, outputs: np.ndarray) -> np.ndarray:
        return to_real(outputs, self.quant[1]) if self.quant else outputs

    def _run(self, inputs: np.ndarray) -> np.ndarray:
        (first,) = self.input_shapes
        return next(iter(self.run_named({first: inputs}, integers=self.quant is not None).values()))

    def _fill(self, sample: Mapping[str, np.ndarray]) -> None:
        if not self.goes_on:
            self.reset_state()
        for end, flat in sample.items():
            if self.streamed:
                self._push(flat.reshape(self.input_shape[1], -1))
            else:
                place = "input" if end == ONLY_INPUT else f"input_{end}"
                ctypes.memmove(self._functions[place](self._context), flat.ctypes.data, flat.nbytes)

    def _push(self, rows: np.ndarray) -> None:
        self._functions["reset"](self._context)
        for row in rows:
            ctypes.memmove(self._functions["row"](self._context), row.ctypes.data, row.nbytes)
            self._functions["push_row"](self._context)

    def _finish(self) -> np.ndarray:
        self._functions["run"](self._context)
        return self._output(next(iter(self.output_shapes)))

    def _output(self, end: str) -> np.ndarray:
        size = int(np.prod(self.output_shapes[end]))
        element = ctypes.c_int8 if self.quant else ctypes.c_float
        place = "output" if end == ONLY_OUTPUT else f"output_{end}"
        pointer = ctypes.cast(self._functions[place](self._context), ctypes.POINTER(element))
        return np.ctypeslib.as_array(pointer, (size,)).copy()


def _by_name(shapes: Shapes, only: str) -> Mapping[str, tuple[int, ...]]:
    return shapes if isinstance(shapes, Mapping) else {only: shapes}


def _compile(files: Mapping[str, str], name: str, folder: Path, compiler: str) -> Path:
    if shutil.which(compiler) is None:
        raise ToolError(
            f"the C compiler {compiler!r} is not on PATH",
            why="the network's C is compiled for this computer to check it",
            next_step="install gcc or clang",
        )
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
    library = folder / f"{name}.so"
    sources = sorted(file for file in files if file.endswith(".c"))
    command = [compiler, *STRICT_FLAGS, "-O2", "-fPIC", "-shared", *sources, "-o", str(library)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError("the generated C does not compile", where=f"{name}.c", why=done.stderr.strip())
    return library


def _define(header: str, name: str, macro: str) -> str:
    """What the model's header gives for a macro, without the parentheses around a negative number."""
    for line in header.splitlines():
        if line.startswith(f"#define {name.upper()}_{macro} "):
            return line.split(maxsplit=2)[2].strip("()")
    raise ToolError(
        f"the header does not define {name.upper()}_{macro}", why="it is not one of this converter's headers"
    )


def _quant(header: str, name: str, which: str = "", of: str = "") -> QuantParams:
    scale, zero_point = (f"{word}_OF_{of.upper()}" if of else f"{which}_{word}" for word in ("SCALE", "ZERO_POINT"))
    real = np.float32(_define(header, name, scale).removesuffix("f"))
    return QuantParams(real, int(_define(header, name, zero_point)))
