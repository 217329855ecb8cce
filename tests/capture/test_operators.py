"""Every operator and parameter, against the attributes of torch's own modules and the shapes that torch computes.

Each network goes in live and as an exported program; some also after decomposition to core ATen, whose operators are
others (``convolution``, ``addmm``, ``mean.dim``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests import operator_networks
from tests.capture.helpers import assert_same_graph, capture_export, nodes_of
from uc_nn_pio import reference
from uc_nn_pio.capture import capture_module
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.ops import Padding

Capture = Callable[[nn.Module, tuple[int, ...]], Graph]


@pytest.fixture
def graph_of(tmp_path: Path) -> Capture:
    """Captures a network live and from an export; both must agree, and compute what torch computes."""

    def take(module: nn.Module, shape: tuple[int, ...]) -> Graph:
        module = module.eval()
        graph = capture_module(module, shape, "net")
        assert_same_graph(graph, capture_export(module, shape, tmp_path / "net.pt2"))
        image = torch.randn(1, *shape, generator=torch.Generator().manual_seed(4))
        with torch.no_grad():
            expected = module(image.clone())
        assert graph.tensor(graph.inputs[0]).shape == shape
        assert graph.tensor(graph.outputs[0]).shape == tuple(expected.shape[1:])
        computed = reference.run(graph, {"input": image[0].numpy()})[graph.outputs[0]]
        np.testing.assert_allclose(computed, expected[0].numpy(), rtol=1e-4, atol=1e-5)
        return graph

    return take


class Net(operator_networks.Net):
    """A function of the input; of the layers too, where there are any."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x) if self._modules or self._parameters else self.function(x)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


CONVOLUTIONS = {
    "plain": nn.Conv2d(3, 4, 3),
    "rectangle": nn.Conv2d(3, 4, (2, 5), stride=(3, 1), padding=(1, 2)),
    "stride": nn.Conv2d(3, 4, 3, stride=2),
    "padding": nn.Conv2d(3, 4, 3, padding=2),
    "dilation": nn.Conv2d(3, 4, 3, dilation=(2, 1)),
    "groups": nn.Conv2d(6, 4, 3, groups=2),
    "depthwise": nn.Conv2d(3, 6, 3, groups=3, bias=False),
    "pointwise": nn.Conv2d(3, 5, 1),
    "no bias": nn.Conv2d(3, 4, 3, bias=False),
    "same": nn.Conv2d(3, 4, 5, padding="same"),
    "same, dilated": nn.Conv2d(3, 4, 3, dilation=2, padding="same"),
    "valid": nn.Conv2d(3, 4, 3, padding="valid"),
    "one channel": nn.Conv2d(1, 1, 3),
}


