"""The same test data through torch, the generated C and, for int8, the integer reference: accuracy, agreement, worst
difference."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from uc_nn_pio.boards import Board, load_board
from uc_nn_pio.design import Design
from uc_nn_pio.emit.render import input_names, output_names
from uc_nn_pio.errors import Location, SpecError, ToolError, UcNnError
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.quant import to_int8, to_real
from uc_nn_pio.reference import integer
from uc_nn_pio.samples import network_input, read_inputs, read_samples
from uc_nn_pio.spec import ModelSpec, load_spec
from uc_nn_pio.validation.host import HostModel, Shapes

if TYPE_CHECKING:
    from uc_nn_pio.converter import Conversion

BOARDS = {"virtual": "hifive1_virtual", "serial": "hifive1"}
"""Boards that a model is laid out for where the user names none, by what it runs on."""

ON_A_BOARD = 100
"""Samples, where the user says nothing of their number: a UART carries a thousand of them in minutes."""


@dataclass(frozen=True)
class Validation:
    """What a validation found. ``worst_difference`` is relative to the largest logit of its sample (absolute).

    ``outputs`` counts output values, all samples together; ``integer_differences`` those of an int8 model that are not
    the integer reference's, of which there must be none. None in float32, where the last bits may differ.
    ``confusion[label][class]`` counts samples. On a board: ``cycles`` of each run, at ``core_hz``, and how many frames
    were ``asked_again``.
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
    confusion: tuple[tuple[int, ...], ...] = ()
    cycles: tuple[int, ...] = ()
    core_hz: int | None = None
    asked_again: int = 0

    @property
    def passed(self) -> bool:
        """Accurate enough, and the integers are the reference's."""
        return (self.min_accuracy is None or self.accuracy >= self.min_accuracy) and not self.integer_differences

    def as_dict(self) -> Mapping[str, Any]:
        return {**asdict(self), "passed": self.passed}

    def _confused(self) -> list[str]:
        """The pairs of classes that are taken for each other most often."""
        wrong = [
            (count, label, found)
            for label, row in enumerate(self.confusion)
            for found, count in enumerate(row)
            if count and label != found
        ]
        most = sorted(wrong, key=lambda item: -item[0])[:5]
        shown = ", ".join(f"{label} as {found} ({count})" for count, label, found in most)
        return [f"  confused           {shown}"] if most else []

    def text(self) -> str:
        limit = "" if self.min_accuracy is None else f" (at least {100 * self.min_accuracy:.2f} % is asked for)"
        lines = [
            f"{self.model}, {self.precision}, on {self.target}: {'passed' if self.passed else 'FAILED'}",
            f"  accuracy           {100 * self.accuracy:.2f} % of {self.samples} samples{limit}",
            f"  torch's accuracy   {100 * self.torch_accuracy:.2f} %",
            f"  same class         {self.same_class} of {self.samples}",
            f"  worst difference   {self.worst_difference:.2e} of the largest output",
        ]
        if self.cycles:
            mean, worst = sum(self.cycles) / len(self.cycles), max(self.cycles)
            each = f" ({1000 * worst / self.core_hz:.2f} ms at {self.core_hz / 1e6:g} MHz)" if self.core_hz else ""
            lines.append(f"  cycles             {mean:,.0f} a run, {worst:,} at most{each}")
        if self.asked_again:
            lines.append(f"  line               {self.asked_again} frames asked again")
        lines += self._confused()
        if self.integer_differences is not None:
            meaning = "" if self.integer_differences == 0 else ": a defect of the converter or the compiler"
            lines.append(f"  integer reference  {self.integer_differences} of {self.outputs} outputs differ{meaning}")
        return "\n".join(lines)


def validate(
    spec: Path | ModelSpec,
    on: str = "host",
    *,
    board: str | None = None,
    samples: int | None = None,
    faults: Sequence[str] = (),
) -> Validation:
    """Run the spec's test data through torch and the C of the model.

    Args:
        spec: the YAML file, or a spec already loaded.
        on: ``host``, this computer; ``virtual``, the virtual board; ``serial:PORT``, a board with the validation
            firmware (:func:`~uc_nn_pio.validation.board.build_firmware`).
        board: for which the model is laid out; on a board the one of :data:`BOARDS` without it.
        samples: the first so many; all on the host and :data:`ON_A_BOARD` on a board without it.
        faults: of the virtual board, as ``uc-nn board run --fault`` takes them.

    Raises:
        UcNnError: the spec names no test data, the data do not fit, or the board does not answer.
    """
    from uc_nn_pio.capture import load_model  # imports torch
    from uc_nn_pio.capture.inference import run_module
    from uc_nn_pio.converter import convert

    kind = on.partition(":")[0]
    if kind not in ("host", *BOARDS) or (kind == "serial") != (":" in on):
        raise UcNnError(f"there is no {on!r} to validate on", where="--on", next_step="host, virtual or serial:PORT")
    if not isinstance(spec, ModelSpec):
        spec = load_spec(spec)
    inputs, labels = load_inputs(spec)
    count = samples or (None if kind == "host" else ON_A_BOARD)
    inputs, labels = {name: values[:count] for name, values in inputs.items()}, labels[:count]
    made_for = load_board(board or BOARDS[kind]) if board or kind in BOARDS else None
    conversion = convert(spec, made_for)
    about: dict[str, Any] = {}
    if kind == "host":
        with tempfile.TemporaryDirectory(prefix="uc_nn_") as folder:
            host = HostModel(conversion.files, spec.name, ends_of(conversion.design), Path(folder))
            target, differences = _outputs(host, conversion.design.graph, inputs)
    else:
        assert made_for is not None
        target, differences, about = _on_a_board(conversion, made_for, on, inputs, faults)
    tokens = {each.name for each in spec.inputs if each.tokens is not None}
    given = [values.astype(np.int64) if name in tokens else values for name, values in inputs.items()]
    expected = run_module(load_model(spec), *given)
    target, expected = target.reshape(len(labels), -1), expected.reshape(len(labels), -1)
    scale = np.maximum(np.abs(expected).max(axis=1), np.finfo(np.float32).tiny)
    confusion = np.zeros((max(int(labels.max()) + 1, target.shape[1]), target.shape[1]), int)
    np.add.at(confusion, (labels, target.argmax(axis=1)), 1)
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
        confusion=tuple(map(tuple, confusion.tolist())),
        **about,
    )


def _on_a_board(
    conversion: Conversion, board: Board, on: str, inputs: Mapping[str, np.ndarray], faults: Sequence[str]
) -> tuple[np.ndarray, int | None, dict[str, Any]]:
    """As :func:`_outputs`, and what the board says besides."""
    from uc_nn_pio.validation.board import outputs_of

    graph = conversion.design.graph
    last = graph.tensor(graph.outputs[0])
    values = next(iter(inputs.values()))
    entry = graph.tensor(graph.inputs[0])
    given = values if entry.quant is None else to_int8(values, entry.quant)
    found, cycles, hello, again = outputs_of(conversion, board, on, given, faults)
    about = {"cycles": tuple(cycles), "core_hz": hello.core_hz, "asked_again": again}
    if last.quant is None:
        return found, None, about
    expected = integer.outputs_batch(graph, given)[last.name]
    return to_real(found, last.quant), int((found != expected).sum()), about


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
