"""The same test data through torch, the generated C and, for int8, the integer reference: accuracy, agreement, worst
difference, and the first layer that is not as the reference has it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from uc_nn_pio.boards import Board, load_board
from uc_nn_pio.errors import Location, SpecError, UcNnError
from uc_nn_pio.graph.quant import to_int8, to_real
from uc_nn_pio.reference import integer
from uc_nn_pio.samples import network_input, read_inputs, read_samples
from uc_nn_pio.spec import ModelSpec, load_spec
from uc_nn_pio.validation.result import Validation
from uc_nn_pio.validation.target import Target

if TYPE_CHECKING:
    from uc_nn_pio.converter import Conversion

__all__ = ["Target", "Validation", "load_inputs", "load_samples", "validate"]

BOARDS = {"virtual": "hifive1_virtual", "serial": "hifive1"}
"""Boards that a model is laid out for where the user names none, by what it runs on."""

ON_A_BOARD = 100
"""Samples, where the user says nothing of their number: a UART carries a thousand of them in minutes."""


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
    tokens = {each.name for each in spec.inputs if each.tokens is not None}
    to_torch = [values.astype(np.int64) if name in tokens else values for name, values in inputs.items()]
    expected = run_module(load_model(spec), *to_torch).reshape(len(labels), -1)
    with target_of(conversion, made_for, on, faults) as target:
        return _compare(conversion, target, inputs, labels, expected)


@contextmanager
def target_of(conversion: Conversion, board: Board | None, on: str, faults: Sequence[str]) -> Iterator[Target]:
    """What runs the network, for as long as it is needed."""
    if on == "host":
        from uc_nn_pio.validation.host_target import HostTarget

        with tempfile.TemporaryDirectory(prefix="uc_nn_") as folder:
            yield HostTarget(conversion, Path(folder))
    else:
        from uc_nn_pio.validation.board import on_a_board

        assert board is not None
        with on_a_board(conversion, board, on, faults) as target:
            yield target


def _compare(
    conversion: Conversion,
    target: Target,
    inputs: Mapping[str, np.ndarray],
    labels: np.ndarray,
    expected: np.ndarray,
) -> Validation:
    """``expected``: torch's (first) output, (N, elements)."""
    graph, spec = conversion.design.graph, conversion.design.spec
    last = graph.tensor(graph.outputs[0])
    own = {
        name: values if graph.tensor(name).quant is None else to_int8(values, graph.tensor(name).quant)
        for name, values in inputs.items()
    }
    made = target.run(own)
    found = made[last.name] if last.quant is None else to_real(made[last.name], last.quant)
    found = found.reshape(len(labels), -1)
    scale = np.maximum(np.abs(expected).max(axis=1), np.finfo(np.float32).tiny)
    worst = np.abs(found - expected).max(axis=1) / scale
    suspicion, differences = worst, None
    if last.quant is not None:
        wanted = integer.outputs_batch(graph, own)
        wrong = sum((made[name] != wanted[name]).reshape(len(labels), -1).sum(axis=1) for name in graph.outputs)
        differences = int(np.sum(wrong))
        suspicion = wrong if differences else worst
    suspect = int(np.argmax(suspicion))
    confusion = np.zeros((max(int(labels.max()) + 1, found.shape[1]), found.shape[1]), int)
    np.add.at(confusion, (labels, found.argmax(axis=1)), 1)
    return Validation(
        model=spec.name,
        target=target.name,
        samples=len(labels),
        accuracy=float((found.argmax(axis=1) == labels).mean()),
        torch_accuracy=float((expected.argmax(axis=1) == labels).mean()),
        same_class=int((found.argmax(axis=1) == expected.argmax(axis=1)).sum()),
        worst_difference=float(worst.max()),
        min_accuracy=spec.validate.min_accuracy if spec.validate else None,
        precision=conversion.design.precision,
        outputs=sum(values.size for values in made.values()),
        integer_differences=differences,
        confusion=tuple(map(tuple, confusion.tolist())),
        traced_sample=suspect,
        layers=target.check({name: values[suspect : suspect + 1] for name, values in own.items()}),
        **target.about(),
    )


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
