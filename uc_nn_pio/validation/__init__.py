"""The same test data through torch, the generated C and, for int8, the integer reference: accuracy, agreement, worst
difference."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uc_nn_pio.design import Design
from uc_nn_pio.emit.render import input_names, output_names
from uc_nn_pio.errors import Location, NotBuiltError, SpecError, ToolError
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.quant import to_int8, to_real
from uc_nn_pio.reference import integer
from uc_nn_pio.samples import network_input, read_inputs, read_samples
from uc_nn_pio.spec import ModelSpec, load_spec
from uc_nn_pio.validation.host import HostModel, Shapes

TARGETS = ("host",)


@dataclass(frozen=True)
class Validation:
    """What a validation found. ``worst_difference`` is relative to the largest logit of its sample (absolute).

    ``outputs`` counts output values, all samples together; ``integer_differences`` those of an int8 model that are not
    the integer reference's, of which there must be none. None in float32, where the last bits may differ.
    """

    model: str
    target: str
    samples: int
    accuracy: float
    torch_accuracy: float
    same_class: int
    worst_difference: float
    min_accuracy: float | None
    precision: str = "float32"
    outputs: int = 0
    integer_differences: int | None = None

    @property
    def passed(self) -> bool:
        """Accurate enough, and the integers are the reference's."""
        return (self.min_accuracy is None or self.accuracy >= self.min_accuracy) and not self.integer_differences

    def as_dict(self) -> Mapping[str, Any]:
        return {**asdict(self), "passed": self.passed}

    def text(self) -> str:
        limit = "" if self.min_accuracy is None else f" (at least {100 * self.min_accuracy:.2f} % is asked for)"
        lines = [
            f"{self.model}, {self.precision}, on {self.target}: {'passed' if self.passed else 'FAILED'}",
            f"  accuracy           {100 * self.accuracy:.2f} % of {self.samples} samples{limit}",
            f"  torch's accuracy   {100 * self.torch_accuracy:.2f} %",
            f"  same class         {self.same_class} of {self.samples}",
            f"  worst difference   {self.worst_difference:.2e} of the largest output",
        ]
        if self.integer_differences is not None:
            meaning = "" if self.integer_differences == 0 else ": a defect of the converter or the compiler"
            lines.append(f"  integer reference  {self.integer_differences} of {self.outputs} outputs differ{meaning}")
        return "\n".join(lines)


def validate(spec: Path | ModelSpec, on: str = "host") -> Validation:
    """Run the spec's test data through torch and the C of the model.

    Raises:
        UcNnError: the spec names no test data, the data do not fit, or the target is not built yet.
    """
    from uc_nn_pio.capture import load_model  # imports torch
    from uc_nn_pio.capture.inference import run_module
    from uc_nn_pio.converter import convert

    if on not in TARGETS:
        raise NotBuiltError(f"validation on {on!r} is not built yet", next_step=f"use --on {' or '.join(TARGETS)}")
    if not isinstance(spec, ModelSpec):
        spec = load_spec(spec)
    inputs, labels = load_inputs(spec)
    conversion = convert(spec)
    graph = conversion.design.graph
    shapes = ends_of(conversion.design)
    with tempfile.TemporaryDirectory(prefix="uc_nn_") as folder:
        host = HostModel(conversion.files, spec.name, shapes, Path(folder))
        target, differences = _outputs(host, graph, inputs)
    tokens = {each.name for each in spec.inputs if each.tokens is not None}
    given = [values.astype(np.int64) if name in tokens else values for name, values in inputs.items()]
    expected = run_module(load_model(spec), *given)
    target, expected = target.reshape(len(labels), -1), expected.reshape(len(labels), -1)
    scale = np.maximum(np.abs(expected).max(axis=1), np.finfo(np.float32).tiny)
    return Validation(
        model=spec.name,
        target=on,
        samples=len(labels),
        accuracy=float((target.argmax(axis=1) == labels).mean()),
        torch_accuracy=float((expected.argmax(axis=1) == labels).mean()),
        same_class=int((target.argmax(axis=1) == expected.argmax(axis=1)).sum()),
        worst_difference=float((np.abs(target - expected).max(axis=1) / scale).max()),
        min_accuracy=spec.validate.min_accuracy,
        precision=conversion.design.precision,
        outputs=target.size,
        integer_differences=differences,
    )


def _outputs(host: HostModel, graph: Graph, inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, int | None]:
    """The C's (first) output as float32, and how many integers of all outputs are not the reference's; None in
    float32."""
    entry, last = graph.tensor(graph.inputs[0]), graph.tensor(graph.outputs[0])
    first = next(iter(host.output_shapes))

    def named(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A single input has no name of its own in the C."""
        return dict(zip(host.input_shapes, values.values(), strict=True))

    if host.quant is None:
        return host.run_named(named(inputs))[first], None
    if host.quant != (entry.quant, last.quant):
        raise ToolError("the header's scales are not those of the network", where=f"{host.name}.h")
    integers = {name: to_int8(values, graph.tensor(name).quant) for name, values in inputs.items()}
    found = host.run_named(named(integers), integers=True)
    expected = integer.outputs_batch(graph, integers)
    wrong = sum(int((made != expected[name]).sum()) for made, name in zip(found.values(), graph.outputs, strict=True))
    return to_real(found[first], last.quant), wrong


def ends_of(design: Design) -> tuple[Shapes, Shapes]:
    """Shapes of a model's input and output, of several by their names: what :class:`HostModel` takes."""
    graph, found = design.graph, []
    for tensors, names in ((graph.inputs, input_names(design)), (graph.outputs, output_names(design))):
        shapes = [graph.tensor(name).shape for name in tensors]
        found.append(dict(zip(names, shapes, strict=True)) if names else shapes[0])
    return found[0], found[1]


def load_inputs(spec: ModelSpec) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What the network gets, float32 by its input's name, and labels (N,) int64, of the spec's ``validate`` section.

    Raises:
        SpecError: as :func:`load_samples`.
    """
    if not spec.inputs or spec.validate is None:
        images, labels = load_samples(spec)
        return {spec.input.name: network_input(images, spec.input.preprocess, spec.validate.stage)}, labels
    test, where = spec.validate, spec.location("validate", "file")
    return read_inputs(test.file, spec.input_shapes, what="test", where=where, labels=True, count=test.samples)


def load_samples(spec: ModelSpec) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, *input shape) uint8 and labels (N,) int64 of the spec's ``validate`` section.

    Raises:
        SpecError: no such section, or a file without fitting arrays ``images`` and ``labels``.
    """
    if spec.validate is None:
        raise SpecError(
            "the spec names no test data",
            where=Location(spec.path),
            next_step="add validate: {file: data/test.npz, stage: network}",
        )
    test = spec.validate
    where = spec.location("validate", "file")
    samples = read_samples(test.file, spec.input.shape, what="test", where=where, labels=True, count=test.samples)
    return samples.images, samples.labels
