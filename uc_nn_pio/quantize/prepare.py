"""Gives an activation that is computed by a table a node of its own.

A table maps the 256 values of an int8 tensor, so it needs the sum in front of it in int8, with a range of its own.
relu, relu6 and leaky_relu stay in the layer: a clamp or a second multiplier does them.
"""

from __future__ import annotations

from dataclasses import replace

from uc_nn_pio.graph.ir import Graph, Node, Tensor, rebuild
from uc_nn_pio.graph.ops import Activation, Conv2d, Linear

FUSED = ("relu", "relu6", "leaky_relu")


def prepare(graph: Graph) -> Graph:
    """A lowered graph as quantization wants it: conv2d + sigmoid + max_pool2d becomes conv2d + max_pool2d and sigmoid
    behind it, which gives the same since sigmoid and tanh are monotone. Doing it twice changes nothing."""
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}
    for node in graph.nodes:
        function = node.op.activation if isinstance(node.op, Conv2d | Linear) else None
        if not isinstance(function, Activation) or function.function in FUSED:
            nodes.append(node)
            continue
        after = graph.tensor(node.output)
        name = f"{node.name}_sum"
        while name in graph.tensors or name in tensors:
            name += "_"
        tensors[name] = replace(after, name=name)
        nodes.append(replace(node, op=replace(node.op, activation=None), outputs=(name,)))
        nodes.append(replace(node, name=f"{node.name}_{function.function}", op=function, inputs=(name,), constants={}))
    return rebuild(graph, nodes, tensors=tensors)
