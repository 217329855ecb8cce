"""A converted model on this computer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from uc_nn_pio.converter import Conversion
from uc_nn_pio.design import Design
from uc_nn_pio.emit.render import input_names, output_names
from uc_nn_pio.errors import ToolError
from uc_nn_pio.validation.host import HostModel, Shapes
from uc_nn_pio.validation.layers import LayerCheck, check_values, expected_layers


def ends_of(design: Design) -> tuple[Shapes, Shapes]:
    """Shapes of a model's input and output, of several by their names: what :class:`HostModel` takes."""
    graph, found = design.graph, []
    for tensors, names in ((graph.inputs, input_names(design)), (graph.outputs, output_names(design))):
        shapes = [graph.tensor(name).shape for name in tensors]
        found.append(dict(zip(names, shapes, strict=True)) if names else shapes[0])
    return found[0], found[1]


class HostTarget:
    """The C that a firmware gets, compiled for this computer; its layers are those of the traced C."""

    name = "host"

    def __init__(self, conversion: Conversion, folder: Path) -> None:
        self._design, self._conversion, self._folder = conversion.design, conversion, folder
        self._model = HostModel(conversion.files, conversion.name, ends_of(self._design), folder / "model")
        graph = self._design.graph
        if self._model.quant and self._model.quant != (
            graph.tensor(graph.inputs[0]).quant,
            graph.tensor(graph.outputs[0]).quant,
        ):
            raise ToolError("the header's scales are not those of the network", where=f"{conversion.name}.h")

    def _by_end(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """By the C's names: a single input has none of its own there."""
        given = [inputs[name] for name in self._design.graph.inputs]
        return dict(zip(self._model.input_shapes, given, strict=True))

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = self._model.run_named(self._by_end(inputs), integers=True)
        return dict(zip(self._design.graph.outputs, found.values(), strict=True))

    def check(self, sample: Mapping[str, np.ndarray]) -> tuple[LayerCheck, ...]:
        files, design = self._conversion.traced, self._design
        model = HostModel(files, self._conversion.name, ends_of(design), self._folder / "traced")
        made = model.trace(self._by_end(sample), [kernel.output.elements for kernel in design.kernels])
        return check_values(design, expected_layers(design, sample), made)

    def about(self) -> Mapping[str, Any]:
        return {}
