"""Golden cases as our int8 graphs: layer by layer, or with pools fused as lowering leaves them."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.ops import (
    Activation,
    AvgPool2d,
    Conv2d,
    Linear,
    LogSoftmax,
    MaxPool2d,
    Op,
    Padding,
    Softmax,
)
from uc_nn_pio.graph.quant import QuantParams
from uc_nn_pio.lower.fuse_pool import fuse_pool
from uc_nn_pio.quantize import IntegerWeights, with_integers


def graph_of(case: dict, arrays: dict[str, np.ndarray], fused: bool = False) -> Graph:
    """The int8 graph of a case; a layer's output is the tensor of its name."""
    build = GraphBuilder(case["name"])
    at = build.input("input", tuple(case["input"]["shape"]))
    params, weights = {"input": params_of(case["input"])}, {}
    for layer in case["layers"]:
        own = {
            role: arrays.get(f"{case['name']}/{layer['name']}/{role}") for role in ("weight", "weight_scale", "bias")
        }
        float_weights = {role: own[role] for role in ("weight", "bias")}
        at = build.add(layer["name"], op_of(layer), at, shape=tuple(layer["shape"]), **float_weights)
        params[at] = params_of(layer)
        if own["weight"] is not None:
            weights[layer["name"]] = IntegerWeights(own["weight"], own["weight_scale"], own["bias"])
    graph = build.graph(at)
    return with_integers(fuse_pool(graph) if fused else graph, params, weights)


def params_of(tensor: dict) -> QuantParams:
    return QuantParams(np.float32(tensor["scale"]), tensor["zero_point"])


def op_of(layer: dict) -> Op:
    window = {key: tuple(layer[key]) for key in ("kernel", "stride", "dilation") if key in layer}
    if "padding" in layer:
        window["padding"] = Padding(*layer["padding"])
    function = Activation(layer["activation"]) if layer.get("activation") else None
    match layer["op"]:
        case "conv2d":
            return Conv2d(**window, groups=layer["groups"], activation=function)
        case "linear":
            return Linear(function)
        case "max_pool2d":
            return MaxPool2d(**window)
        case "avg_pool2d":
            return AvgPool2d(**window, count_include_pad=layer["border"] == "pad")
        case "activation":
            return Activation(layer["function"], layer.get("slope", 0.0))
        case "softmax":
            return Softmax()
        case "log_softmax":
            return LogSoftmax()
    raise ValueError(layer["op"])
