"""Quantization to int8: of float networks by samples, of networks that PyTorch has quantized by their own scales. The
rules are those of ``docs/numerics.md``.

>>> ranges = calibrate(graph, batches)          # doctest: +SKIP
>>> small = quantize(graph, ranges)             # doctest: +SKIP
>>> signal_to_noise(graph, small, batches)      # doctest: +SKIP
>>> imported = lift(captured)                   # doctest: +SKIP
>>> quantize_imported(lower(imported.graph), imported)  # doctest: +SKIP
"""

from uc_nn_pio.quantize.assemble import accumulator_bounds, with_integers
from uc_nn_pio.quantize.calibrate import Method, calibrate
from uc_nn_pio.quantize.imported import Imported, lift
from uc_nn_pio.quantize.imported_integers import quantize_imported, unquantized
from uc_nn_pio.quantize.noise import LayerNoise, signal_to_noise
from uc_nn_pio.quantize.params import IntegerWeights, Range, activation_params
from uc_nn_pio.quantize.prepare import prepare
from uc_nn_pio.quantize.quantize import quantize

__all__ = [
    "Imported",
    "IntegerWeights",
    "LayerNoise",
    "Method",
    "Range",
    "accumulator_bounds",
    "activation_params",
    "calibrate",
    "lift",
    "prepare",
    "quantize",
    "quantize_imported",
    "signal_to_noise",
    "unquantized",
    "with_integers",
]