@pytest.mark.parametrize("conv", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_conv2d(graph_of: Capture, conv: nn.Conv2d) -> None:
    shape = (conv.in_channels, 11, 13)
    graph = graph_of(nn.Sequential(conv), shape)
    (node,) = graph.nodes
    op = node.op
    assert (op.kind, op.kernel, op.stride, op.dilation) == ("conv2d", conv.kernel_size, conv.stride, conv.dilation)
    assert op.groups == conv.groups
    # torch keeps (left, right, top, bottom) itself, for every form of padding
    left, right, top, bottom = conv._reversed_padding_repeated_twice
    assert op.padding == Padding(top, bottom, left, right)
    assert op.conv_shape == graph.tensor(node.output).shape == tuple(conv(torch.zeros(1, *shape)).shape[1:])
    assert (op.activation, op.pool) == (None, None)
    np.testing.assert_array_equal(graph.constant(node, "weight"), conv.weight.detach().numpy())
    if conv.bias is None:
        assert graph.constant(node, "bias") is None
    else:
        np.testing.assert_array_equal(graph.constant(node, "bias"), conv.bias.detach().numpy())


def test_conv2d_same_with_an_even_kernel_pads_more_at_the_end() -> None:
    conv = nn.Conv2d(2, 3, (4, 2), padding="same").eval()
    graph = capture_module(conv, (2, 7, 9), "net")
    left, right, top, bottom = conv._reversed_padding_repeated_twice
    assert graph.nodes[0].op.padding == Padding(top, bottom, left, right) == Padding(1, 2, 0, 1)
    assert graph.tensor(graph.outputs[0]).shape == (3, 7, 9)


POOLS = {
    "max": nn.MaxPool2d(2),
    "max, rectangle": nn.MaxPool2d((3, 2), stride=(2, 3), padding=(1, 0)),
    "max, overlapping": nn.MaxPool2d(3, stride=1),
    "max, stride beyond kernel": nn.MaxPool2d(2, stride=3),
    "max, ceil": nn.MaxPool2d(3, stride=2, ceil_mode=True),
    "max, ceil and padding": nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
    "max, dilated": nn.MaxPool2d(2, stride=1, dilation=(2, 3)),
    "avg": nn.AvgPool2d(2),
    "avg, rectangle": nn.AvgPool2d((3, 2), stride=(2, 3), padding=(1, 0)),
    "avg, ceil": nn.AvgPool2d(3, stride=2, ceil_mode=True),
    "avg, padding counts not": nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
    "avg, divisor": nn.AvgPool2d(3, divisor_override=7),
    "avg, all": nn.AvgPool2d(3, 2, 1, True, False, 5),
}


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_pool2d(graph_of: Capture, pool: nn.MaxPool2d | nn.AvgPool2d) -> None:
    graph = graph_of(nn.Sequential(pool), (3, 12, 10))
    (node,) = graph.nodes
    pad = _pair(pool.padding)
    assert (node.op.kernel, node.op.stride) == (_pair(pool.kernel_size), _pair(pool.stride))
    assert node.op.padding == Padding(pad[0], pad[0], pad[1], pad[1])
    if isinstance(pool, nn.MaxPool2d):
        assert (node.op.kind, node.op.dilation) == ("max_pool2d", _pair(pool.dilation))
    else:
        assert (node.op.kind, node.op.divisor_override) == ("avg_pool2d", pool.divisor_override)
        assert node.op.count_include_pad == pool.count_include_pad


@pytest.mark.parametrize("function", [F.max_pool2d, F.avg_pool2d])
def test_functional_pools_stride_by_their_kernel_when_none_is_given(graph_of: Capture, function: Callable) -> None:
    graph = graph_of(Net(lambda x: function(x, (3, 2))), (3, 12, 10))
    assert (graph.nodes[0].op.kernel, graph.nodes[0].op.stride) == ((3, 2), (3, 2))


@pytest.mark.parametrize("size", [1, (2, 3), (None, 5)], ids=str)
def test_adaptive_avg_pool2d(graph_of: Capture, size: int | tuple[int | None, int | None]) -> None:
    graph = graph_of(nn.Sequential(nn.AdaptiveAvgPool2d(size)), (3, 12, 10))
    assert [node.op.kind for node in graph.nodes] == ["adaptive_avg_pool2d"]


@pytest.mark.parametrize("keepdim", [True, False])
def test_mean_over_height_and_width(graph_of: Capture, keepdim: bool) -> None:
    graph = graph_of(Net(lambda x: x.mean((-1, -2), keepdim=keepdim)), (3, 12, 10))
    assert [node.op.kind for node in graph.nodes] == ["adaptive_avg_pool2d", "reshape"][: 1 if keepdim else 2]
    assert graph.tensor(graph.nodes[0].output).shape == (3, 1, 1)


ACTIVATIONS = {
    "relu": (nn.ReLU(), "relu", 0),
    "relu in place": (nn.ReLU(inplace=True), "relu", 0),
    "relu6": (nn.ReLU6(), "relu6", 0),
    "functional relu6": (Net(F.relu6), "relu6", 0),
    "hardtanh": (nn.Hardtanh(0, 6), "relu6", 0),
    "clamp": (Net(lambda x: x.clamp(0, 6)), "relu6", 0),
    "clamp_min": (Net(lambda x: torch.clamp_min(x, 0)), "relu", 0),
    "clamp from 0": (Net(lambda x: x.clamp(min=0.0)), "relu", 0),
    "leaky_relu": (nn.LeakyReLU(), "leaky_relu", 0.01),
    "leaky_relu slope": (nn.LeakyReLU(0.25, inplace=True), "leaky_relu", 0.25),
    "sigmoid": (nn.Sigmoid(), "sigmoid", 0),
    "tanh": (nn.Tanh(), "tanh", 0),
    "functional tanh": (Net(torch.tanh), "tanh", 0),
}


@pytest.mark.parametrize(("layer", "function", "slope"), ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_activations(graph_of: Capture, layer: nn.Module, function: str, slope: float) -> None:
    graph = graph_of(nn.Sequential(nn.Conv2d(2, 3, 1), layer), (2, 5, 4))
    op = graph.nodes[-1].op
    assert (op.kind, op.function, op.slope) == ("activation", function, slope)
    assert len(graph.nodes) == 2


def test_a_threshold_at_0_is_relu() -> None:
    graph = capture_module(nn.Sequential(nn.Threshold(0, 0)), (2, 5, 4), "net")
    assert graph.nodes[0].op.title == "relu"


@pytest.mark.parametrize("dim", [1, -1])
@pytest.mark.parametrize(("layer", "kind"), [(nn.Softmax, "softmax"), (nn.LogSoftmax, "log_softmax")])
def test_softmax_of_a_vector(graph_of: Capture, layer: type, kind: str, dim: int) -> None:
    graph = graph_of(nn.Sequential(layer(dim)), (7,))
    assert (graph.nodes[0].op.kind, graph.nodes[0].op.axis) == (kind, 0)


@pytest.mark.parametrize("dim", [1, -3])
def test_softmax_of_a_map_goes_over_channels(graph_of: Capture, dim: int) -> None:
    graph = graph_of(nn.Sequential(nn.LogSoftmax(dim)), (3, 5, 4))
    assert graph.nodes[0].op.axis == 0


LINEARS = {
    "linear": nn.Linear(12, 5),
    "no bias": nn.Linear(12, 5, bias=False),
}


@pytest.mark.parametrize("linear", LINEARS.values(), ids=LINEARS)
def test_linear(graph_of: Capture, linear: nn.Linear) -> None:
    graph = graph_of(nn.Sequential(linear), (12,))
    (node,) = graph.nodes
    assert node.op.kind == "linear"
    np.testing.assert_array_equal(graph.constant(node, "weight"), linear.weight.detach().numpy())
    bias = graph.constant(node, "bias")
    assert (bias is None) == (linear.bias is None)
    assert bias is None or np.array_equal(bias, linear.bias.detach().numpy())


class ByHand(nn.Module):
    """A linear layer as matrix arithmetic."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.weight, self.bias = nn.Parameter(torch.rand(5, 12)), nn.Parameter(torch.rand(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        forms = {
            "matmul": lambda: x @ self.weight.t() + self.bias,
            "bias first": lambda: self.bias + torch.matmul(x, self.weight.T),
            "mm": lambda: torch.mm(x, self.weight.transpose(0, 1)) + self.bias,
            "addmm": lambda: torch.addmm(self.bias, x, self.weight.permute(1, 0)),
        }
        return forms[self.form]()


@pytest.mark.parametrize("form", ["matmul", "bias first", "mm", "addmm"])
def test_matrix_products_with_a_bias_are_linear_layers(graph_of: Capture, form: str) -> None:
    module = ByHand(form)
    graph = graph_of(module, (12,))
    (node,) = graph.nodes
    assert node.op.kind == "linear"
    np.testing.assert_array_equal(graph.constant(node, "weight"), module.weight.detach().numpy())
    np.testing.assert_array_equal(graph.constant(node, "bias"), module.bias.detach().numpy())


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(4, 5, 3), (4,)], ids=str)
def test_batch_norm(graph_of: Capture, shape: tuple[int, ...], affine: bool) -> None:
    layer = (nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(4, eps=0.125, affine=affine)
    for tensor in (layer.running_mean, layer.running_var, *layer.parameters()):
        nn.init.uniform_(tensor, 0.5, 2)
    graph = graph_of(nn.Sequential(layer), shape)
    (node,) = nodes_of(graph, "batch_norm")
    assert node.op.eps == 0.125
    expected = {"mean": layer.running_mean, "var": layer.running_var}
    expected["weight"] = layer.weight if affine else torch.ones(4)
    expected["bias"] = layer.bias if affine else torch.zeros(4)
    for role, tensor in expected.items():
        np.testing.assert_array_equal(graph.constant(node, role), tensor.detach().numpy())


RESHAPES = {
    "flatten": (lambda x: torch.flatten(x, 1), (24,)),
    "view": (lambda x: x.view(x.size(0), -1), (24,)),
    "view by count": (lambda x: x.view(-1, 24), (24,)),
    "reshape": (lambda x: x.reshape(1, 3, 8), (3, 8)),
    "flatten two axes": (lambda x: x.flatten(2), (3, 8)),
    "unsqueeze and squeeze": (lambda x: x.unsqueeze(2).squeeze(2), (3, 4, 2)),
    "unflatten": (lambda x: x.flatten(1).unflatten(1, (6, 2, 2)), (6, 2, 2)),
}


@pytest.mark.parametrize(("function", "shape"), RESHAPES.values(), ids=RESHAPES)
def test_reshapes(graph_of: Capture, function: Callable, shape: tuple[int, ...]) -> None:
    graph = graph_of(Net(function), (3, 4, 2))
    assert {node.op.kind for node in graph.nodes} == {"reshape"}
    assert graph.tensor(graph.outputs[0]).shape == shape


IDENTITIES = {
    "dropout": nn.Dropout(0.3),
    "dropout2d": nn.Dropout2d(),
    "dropout in place": nn.Dropout(inplace=True),
    "identity": nn.Identity(),
    "contiguous": Net(lambda x: x.contiguous()),
    "clone": Net(lambda x: x.clone()),
    "detach": Net(lambda x: x.detach()),
    "float": Net(lambda x: x.float()),
    "untrained dropout": Net(lambda x: F.dropout(x, 0.5, training=False)),
}


@pytest.mark.parametrize("layer", IDENTITIES.values(), ids=IDENTITIES)
def test_what_does_nothing_at_inference_is_identity_or_gone(graph_of: Capture, layer: nn.Module) -> None:
    graph = graph_of(nn.Sequential(nn.Conv2d(2, 3, 1), layer, nn.ReLU()), (2, 5, 4))
    kinds = [node.op.kind for node in graph.nodes]
    assert [kind for kind in kinds if kind != "identity"] == ["conv2d", "activation"]


def test_in_place_operators_change_what_is_read_afterwards(graph_of: Capture) -> None:
    def function(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        y = net.conv(x)
        F.relu_(y)
        return net.pool(y)

    graph = graph_of(Net(function, conv=nn.Conv2d(2, 3, 1), pool=nn.MaxPool2d(2)), (2, 6, 4))
    assert [node.op.title for node in graph.nodes] == ["conv2d", "relu", "max_pool2d"]


def test_switched_off_gradients_leave_no_trace() -> None:
    def function(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            x = net.conv(x)
        return F.relu(x)

    graph = capture_module(Net(function, conv=nn.Conv2d(2, 2, 1)), (2, 6, 4), "net")
    assert [node.op.title for node in graph.nodes] == ["conv2d", "relu"]


def test_a_layer_used_twice_keeps_one_set_of_weights(graph_of: Capture) -> None:
    def function(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return net.conv(net.relu(net.conv(x)))

    graph = graph_of(Net(function, conv=nn.Conv2d(2, 2, 1), relu=nn.ReLU()), (2, 6, 4))
    assert [node.name for node in graph.nodes] == ["conv", "relu", "conv_1"]
    assert set(graph.constants) == {"conv_weight", "conv_bias"}


def test_what_the_output_does_not_need_is_left_out(graph_of: Capture) -> None:
    def function(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        net.unused(x)
        return net.conv(x)

    graph = graph_of(Net(function, conv=nn.Conv2d(2, 2, 1), unused=nn.Conv2d(2, 2, 1)), (2, 6, 4))
    assert [node.name for node in graph.nodes] == ["conv"]
    assert set(graph.constants) == {"conv_weight", "conv_bias"}


CORE = {
    "maps": nn.Sequential(
        nn.Conv2d(4, 6, (3, 2), stride=(1, 2), padding=(1, 0), groups=2),
        nn.BatchNorm2d(6),
        nn.ReLU6(),
        nn.MaxPool2d(3, 2, 1, ceil_mode=True),
        nn.Conv2d(6, 3, 3, padding="same", dilation=2, bias=False),
        nn.LeakyReLU(0.2),
        nn.AvgPool2d(2, 1, 1, False, False),
        nn.Sigmoid(),
        nn.AdaptiveAvgPool2d((2, 3)),
        nn.Softmax(1),
    ),
    "vectors": nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 7),
        nn.BatchNorm1d(7),
        nn.Tanh(),
        nn.Dropout(),
        nn.Linear(7, 5, bias=False),
        nn.ReLU(inplace=True),
        nn.LogSoftmax(-1),
    ),
    "by hand": nn.Sequential(nn.AdaptiveAvgPool2d((1, 3)), nn.Unflatten(1, (2, 2)), nn.Flatten(), ByHand("matmul")),
    "functions": Net(lambda x: F.relu(torch.clamp(x, 0, 6).mean((2, 3))).unsqueeze(2).squeeze(2)),
}


@pytest.mark.parametrize("network", CORE.values(), ids=CORE)
def test_core_aten_says_the_same(network: nn.Module, tmp_path: Path) -> None:
    shape = (4, 11, 14)
    traced = capture_module(network.eval(), shape, "net")
    core = capture_export(network, shape, tmp_path / "core.pt2", core=True)
    ops = [[(node.op, node.output) for node in graph.nodes if node.op.kind != "identity"] for graph in (traced, core)]
    assert [op for op, _ in ops[0]] == [op for op, _ in ops[1]]
    for (_, one), (_, other) in zip(*ops, strict=True):
        assert traced.tensor(one).shape == core.tensor(other).shape
    for name, array in traced.constants.items():
        np.testing.assert_array_equal(array, core.constants[name])
