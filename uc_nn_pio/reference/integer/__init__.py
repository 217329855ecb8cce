"""NumPy executor of an int8 graph: defines the integers that the generated C must compute, with 0 difference.

The rules are those of ``docs/numerics.md``. Multipliers, clamps and tables are read from the graph; nothing here knows
how they came about, and nothing is shared with :mod:`uc_nn_pio.quantize`.
"""

from uc_nn_pio.reference.integer.executor import outputs_batch, run_batch
from uc_nn_pio.reference.integer.requantize import requantize

__all__ = ["outputs_batch", "requantize", "run_batch"]
