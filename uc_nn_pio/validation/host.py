"""Runs generated C on the host: compiled to a shared library, called through ctypes."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from uc_nn_pio.errors import ModelError, ToolError
from uc_nn_pio.graph.layout import from_memory, to_memory
from uc_nn_pio.graph.quant import QuantParams, to_int8, to_real

STRICT_FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror", "-ffp-contract=off")


class HostModel:
    """One generated model as native code. What its integers stand for is read from its header, as firmware would.

    Args:
        files: file name -> text, as the converter returns them.
        name: the model's name.
        shapes: torch's shapes of input and output, without the batch axis.
        folder: where to compile; the caller removes it.
        compiler: a C compiler on PATH.

    Raises:
        ToolError: no compiler, or the C does not compile without a warning.
    """

    def __init__(
        self,
        files: Mapping[str, str],
        name: str,
        shapes: tuple[tuple[int, ...], tuple[int, ...]],
        folder: Path,
        compiler: str = "gcc",
    ) -> None:
        self.name = name
        self.input_shape, self.output_shape = shapes
        header = files[f"{name}.h"]
        self.precision = _define(header, name, "PRECISION").strip('"')
        self.quant = (
            (_quant(header, name, "INPUT"), _quant(header, name, "OUTPUT")) if self.precision == "int8" else None
        )
        self._element = np.dtype(self.precision)
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
        for function, result in (fill | {"output": ctypes.c_void_p, "run": None}).items():
            self._functions[function] = getattr(self._library, f"{name}_{function}")
            self._functions[function].restype = result
        getattr(self._library, f"{name}_argmax").restype = ctypes.c_int32

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

    def argmax(self) -> int:
        """The class of the last run, as the C says it."""
        return int(getattr(self._library, f"{self.name}_argmax")(self._context))

    def _real(self, outputs: np.ndarray) -> np.ndarray:
        return to_real(outputs, self.quant[1]) if self.quant else outputs

    def _run(self, inputs: np.ndarray) -> np.ndarray:
        memory = to_memory(np.ascontiguousarray(inputs, self._element), rank=len(self.input_shape))
        out = []
        for flat in np.ascontiguousarray(memory):
            if not self.goes_on:
                self.reset_state()
            if self.streamed:
                self._push(flat.reshape(self.input_shape[1], -1))
            else:
                ctypes.memmove(self._functions["input"](self._context), flat.ctypes.data, flat.nbytes)
            out.append(self._finish())
        return from_memory(np.stack(out), self.output_shape)

    def _push(self, rows: np.ndarray) -> None:
        self._functions["reset"](self._context)
        for row in rows:
            ctypes.memmove(self._functions["row"](self._context), row.ctypes.data, row.nbytes)
            self._functions["push_row"](self._context)

    def _finish(self) -> np.ndarray:
        self._functions["run"](self._context)
        size = int(np.prod(self.output_shape))
        element = ctypes.c_int8 if self.quant else ctypes.c_float
        pointer = ctypes.cast(self._functions["output"](self._context), ctypes.POINTER(element))
        return np.ctypeslib.as_array(pointer, (size,)).copy()


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
    command = [compiler, *STRICT_FLAGS, "-O2", "-fPIC", "-shared", f"{name}.c", "-o", str(library)]
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


def _quant(header: str, name: str, which: str) -> QuantParams:
    scale = np.float32(_define(header, name, f"{which}_SCALE").removesuffix("f"))
    return QuantParams(scale, int(_define(header, name, f"{which}_ZERO_POINT")))
