"""A golden case as a ``.tflite`` model that holds our integers. Runs where ``ai-edge-litert`` is installed."""

from __future__ import annotations

from collections.abc import Mapping

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as tfl

Arrays = Mapping[str, np.ndarray]

ACTIVATIONS = {
    None: tfl.ActivationFunctionType.NONE,
    "relu": tfl.ActivationFunctionType.RELU,
    "relu6": tfl.ActivationFunctionType.RELU6,
}
TYPES = {"int8": tfl.TensorType.INT8, "int32": tfl.TensorType.INT32}
VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4}
"""Of operators that are newer than 2 in what we ask of them."""

UNARY = {"sigmoid": "LOGISTIC", "tanh": "TANH", "leaky_relu": "LEAKY_RELU"}


class ModelWriter:
    """Collects tensors and operators of one subgraph. Maps are NHWC."""

    def __init__(self) -> None:
        self.buffers = [tfl.BufferT()]
        self.tensors: list[tfl.TensorT] = []
        self.operators: list[tfl.OperatorT] = []
        self.codes: list[tfl.OperatorCodeT] = []

    def tensor(
        self, shape: tuple[int, ...], scale: np.ndarray, zero_point: int, data: np.ndarray | None = None, axis: int = 0
    ) -> int:
        """The new tensor's index; a constant where ``data`` is given. ``axis`` is that of several scales."""
        tensor = tfl.TensorT()
        tensor.name = f"t{len(self.tensors)}".encode()
        tensor.shape = [int(size) for size in shape]
        tensor.type = TYPES[str(data.dtype) if data is not None else "int8"]
        scale = np.atleast_1d(np.asarray(scale, np.float32))
        if scale.size:
            tensor.quantization = tfl.QuantizationParametersT()
            tensor.quantization.scale = scale
            tensor.quantization.zeroPoint = np.full(scale.size, zero_point, np.int64)
            tensor.quantization.quantizedDimension = axis if scale.size > 1 else 0
        if data is not None:
            buffer = tfl.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operator(self, name: str, inputs: list[int], output: int, options: object = None) -> None:
        """Appends ``BuiltinOperator.<name>``."""
        builtin = getattr(tfl.BuiltinOperator, name)
        code = tfl.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode = builtin, min(builtin, 127)
        code.version = VERSIONS.get(name, 2 if name != "PAD" else 1)
        self.codes.append(code)
        operator = tfl.OperatorT()
        operator.opcodeIndex = len(self.codes) - 1
        operator.inputs, operator.outputs = inputs, [output]
        if options is not None:
            operator.builtinOptionsType = getattr(tfl.BuiltinOptions, type(options).__name__[:-1])
            operator.builtinOptions = options
        self.operators.append(operator)

    def model(self, entries: list[int], results: list[int]) -> bytes:
        """The finished file."""
        subgraph = tfl.SubGraphT()
        subgraph.tensors, subgraph.operators = self.tensors, self.operators
        subgraph.inputs, subgraph.outputs = entries, results
        model = tfl.ModelT()
        model.version = 3
        model.subgraphs, model.buffers, model.operatorCodes = [subgraph], self.buffers, self.codes
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def write(case: dict, arrays: Arrays) -> tuple[bytes, dict[str, int]]:
    """The model of a case, with every layer's output among its outputs; tensor indices by ``input`` and layer."""
    writer = ModelWriter()
    x = np.moveaxis(arrays[f"{case['name']}/input"], 1, -1)
    at = writer.tensor(x.shape, case["input"]["scale"], case["input"]["zero_point"])
    index, quant = {"input": at}, case["input"]
    for layer in case["layers"]:
        prefix = f"{case['name']}/{layer['name']}/"
        own = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
        at = _layer(writer, layer, own, _padded(writer, layer, at, quant), quant)
        index[layer["name"]], quant = at, layer
    return writer.model([index["input"]], [index[layer["name"]] for layer in case["layers"]]), index


