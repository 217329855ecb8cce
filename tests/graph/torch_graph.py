"""A torch ``Sequential`` as a graph, layer by layer, without ``torch.export``: the tests' own way in."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from uc_nn_pio.graph import ops
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.graph.ir import Graph


def graph_of(module: nn.Sequential, shape: tuple[int, ...]) -> Graph:
    """The graph of ``module`` with input ``x``; layer i is node and tensor ``i_classname``, shapes are torch's own."""
    build = GraphBuilder("net")
    name, value = build.input("x", shape), torch.zeros(1, *shape)
    module.eval()
    for i, layer in enumerate(module):
        with torch.no_grad():
            value = layer(value)
        state = {role: tensor.detach().numpy() for role, tensor in layer.state_dict().items()}
        constants = {ROLES.get(role, role): array for role, array in state.items() if role != "num_batches_tracked"}
        name = build.add(f"{i}_{type(layer).__name__}", op_of(layer), name, shape=tuple(value.shape[1:]), **constants)
    return build.graph(name)


ROLES = {"running_mean": "mean", "running_var": "var"}

ACTIVATIONS = {
    **{nn.ReLU: "relu", nn.ReLU6: "relu6", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh"},
    **{nn.SiLU: "silu", nn.Hardswish: "hardswish", nn.Hardsigmoid: "hardsigmoid"},
}


def op_of(layer: nn.Module) -> ops.Op:
    """The operator of one layer."""
    if type(layer) in ACTIVATIONS:
        return ops.Activation(ACTIVATIONS[type(layer)])
    match layer:
        case nn.LeakyReLU():
            return ops.Activation("leaky_relu", layer.negative_slope)
        case nn.Conv2d():
            return ops.Conv2d(layer.kernel_size, layer.stride, padding_of(layer), layer.dilation, layer.groups)
        case nn.GELU():
            return ops.Activation("gelu_tanh" if layer.approximate == "tanh" else "gelu")
        case nn.ELU():
            return ops.Activation("elu", layer.alpha)
        case nn.MaxPool2d():
            padding, dilation = padding_of(layer), pair(layer.dilation)
            return ops.MaxPool2d(pair(layer.kernel_size), pair(layer.stride), padding, dilation)
        case nn.AvgPool2d():
            return ops.AvgPool2d(
                pair(layer.kernel_size),
                pair(layer.stride),
                padding_of(layer),
                layer.count_include_pad,
                layer.divisor_override,
            )
        case nn.AdaptiveAvgPool2d():
            return ops.AdaptiveAvgPool2d()
        case nn.Linear():
            return ops.Linear()
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return ops.BatchNorm(layer.eps)
        case nn.Softmax() | nn.LogSoftmax():
            assert layer.dim == 1
            return ops.Softmax() if isinstance(layer, nn.Softmax) else ops.LogSoftmax()
        case nn.Flatten() | nn.Unflatten():
            return ops.Reshape()
        case nn.Dropout() | nn.Identity():
            return ops.Identity()
    raise TypeError(f"no operator for {layer}")


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def padding_of(layer: nn.Module) -> ops.Padding:
    """Torch's padding; ``same`` puts the odd pixel at the bottom and at the right."""
    if layer.padding == "same":
        total = [d * (k - 1) for d, k in zip(pair(layer.dilation), pair(layer.kernel_size), strict=True)]
        (top, left) = (t // 2 for t in total)
        return ops.Padding(top, total[0] - top, left, total[1] - left)
    down, across = pair(layer.padding)
    return ops.Padding(down, down, across, across)


def randomize(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and batch-norm statistics that all matter: no zeros, no ones, scales of both signs."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.4, 2.0, generator=generator)
            elif tensor.is_floating_point():
                fan = max(1, tensor[0].numel()) if tensor.ndim > 1 else 1
                tensor.normal_(std=fan**-0.5, generator=generator)
    return module.eval()


def torch_values(module: nn.Module, x: np.ndarray) -> np.ndarray:
    """What torch computes for a batch."""
    with torch.no_grad():
        return module.eval()(torch.from_numpy(x)).numpy()


def images(count: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Random inputs of both signs."""
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)
