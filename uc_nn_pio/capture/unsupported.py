"""What to write instead of an operator that no kernel computes."""

from __future__ import annotations

_FLATTEN = "flatten with torch.flatten(x, 1) or nn.Flatten()"
_PREPROCESS = (
    "for the input's scaling use preprocess (scale, mean, std) in the model spec; elsewhere fold it into a layer"
)
_BRANCHES = "branches may meet in the sum of two tensors of one shape, or in torch.cat"
_WHOLE = "let each layer read whole tensors: two convolutions in place of one whose output is split"
_PARAMETRIZED = (
    "before saving: torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight') or remove_weight_norm(layer)"
)

# Operator (without overload) -> the nearest supported one, or a rewrite.
NEAREST: dict[str, str] = {
    **dict.fromkeys(("selu", "celu"), "the nearest is elu"),
    "mish": "the nearest is silu",
    "softplus": "the nearest are relu and elu",
    "log_sigmoid": "the nearest is sigmoid",
    "softsign": "the nearest is tanh",
    "hardshrink": "the nearest is relu",
    "rrelu": "the nearest is leaky_relu",
    "rrelu_with_noise": "the nearest is leaky_relu",
    "prelu": "the nearest is leaky_relu, whose slope is fixed",
    "_prelu_kernel": "the nearest is leaky_relu, whose slope is fixed",
    "maximum": "the nearest is relu, for a maximum with 0",
    "conv1d": "the nearest is conv2d: a signal of length W is a map [C, 1, W] with kernel (1, k)",
    "conv3d": "the nearest is conv2d",
    "conv_transpose2d": "the nearest is conv2d",
    "max_pool1d": "the nearest is max_pool2d with kernel (1, k)",
    "max_pool3d": "the nearest is max_pool2d",
    "avg_pool1d": "the nearest is avg_pool2d with kernel (1, k)",
    "adaptive_max_pool2d": "the nearest is max_pool2d with its kernel and stride written out",
    "_adaptive_max_pool2d": "the nearest is max_pool2d with its kernel and stride written out",
    "adaptive_avg_pool1d": "the nearest is adaptive_avg_pool2d",
    "lp_pool2d": "the nearest is avg_pool2d",
    "fractional_max_pool2d": "the nearest is max_pool2d",
    **dict.fromkeys(
        ("group_norm", "native_group_norm", "layer_norm", "native_layer_norm", "instance_norm", "rms_norm"),
        "the nearest is batch_norm, which is folded into the convolution",
    ),
    "local_response_norm": "the nearest is batch_norm",
    "pad": "give the padding to the layer behind it: nn.Conv2d(..., padding=...), zeros only",
    "constant_pad_nd": "give the padding to the layer behind it: nn.Conv2d(..., padding=...)",
    **dict.fromkeys(
        ("reflection_pad2d", "replication_pad2d", "_pad_circular"), "the nearest is zero padding: padding_mode='zeros'"
    ),
    **dict.fromkeys(("add", "sub", "mul", "div"), f"{_BRANCHES}; {_PREPROCESS}"),
    **dict.fromkeys(("rsub", "neg", "pow", "sqrt", "exp", "log", "abs"), _PREPROCESS),
    "stack": "torch.cat joins tensors along an axis that they have",
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "unbind"), _WHOLE),
    **dict.fromkeys(("select", "slice", "index", "gather", "narrow", "expand", "repeat"), _WHOLE),
    **dict.fromkeys(
        ("permute", "transpose", "movedim", "channel_shuffle", "pixel_shuffle"), f"keep C, H, W; {_FLATTEN}"
    ),
    **dict.fromkeys(("t", "numpy_T", "swapaxes"), f"keep the order of axes; {_FLATTEN}"),
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu", "embedding"), "use a convolutional network"),
    **dict.fromkeys(
        ("scaled_dot_product_attention", "_native_multi_head_attention", "bmm", "baddbmm", "einsum"),
        "use convolutions and linear layers",
    ),
    **dict.fromkeys(
        ("upsample_nearest2d", "upsample_bilinear2d"), "give the network its input at the size that it works on"
    ),
    "argmax": "leave it out: the firmware gets <model>_argmax()",
    "topk": "leave it out: the firmware gets the scores and <model>_argmax()",
    "max": "leave it out at the network's end: the firmware gets <model>_argmax()",
    "amax": "the nearest is nn.MaxPool2d over the whole map",
    "sum": "the nearest is nn.AdaptiveAvgPool2d",
    "mean": "the nearest is the mean over height and width: nn.AdaptiveAvgPool2d(1)",
    "bilinear": "the nearest is linear",
    "_weight_norm": _PARAMETRIZED,
    "_weight_norm_interface": _PARAMETRIZED,
    "item": "no number may be taken out of a tensor: the generated C runs the same layers for every input",
    "nonzero": "the generated C has fixed shapes: leave out what depends on values",
    "where": "the nearest are relu and leaky_relu, which choose by sign",
    "cond": "the path through the network must not depend on values",
    "while_loop": "the path through the network must not depend on values",
    **dict.fromkeys(
        ("quantized_decomposed.quantize_per_channel", "quantized_decomposed.dequantize_per_channel"),
        "quantize activations per tensor; weights may have a scale for each output",
    ),
    "wrap_with_set_grad_enabled": "leave torch.no_grad() out of forward; inference needs none",
    "wrap_with_autocast": "leave torch.autocast out of forward",
}

SUPPORTED = (
    "conv2d, linear, max_pool2d, avg_pool2d, adaptive_avg_pool2d, batch_norm, relu, relu6, leaky_relu, sigmoid, tanh, "
    "clamp, hardsigmoid, hardswish, silu, gelu, elu, softmax, log_softmax, flatten, reshape, dropout, add and "
    "cat of branches"
)


def advice(operator: str) -> str:
    """The next step for a user whose network has ``operator``."""
    return NEAREST.get(operator.rstrip("_"), NEAREST.get(operator, f"supported are {SUPPORTED}"))
