"""NumPy executor of a graph: defines, in float32, what the generated C must compute.

The rules, for captured and for lowered graphs alike:

- Convolution and linear: the accumulator starts at the bias (0 where there is none) and adds one rounded product at a
  time, taps in the order (ky, kx, c), a linear's inputs in the order of memory. No contraction (``-ffp-contract=off``).
  A tap outside the map adds nothing.
- Activation: computed on the finished sum; behind the maximum of a fused pool where it is monotone, else in front.
- Average pool: the sum starts at 0 and adds valid pixels in the order (ky, kx), then one division by the divisor.
- Softmax: ``exp(x - max)`` summed in index order from 0, one division each; log-softmax: ``(x - max) - log(sum)``.

C that keeps to them differs from this package by 0, but for the last bits of exp, tanh and log, which every math
library rounds in its own way. Arrays are in torch's order, (C, H, W) for maps, whatever the order in memory.
"""

from uc_nn_pio.reference.executor import outputs, outputs_batch, run, run_batch

__all__ = ["outputs", "outputs_batch", "run", "run_batch"]
