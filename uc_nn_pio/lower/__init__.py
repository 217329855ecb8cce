"""Passes ``graph -> graph`` that turn a captured network into one that kernels compute.

In a lowered graph:

- there is no identity, batch norm, reshape, nor an adaptive pool whose windows are all alike;
- convolution, activation and max-pool are one node, as are linear and activation. The node keeps the convolution's (the
  linear's) name, its output the name of the last tensor;
- layout is that of memory: a linear reads and writes maps as H, W, C, its weights permuted to match. What could not be
  absorbed into weights is a :class:`~uc_nn_pio.graph.ops.Permute`, or a :class:`~uc_nn_pio.graph.ops.Gather` of more;
- graph inputs and outputs have the names and shapes that they had.
"""

from __future__ import annotations

from collections.abc import Callable

from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.lower.absorb_layout import absorb_layout
from uc_nn_pio.lower.absorb_padding import absorb_padding
from uc_nn_pio.lower.drop_identity import drop_identity
from uc_nn_pio.lower.drop_unused import drop_unused
from uc_nn_pio.lower.fold_batch_norm import fold_batch_norm
from uc_nn_pio.lower.fuse_activation import fuse_activation
from uc_nn_pio.lower.fuse_pool import fuse_pool
from uc_nn_pio.lower.merge_gathers import merge_gathers
from uc_nn_pio.lower.merge_reshapes import merge_reshapes
from uc_nn_pio.lower.replace_adaptive_pool import replace_adaptive_pool
from uc_nn_pio.lower.sink_reshapes import sink_reshapes

Pass = Callable[[Graph], Graph]

PASSES: tuple[Pass, ...] = (
    drop_unused,
    drop_identity,
    merge_gathers,
    merge_reshapes,
    fold_batch_norm,
    sink_reshapes,
    merge_gathers,
    merge_reshapes,
    absorb_padding,
    replace_adaptive_pool,
    fuse_activation,
    fuse_pool,
    absorb_layout,
)
"""In this order: batch norm folds before activations hide it; reshapes and gathers sink below activations before these
fuse; layout comes last, when nothing needs a reshape any more."""


def lower(graph: Graph) -> Graph:
    """Runs all :data:`PASSES` on a captured graph.

    Raises:
        ModelError: folding a batch norm gives weights that float32 cannot hold.
    """
    for step in PASSES:
        graph = step(graph)
    return graph


__all__ = ["PASSES", "Pass", "lower"]
