"""Brings a lowered graph into the form that int8 needs: what it computes stays the same.

- An activation that is computed by a table gets a node of its own. A table maps the 256 values of an int8 tensor, so it
  needs the sum in front of it in int8, with a range of its own. relu, relu6 and leaky_relu stay in a convolution or
  linear: a clamp or a second multiplier does them; relu and relu6 in a sum or product.
- An input of a concat whose scale is given (the network's input; what sigmoid, tanh or softmax make) gets a rescale in
  front, since all inputs of a concat have one scale.
"""

from __future__ import annotations

from dataclasses import replace

from uc_nn_pio.graph.ir import Graph, Node, Tensor, rebuild
from uc_nn_pio.graph.ops import Activation, Concat, Conv2d, Elementwise, Linear
from uc_nn_pio.lower.rewrite import fresh
from uc_nn_pio.quantize.params import fixed_params, keeps_params

FUSED = ("relu", "relu6", "leaky_relu")
FUSED_IN_SUM = ("relu", "relu6")

RESCALE = Activation("leaky_relu", slope=1.0)
"""Gives its argument back: as a table, what another scale makes of an integer."""


def prepare(graph: Graph) -> Graph:
    """A lowered graph as quantization wants it: conv2d + sigmoid + max_pool2d becomes conv2d + max_pool2d and sigmoid
    behind it, which gives the same since sigmoid and tanh are monotone; silu and its like go between the two. Doing it
    twice changes nothing."""
    return _rescaled_for_concat(without_tables(graph))


def without_tables(graph: Graph) -> Graph:
    """No convolution, linear, sum or product has an activation in it that is computed by a table."""
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}
    for node in graph.nodes:
        function = node.op.activation if isinstance(node.op, Conv2d | Elementwise | Linear) else None
        fused = FUSED_IN_SUM if isinstance(node.op, Elementwise) else FUSED
        if not isinstance(function, Activation) or function.function in fused:
            nodes.append(node)
            continue
        after = graph.tensor(node.output)
        name = f"{node.name}_sum"
        while name in graph.tensors or name in tensors:
            name += "_"
        tensors[name] = replace(after, name=name)
        own = fresh(f"{node.name}_{function.function}", {**graph.tensors, **tensors})
        pool = getattr(node.op, "pool", None)
        if pool is None or function.monotone:
            nodes.append(replace(node, op=replace(node.op, activation=None), outputs=(name,)))
            nodes.append(replace(node, name=own, op=function, inputs=(name,), constants={}))
            continue
        # the maximum is of the function's values
        tensors[name] = replace(after, name=name, shape=node.op.conv_shape)
        tensors[own] = replace(after, name=own, shape=node.op.conv_shape)
        nodes.append(replace(node, op=replace(node.op, activation=None, pool=None), outputs=(name,)))
        nodes.append(replace(node, name=own, op=function, inputs=(name,), outputs=(own,), constants={}))
        nodes.append(replace(node, name=f"{node.name}_pool", op=pool, inputs=(own,), constants={}))
    return rebuild(graph, nodes, tensors=tensors)


def _rescaled_for_concat(graph: Graph) -> Graph:
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}
    for node in graph.nodes:
        if isinstance(node.op, Concat):
            inputs = []
            for name in node.inputs:
                if _has_given_scale(graph, name):
                    own = fresh(f"{name}_rescaled", {**graph.tensors, **tensors})
                    tensors[own] = replace(graph.tensor(name), name=own)
                    nodes.append(Node(own, RESCALE, (name,), (own,), node.source))
                    name = own
                inputs.append(name)
            node = replace(node, inputs=tuple(inputs))
        nodes.append(node)
    return rebuild(graph, nodes, tensors=tensors)


def _has_given_scale(graph: Graph, name: str) -> bool:
    """Whether a tensor's scale cannot be chosen: it is that of the network's input, or an operator's own."""
    while (node := graph.producer(name)) is not None:
        if not keeps_params(node.op) or isinstance(node.op, Concat):
            return fixed_params(node.op) is not None
        name = node.inputs[0]
    return True
