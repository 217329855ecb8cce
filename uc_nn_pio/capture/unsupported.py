"""What to write instead of an operator that no kernel computes."""

from __future__ import annotations

_FLATTEN = "flatten with torch.flatten(x, 1) or nn.Flatten()"
_PREPROCESS = (
    "for the input's scaling use preprocess (scale, mean, std) in the model spec; elsewhere fold it into a layer"
)
_BRANCHES = "sums, differences and products are taken of two float tensors, or of one and a constant"
_CONSTANT_PLACES = "slices and constant places are taken: x[:, 1:3], x[:, [2, 0, 1]]"
_PARAMETRIZED = (
    "before saving: torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight') or remove_weight_norm(layer)"
)

# Operator (without overload) -> the nearest supported one, or a rewrite.
NEAREST: dict[str, str] = {
    "mish": "the nearest is silu",
    "softplus": "the nearest are relu and elu",
    "log_sigmoid": "the nearest is sigmoid",
    "softsign": "the nearest is tanh",
    "hardshrink": "the nearest is relu",
    "rrelu": "the nearest is leaky_relu",
    "rrelu_with_noise": "the nearest is leaky_relu",
    "maximum": "the nearest is relu, for a maximum with 0",
    "conv3d": "the nearest is conv2d",
    "conv_transpose3d": "the nearest is conv_transpose2d",
    "max_pool3d": "the nearest is max_pool2d",
    "lp_pool2d": "the nearest is avg_pool2d",
    "fractional_max_pool2d": "the nearest is max_pool2d",
    "local_response_norm": "the nearest is batch_norm",
    **dict.fromkeys(("add", "sub", "mul"), _BRANCHES),
    "div": "multiply by what is known before inference",
    **dict.fromkeys(("sqrt", "rsqrt", "exp", "log", "reciprocal"), _PREPROCESS),
    "abs": "the nearest is relu(x) + relu(-x)",
    **dict.fromkeys(("index", "gather"), _CONSTANT_PLACES),
    **dict.fromkeys(("numpy_T", "mT"), f"name the axes: x.transpose(1, 2); {_FLATTEN}"),
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), "give it one sequence with batch_first=True, unpacked"),
    **dict.fromkeys(
        ("scaled_dot_product_attention", "_native_multi_head_attention", "bmm", "baddbmm", "einsum"),
        "use convolutions and linear layers",
    ),
    **dict.fromkeys(
        ("upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d"),
        "the nearest is mode='nearest', or a transposed convolution",
    ),
    "topk": "leave it out: the firmware gets the scores and <model>_argmax()",
    "max": "name its axes: x.amax(dim=(2, 3))",
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


def advice(operator: str) -> str:
    """The next step for a user whose network has ``operator``."""
    return NEAREST.get(
        operator.rstrip("_"), NEAREST.get(operator, "supported operators are listed by uc-nn ops (docs/operators.md)")
    )
