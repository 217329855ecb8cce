"""Post-training quantization to int8: samples in, integers out. The rules are those of ``docs/numerics.md``.

>>> ranges = calibrate(graph, batches)          # doctest: +SKIP
>>> small = quantize(graph, ranges)             # doctest: +SKIP
>>> signal_to_noise(graph, small, batches)      # doctest: +SKIP
"""

from uc_nn_pio.quantize.assemble import accumulator_bounds, with_integers
from uc_nn_pio.quantize.calibrate import Method, calibrate
from uc_nn_pio.quantize.noise import LayerNoise, signal_to_noise
from uc_nn_pio.quantize.params import IntegerWeights, Range, activation_params
from uc_nn_pio.quantize.prepare import prepare
from uc_nn_pio.quantize.quantize import quantize

__all__ = [
    "IntegerWeights",
    "LayerNoise",
    "Method",
    "Range",
    "accumulator_bounds",
    "activation_params",
    "calibrate",
    "prepare",
    "quantize",
    "signal_to_noise",
    "with_integers",
]