def _padded(writer: ModelWriter, layer: dict, x: int, quant: dict) -> int:
    if layer.get("border") != "pad":
        return x
    top, bottom, left, right = layer["padding"]
    batch, height, width, channels = writer.tensors[x].shape
    pads = writer.tensor((4, 2), [], 0, np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32))
    shape = (batch, height + top + bottom, width + left + right, channels)
    output = writer.tensor(shape, quant["scale"], quant["zero_point"])
    writer.operator("PAD", [x, pads], output, tfl.PadOptionsT())
    return output


def _layer(writer: ModelWriter, layer: dict, own: Arrays, x: int, quant: dict) -> int:
    batch = writer.tensors[x].shape[0]
    if layer["op"] == "linear":
        output = writer.tensor((batch, len(own["weight"])), layer["scale"], layer["zero_point"])
        inputs = [x, *_weights(writer, own, own["weight"], quant, axis=0)]
        options = tfl.FullyConnectedOptionsT()
        options.fusedActivationFunction = ACTIVATIONS[layer["activation"]]
        writer.operator("FULLY_CONNECTED", inputs, output, options)
        return output
    if layer["op"] in ("conv2d", "max_pool2d", "avg_pool2d"):
        return _spatial(writer, layer, own, x, quant)
    output = writer.tensor(tuple(writer.tensors[x].shape), layer["scale"], layer["zero_point"])
    options: object = None
    if layer["op"] == "softmax":
        name, options = "SOFTMAX", tfl.SoftmaxOptionsT()
        options.beta = 1.0
    elif layer["op"] == "log_softmax":
        name, options = "LOG_SOFTMAX", tfl.LogSoftmaxOptionsT()
    else:
        name = UNARY[layer["function"]]
        if name == "LEAKY_RELU":
            options = tfl.LeakyReluOptionsT()
            options.alpha = layer["slope"]
    writer.operator(name, [x], output, options)
    return output


def _spatial(writer: ModelWriter, layer: dict, own: Arrays, x: int, quant: dict) -> int:
    batch = writer.tensors[x].shape[0]
    channels, rows, columns = layer["shape"]
    inputs, name = [x], {"max_pool2d": "MAX_POOL_2D", "avg_pool2d": "AVERAGE_POOL_2D"}.get(layer["op"])
    if name:
        options = tfl.Pool2DOptionsT()
        options.filterHeight, options.filterWidth = layer["kernel"]
    else:
        name, options, weight, axis = _convolution(layer, own["weight"], writer.tensors[x].shape[-1])
        inputs += _weights(writer, own, weight, quant, axis)
        options.dilationHFactor, options.dilationWFactor = layer["dilation"]
    options.padding = tfl.Padding.SAME if layer["border"] == "same" else tfl.Padding.VALID
    options.strideH, options.strideW = layer["stride"]
    options.fusedActivationFunction = ACTIVATIONS[layer.get("activation")]
    output = writer.tensor((batch, rows, columns, channels), layer["scale"], layer["zero_point"])
    writer.operator(name, inputs, output, options)
    return output


def _convolution(layer: dict, weight: np.ndarray, channels: int) -> tuple[str, object, np.ndarray, int]:
    """Name, options, weight in TensorFlow Lite's order and its channel axis."""
    if layer["groups"] == channels and channels > 1:
        options = tfl.DepthwiseConv2DOptionsT()
        options.depthMultiplier = len(weight) // channels
        return "DEPTHWISE_CONV_2D", options, weight.transpose(1, 2, 3, 0), 3
    return "CONV_2D", tfl.Conv2DOptionsT(), weight.transpose(0, 2, 3, 1), 0


def _weights(writer: ModelWriter, own: Arrays, weight: np.ndarray, quant: dict, axis: int) -> list[int]:
    scales = own["weight_scale"]
    bias_scales = np.float32(quant["scale"]) * scales
    return [
        writer.tensor(weight.shape, scales, 0, weight, axis),
        writer.tensor(own["bias"].shape, bias_scales, 0, own["bias"]),
    ]
