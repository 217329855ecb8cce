"""Runs a :class:`Trace` with torch: how an exported program is executed here, operator by operator.

Only operators that have a rule are ever called, so that a file cannot reach any other function of torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from uc_nn_pio.capture.passes import normalize
from uc_nn_pio.capture.quantized import DEQUANTIZE, QUANTIZE, grid_of
from uc_nn_pio.capture.rules import RULES
from uc_nn_pio.capture.trace import Argument, Call, Ref, Trace
from uc_nn_pio.errors import Location, ModelError, UnsupportedError


class TraceModule(torch.nn.Module):
    """An exported program as a module: (N, ...) in, (N, ...) out, computed one by one as it was exported for one; a
    tuple of outputs where it has several."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = normalize(trace)
        self._values = {}
        for name, constant in self.trace.constants.items():
            array = constant.array.astype(np.float32) if constant.array.dtype.kind == "f" else constant.array
            self._values[name] = torch.from_numpy(np.ascontiguousarray(array))

    @property
    def runnable(self) -> bool:
        """Whether every operator has a rule; one that has none is never called."""
        return all(call.target in RULES for call in self.trace.calls)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """The network's outputs for each sample."""
        made = [self._run([value[None] for value in sample]) for sample in zip(*inputs, strict=True)]
        outputs = tuple(torch.cat([values[name] for values in made]) for name in self.trace.outputs)
        return outputs if len(outputs) > 1 else outputs[0]

    def check_shapes(self, path: Path) -> None:
        """Run once on zeros, and compare every shape with what the file says.

        Raises:
            ModelError: the file contradicts itself.
        """
        try:
            with torch.no_grad():
                made = self._run(self._zeros())
            wrong = [name for name, value in made.items() if self.trace.shapes.get(name, ()) != tuple(value.shape)]
            why = f"{wrong[0]} has shape {list(made[wrong[0]].shape)}" if wrong else ""
        except (RuntimeError, ValueError, IndexError, TypeError, KeyError, AttributeError) as error:
            wrong, why = ["?"], (str(error).strip().splitlines() or [type(error).__name__])[0]
        if wrong:
            raise ModelError(
                f"{path.name} contradicts itself: its layers do not give the shapes that it states",
                where=Location(path),
                why=why,
                next_step="export it again, unedited",
            )

    def _zeros(self) -> list[torch.Tensor]:
        kinds = (getattr(torch, self.trace.dtypes.get(name, "float32")) for name in self.trace.inputs)
        return [torch.zeros(self.trace.shapes[n], dtype=kind) for n, kind in zip(self.trace.inputs, kinds, strict=True)]

    def _run(self, inputs: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        made = dict(zip(self.trace.inputs, inputs, strict=True))
        for call in self.trace.calls:
            if call.target in (*QUANTIZE, *DEQUANTIZE):
                result = self._quantization(call, made)
            else:
                result = _operator(call)(**{key: self._argument(value, made) for key, value in _kept(call)})
            results = result if isinstance(result, tuple | list) else (result,)
            made.update(zip(call.outputs, results, strict=False))
        return made

    def _quantization(self, call: Call, made: dict[str, torch.Tensor]) -> torch.Tensor:
        """As torch's library of these operators, which need not be loaded: halves go to even."""
        grid, x = grid_of(call, self.trace.constants), self._argument(call.get("input"), made)
        if call.target in DEQUANTIZE:
            return (x.to(torch.float32) - grid.zero_point) * grid.scale
        steps = torch.round(x * (1.0 / grid.scale)) + grid.zero_point
        return torch.clamp(steps, grid.low, grid.high).to(getattr(torch, grid.dtype))

    def _argument(self, argument: Argument, made: dict[str, torch.Tensor]) -> Any:
        if isinstance(argument, Ref):
            return made[argument.name] if argument.name in made else self._values[argument.name]
        if isinstance(argument, tuple):
            return [self._argument(item, made) for item in argument]
        return argument


# Arguments that place or lay out a tensor; the values do not depend on them.
_LAYOUT = ("memory_format", "device", "layout", "pin_memory", "non_blocking", "copy", "dtype")


def _kept(call: Call) -> list[tuple[str, Argument]]:
    return [(key, value) for key, value in call.arguments.items() if key not in _LAYOUT]


def _operator(call: Call) -> Any:
    if call.target not in RULES:
        raise UnsupportedError(f"operator {call.operator} is not supported", where=call.module or call.operator)
    if call.operator in ("to", "_to_copy", "type_as"):
        return lambda **arguments: arguments["self"]
    if call.operator in ("view", "_unsafe_view"):  # of what a copy, which is left out, had made contiguous
        return lambda **arguments: arguments["self"].reshape(arguments["size"])
    packet, _, overload = call.target.rpartition(".")
    return getattr(getattr(torch.ops.aten, packet), overload)
