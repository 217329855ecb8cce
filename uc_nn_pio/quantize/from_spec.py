"""Post-training quantization as a model spec asks for it: its samples, or its ranges, to the int8 graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from uc_nn_pio.errors import SpecError
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.quantize.calibrate import Method, calibrate
from uc_nn_pio.quantize.noise import LayerNoise, signal_to_noise
from uc_nn_pio.quantize.params import Range
from uc_nn_pio.quantize.quantize import quantize
from uc_nn_pio.quantize.range_file import RangeFile, read_ranges
from uc_nn_pio.samples import Batches, read_inputs, read_samples
from uc_nn_pio.spec import ModelSpec
from uc_nn_pio.spec.loader import no_calibration

BATCH = 32
"""Samples a batch: memory is bounded by the activations of so many."""

NOISE_SAMPLES = 64
"""Samples that noise is measured on, at most, the first of them: a sum over so many moves by tenths of a dB."""


@dataclass(frozen=True)
class Quantized:
    """An int8 ``graph``; ``noise`` a layer on calibration samples, empty where there are none; ``about`` says in a line
    how the ranges were found. It holds a file's name as the user wrote it, to be escaped where it is written."""

    graph: Graph
    noise: tuple[LayerNoise, ...]
    about: str


@dataclass(frozen=True)
class Calibration:
    """Ranges of every tensor of the prepared graph, and the batches of input (float32) that gave them; none where the
    ranges come from a file."""

    ranges: Mapping[str, Range]
    method: Method
    samples: int
    batches: Sequence[np.ndarray | Mapping[str, np.ndarray]]
    about: str

    def file_text(self, model: str) -> str:
        """These ranges as a file for ``calibration: {ranges: ...}``."""
        return RangeFile(f"{model}: {self.about}", self.method, self.samples, self.ranges).text()


def quantize_spec(spec: ModelSpec, lowered: Graph) -> Quantized:
    """The int8 graph of a lowered float graph, by the spec's ``calibration``.

    Raises:
        SpecError: no calibration, or its file does not fit the network.
        ModelError, UnsupportedError: the network cannot be int8.
    """
    how = spec.calibration
    if how is None:
        raise no_calibration(spec.location("precision"))
    if how.ranges is None:
        return quantize_calibrated(spec, lowered, calibrate_spec(spec, lowered))
    file = read_ranges(how.ranges, lowered)
    about = f"ranges of {how.ranges.name} ({file.method.value}, {file.samples} samples)"
    return quantize_calibrated(spec, lowered, Calibration(file.ranges, file.method, file.samples, (), about))


def quantize_calibrated(spec: ModelSpec, lowered: Graph, found: Calibration) -> Quantized:
    """The int8 graph with ranges at hand; noise is measured on the first :data:`NOISE_SAMPLES` of their samples."""
    per_channel = spec.calibration is not None and spec.calibration.linear == "per_channel"
    graph = quantize(lowered, found.ranges, linear_per_channel=per_channel)
    batches = [found.batches[i] for i in range(min(len(found.batches), NOISE_SAMPLES // BATCH))]
    return Quantized(graph, signal_to_noise(lowered, graph, batches) if batches else (), found.about)


def calibrate_spec(spec: ModelSpec, lowered: Graph) -> Calibration:
    """Ranges of a lowered float graph's tensors from the samples of the spec's ``calibration``, whatever its precision.

    Raises:
        SpecError: the spec names no samples, or they do not fit the network.
        ModelError: the network gives values that are no numbers.
    """
    how = spec.calibration
    if how is None or how.file is None:
        raise SpecError(
            "the spec names no calibration samples",
            where=spec.location("calibration"),
            why="it names ranges, which were made of samples already" if how else None,
            next_step="calibration: {file: data/calibration.npz, stage: network}",
        )
    where = spec.location("calibration", "file")
    wanted = {"what": "calibration", "where": where, "labels": False, "count": how.samples}
    batches: Sequence[np.ndarray | Mapping[str, np.ndarray]]
    if spec.inputs:
        inputs, _ = read_inputs(how.file, spec.input_shapes, **wanted)
        count = len(next(iter(inputs.values())))
        batches = [{name: x[at : at + BATCH] for name, x in inputs.items()} for at in range(0, count, BATCH)]
    else:
        samples = read_samples(how.file, spec.input.shape, **wanted)
        count = len(samples.images)
        batches = Batches(samples.images, spec.input.preprocess, how.stage, BATCH)
    method = Method(how.method)
    ranges = calibrate(lowered, batches, method, how.percentile)
    shown = f"percentile {how.percentile:g}" if method is Method.PERCENTILE else method.value
    return Calibration(ranges, method, count, batches, f"{shown} of {count} samples of {how.file.name}")
