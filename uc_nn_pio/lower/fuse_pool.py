"""Fuses a max-pool into the convolution in front of it, so that the convolution's output is never stored.

Source: the paper, section 3.1. There the pool's windows must not overlap; where they do, the convolution would be
computed again for each window that a pixel belongs to, and the pool stays a node of its own.
"""

from __future__ import annotations

from dataclasses import replace

from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.ops import Activation, Conv2d, MaxPool2d, Op
from uc_nn_pio.lower.rewrite import sole_consumer, substitute


def fuse_pool(graph: Graph) -> Graph:
    """conv2d [+ activation] + max_pool2d become one node; so do conv2d + max_pool2d + a monotone activation, since that
    gives the same value in front of the maximum."""
    for node in graph.nodes:
        while isinstance(node.op, Conv2d):
            behind = sole_consumer(graph, node.output)
            op = _fused(node.op, behind.op) if behind else None
            if behind is None or op is None:
                break
            fused = replace(node, op=op, outputs=behind.outputs)
            graph = substitute(graph, {node.output: [fused], behind.output: []})
            node = fused
    return graph


def _fused(conv: Conv2d, behind: Op) -> Conv2d | None:
    """The convolution with ``behind`` in it, or None where they do not fuse."""
    if isinstance(behind, MaxPool2d) and conv.pool is None and _apart(behind):
        return replace(conv, pool=behind)
    if isinstance(behind, Activation) and conv.pool and conv.activation is None and behind.monotone:
        return replace(conv, activation=behind)
    return None


def _apart(pool: MaxPool2d) -> bool:
    """Whether no pixel lies in two windows."""
    return pool.dilation == (1, 1) and all(s >= k for s, k in zip(pool.stride, pool.kernel, strict=True))
