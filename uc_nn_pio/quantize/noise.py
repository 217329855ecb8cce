"""What quantization costs each layer, so that a user sees which one hurts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.quant import to_int8, to_real
from uc_nn_pio.progress import track
from uc_nn_pio.quantize.calibrate import Batch
from uc_nn_pio.quantize.prepare import prepare
from uc_nn_pio.reference import integer, run_batch


@dataclass(frozen=True)
class LayerNoise:
    """Signal to noise of a layer's output, in dB: ``10 * log10(sum x^2 / sum (x - x')^2)`` with x the float value and
    x' what the integers stand for; infinite without noise. It holds the noise of all layers in front as well."""

    layer: str
    kind: str
    db: float


def signal_to_noise(graph: Graph, quantized: Graph, batches: Sequence[Batch]) -> tuple[LayerNoise, ...]:
    """Both networks on the same samples, a figure a layer of the quantized graph in its order.

    Args:
        graph: the lowered float graph that ``quantized`` was made of.
        batches: float32, (batch, *input shape) each, or one for each input by its name.
    """
    graph = prepare(graph)
    signal = dict.fromkeys((node.output for node in quantized.nodes), 0.0)
    noise = dict(signal)
    for batch in track(batches, "comparing int8 with float"):
        real = run_batch(graph, batch)
        given = batch if isinstance(batch, Mapping) else {quantized.inputs[0]: batch}
        steps = {name: to_int8(values, quantized.tensor(name).quant) for name, values in given.items()}
        integers = integer.run_batch(quantized, steps)
        for name in signal:
            exact = real[name].astype(np.float64)
            signal[name] += float(np.square(exact).sum())
            noise[name] += float(np.square(exact - to_real(integers[name], quantized.tensor(name).quant)).sum())
    return tuple(
        LayerNoise(node.name, node.op.title, _decibels(signal[node.output], noise[node.output]))
        for node in quantized.nodes
    )


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
