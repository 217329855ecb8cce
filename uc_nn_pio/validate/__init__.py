"""The same test data through torch and the generated C: accuracy, agreement, worst difference."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uc_nn_pio.errors import Location, NotBuiltError, SpecError
from uc_nn_pio.samples import network_input, read_samples
from uc_nn_pio.spec import ModelSpec, load_spec
from uc_nn_pio.validate.host import HostModel

TARGETS = ("host",)


@dataclass(frozen=True)
class Validation:
    """What a validation found. ``worst_difference`` is relative to the largest logit of its sample (absolute)."""

    model: str
    target: str
    samples: int
    accuracy: float
    torch_accuracy: float
    same_class: int
    worst_difference: float
    min_accuracy: float | None

    @property
    def passed(self) -> bool:
        return self.min_accuracy is None or self.accuracy >= self.min_accuracy

    def as_dict(self) -> Mapping[str, Any]:
        return {**asdict(self), "passed": self.passed}

    def text(self) -> str:
        limit = "" if self.min_accuracy is None else f" (at least {100 * self.min_accuracy:.2f} % is asked for)"
        return "\n".join(
            [
                f"{self.model} on {self.target}: {'passed' if self.passed else 'FAILED'}",
                f"  accuracy          {100 * self.accuracy:.2f} % of {self.samples} samples{limit}",
                f"  torch's accuracy  {100 * self.torch_accuracy:.2f} %",
                f"  same class        {self.same_class} of {self.samples}",
                f"  worst difference  {self.worst_difference:.2e} of the largest output",
            ]
        )


def validate(spec: Path | ModelSpec, on: str = "host") -> Validation:
    """Run the spec's test data through torch and the C of the model.

    Raises:
        UcNnError: the spec names no test data, the data do not fit, or the target is not built yet.
    """
    from uc_nn_pio.capture import load_model  # imports torch
    from uc_nn_pio.capture.inference import run_module
    from uc_nn_pio.convert import convert

    if on not in TARGETS:
        raise NotBuiltError(f"validation on {on!r} is not built yet", next_step=f"use --on {' or '.join(TARGETS)}")
    if not isinstance(spec, ModelSpec):
        spec = load_spec(spec)
    raw, labels = load_samples(spec)
    inputs = network_input(raw, spec.input.preprocess, spec.validate.stage)
    conversion = convert(spec)
    graph = conversion.design.graph
    shapes = (graph.tensor(graph.inputs[0]).shape, graph.tensor(graph.outputs[0]).shape)
    with tempfile.TemporaryDirectory(prefix="uc_nn_") as folder:
        target = HostModel(conversion.files, spec.name, shapes, Path(folder)).run(inputs)
    expected = run_module(load_model(spec), inputs)
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
    )


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
