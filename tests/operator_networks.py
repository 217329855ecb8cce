"""Small torch networks, one or more for every family of operators, for tests of kernels and boards."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.emit.int8_networks import Network
from uc_nn_pio.capture import capture_module
from uc_nn_pio.graph.quant import to_int8
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import Method, calibrate, quantize

Shape = tuple[int, ...]


class Net(nn.Module):
    """A function of the network's layers and its input."""

    def __init__(self, function: Callable[..., torch.Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


def _temporal() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(3, 6, 3, padding="same"),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(6, 6, 3, groups=6, dilation=2, stride=2),
        nn.BatchNorm1d(6),
        nn.ReLU6(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
    )


class Last(nn.Module):
    """A recurrent layer whose last state goes on."""

    def __init__(self, layer: nn.Module, outputs: int) -> None:
        super().__init__()
        self.layer = layer
        width = layer.hidden_size * (2 if layer.bidirectional else 1)
        self.fc = nn.Linear(width, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, state = self.layer(x)
        state = state[0] if isinstance(state, tuple) else state
        if self.layer.bidirectional:
            return self.fc(torch.cat([state[-2], state[-1]], dim=1))
        return self.fc(state[-1])


def _rows(layer: nn.Module) -> nn.Module:
    """A recurrent layer's output for every row."""
    return Net(lambda net, x: net.layer(x)[0], layer=layer)


NETWORKS: dict[str, Callable[[], tuple[nn.Module, Shape]]] = {
    "lstm": lambda: (_rows(nn.LSTM(3, 5, batch_first=True)), (9, 3)),
    "lstm of two layers": lambda: (Last(nn.LSTM(6, 8, num_layers=2, batch_first=True), 3), (12, 6)),
    "lstm both ways": lambda: (Last(nn.LSTM(4, 5, batch_first=True, bidirectional=True), 3), (10, 4)),
    "gru": lambda: (_rows(nn.GRU(4, 7, batch_first=True)), (11, 4)),
    "gru both ways": lambda: (
        _rows(nn.GRU(3, 4, num_layers=2, batch_first=True, bidirectional=True, bias=False)),
        (8, 3),
    ),
    "gru behind convolutions": lambda: (
        Net(
            lambda net, x: net.last(net.conv(x).relu().transpose(1, 2)),
            conv=nn.Conv1d(3, 6, 3, stride=2),
            last=Last(nn.GRU(6, 9, batch_first=True), 4),
        ),
        (3, 21),
    ),
    "rnn": lambda: (Last(nn.RNN(5, 6, batch_first=True), 2), (7, 5)),
    "rnn with relu": lambda: (_rows(nn.RNN(5, 6, batch_first=True, nonlinearity="relu")), (6, 5)),
    "conv1d": lambda: (nn.Conv1d(3, 5, 4, padding=1, stride=2), (3, 17)),
    "temporal convolutions": lambda: (_temporal(), (3, 20)),
    "signal with channels last": lambda: (
        Net(lambda net, x: net.conv(x.permute(0, 2, 1)).relu().transpose(1, 2), conv=nn.Conv1d(3, 5, 3)),
        (17, 3),
    ),
    "average of a signal": lambda: (nn.Sequential(nn.AvgPool1d(3, 2, 1), nn.AdaptiveMaxPool1d(2)), (4, 8)),
    "squeeze and excite": lambda: (
        Net(lambda net, x: x * torch.sigmoid(net.fc(x.mean((2, 3)))).unsqueeze(-1).unsqueeze(-1), fc=nn.Linear(4, 4)),
        (4, 5, 6),
    ),
    "spatial attention": lambda: (
        Net(
            lambda net, x: (
                x * torch.sigmoid(net.conv(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)))
            ),
            conv=nn.Conv2d(2, 1, 3, padding=1),
        ),
        (4, 5, 6),
    ),
    "difference": lambda: (
        Net(lambda net, x: net.a(x) - net.b(x) * 2.0 + 1, a=nn.Conv2d(2, 3, 1), b=nn.Conv2d(2, 3, 1)),
        (2, 5, 6),
    ),
    "relu of a difference": lambda: (Net(lambda net, x: F.relu(net.a(x) - x), a=nn.Conv2d(3, 3, 1)), (3, 4, 2)),
    "relu6 of a product": lambda: (Net(lambda net, x: F.relu6(net.a(x) * x), a=nn.Conv2d(3, 3, 1)), (3, 4, 2)),
    "a term repeated down, another across": lambda: (
        Net(lambda net, x: x[:, :, :1] - x[:, :, :, 2:3] * x[:, 1:2]),
        (3, 5, 4),
    ),
    "constants": lambda: (
        Net(lambda net, x: net.conv((x - 0.5) / torch.tensor([1.0, 2.0]).view(1, 2, 1, 1)), conv=nn.Conv2d(2, 3, 1)),
        (2, 5, 6),
    ),
    "a constant for each element": lambda: (Net(lambda net, x: 3 - x * net.each.weight, each=_Constant(5, 6)), (5, 6)),
    "a constant that is larger": lambda: (
        Net(lambda net, x: net.each.weight - x[:, :, :1], each=_Constant(5, 6)),
        (5, 2),
    ),
    "zeros around": lambda: (Net(lambda net, x: net.conv(F.pad(x, (1, 2, 0, 1))), conv=nn.Conv2d(2, 3, 3)), (2, 5, 6)),
    "zeros in front of a pool": lambda: (nn.Sequential(nn.ZeroPad2d((1, 0, 2, 1)), nn.AvgPool2d(2)), (3, 5, 7)),
    "channels of zeros": lambda: (Net(lambda net, x: F.pad(x, (0, 0, 0, 0, 1, 2))), (3, 5, 4)),
    "a number around, and a cut": lambda: (Net(lambda net, x: F.pad(x, (1, 2, -1, 1), value=2.5)), (2, 5, 6)),
    "reflection": lambda: (Net(lambda net, x: F.pad(x, (1, 2, 2, 1), mode="reflect")), (2, 5, 6)),
    "replication and going round": lambda: (
        nn.Sequential(nn.ReplicationPad2d(2), nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular")),
        (2, 5, 6),
    ),
    "slices": lambda: (
        Net(lambda net, x: torch.cat([x[:, :, ::2], x[:, 1:2, :3].expand(-1, 2, -1, -1).relu()], 1)),
        (2, 6, 5),
    ),
    "upsampling": lambda: (
        nn.Sequential(nn.Upsample(scale_factor=2), nn.ReLU(), nn.Conv2d(2, 2, 3, padding=1), nn.Upsample(size=(7, 5))),
        (2, 4, 4),
    ),
    "upsampling a signal": lambda: (nn.Sequential(nn.Upsample(scale_factor=1.5), nn.Conv1d(2, 3, 3)), (2, 7)),
    "exact upsampling": lambda: (nn.Upsample(size=(5, 7), mode="nearest-exact"), (2, 3, 4)),
    "shuffles": lambda: (
        nn.Sequential(nn.PixelShuffle(2), nn.Conv2d(2, 4, 1), nn.ChannelShuffle(2), nn.PixelUnshuffle(2)),
        (8, 4, 6),
    ),
    "linear along the last axis": lambda: (
        nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3), nn.Softmax(-1)),
        (6, 5),
    ),
    "softmax of rows": lambda: (nn.Softmax(3), (3, 4, 5)),
    "log_softmax of columns": lambda: (nn.LogSoftmax(2), (3, 4, 5)),
    "reductions": lambda: (
        Net(lambda net, x: x.sum(1) + x.amax(2) + x.amin(3) - x.mean((2, 3), keepdim=True).squeeze(-1)),
        (5, 5, 5),
    ),
    "everything reduced": lambda: (
        Net(lambda net, x: x.mean((1, 2, 3), keepdim=True) + x.sum((1, 2), True)),
        (2, 3, 4),
    ),
    "parts": lambda: (
        Net(
            lambda net, x: (
                sum(x.split(2, 1)) + torch.stack(x.chunk(3, 1), 2).sum(2) + x.unbind(3)[0].unsqueeze(-1)[:, :2]
            )
        ),
        (6, 5, 4),
    ),
    "chosen channels": lambda: (Net(lambda net, x: x[:, [2, 0, 1]] + x.flip(2).roll(1, 2)), (3, 5, 4)),
    "repeats": lambda: (
        Net(lambda net, x: x.repeat(1, 2, 1, 1) + torch.repeat_interleave(x, 2, dim=1).swapaxes(2, 3).movedim(3, 2)),
        (2, 3, 4),
    ),
    "attention of two": lambda: (
        Net(lambda net, x: (net.a(x) * net.b(x)).sum(-1), a=nn.Linear(4, 8), b=nn.Linear(4, 8)),
        (3, 4),
    ),
    "transposed": lambda: (nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), (4, 5, 3)),
    "transposed and cut": lambda: (nn.ConvTranspose2d(2, 3, (4, 2), (3, 1), (4, 1), dilation=(1, 2)), (2, 4, 5)),
    "transposed, depthwise, with gaps": lambda: (
        nn.Sequential(nn.ConvTranspose2d(3, 3, (1, 2), (2, 3), groups=3, bias=False), nn.ReLU()),
        (3, 3, 4),
    ),
    "a transposed signal": lambda: (nn.Sequential(nn.ConvTranspose1d(3, 2, 5, 2, 2), nn.ReLU()), (3, 6)),
    "selu and celu": lambda: (nn.Sequential(nn.SELU(), nn.Conv2d(2, 3, 1), nn.CELU(0.7)), (2, 4, 3)),
    "sums with a factor": lambda: (
        Net(lambda net, x: torch.add(x, x.relu(), alpha=2) - torch.rsub(x, x.flip(2), alpha=3)),
        (2, 3, 4),
    ),
    "prelu": lambda: (nn.Sequential(nn.Conv2d(2, 3, 1), _slopes(3), nn.Flatten(), _slopes(60), nn.PReLU()), (2, 4, 5)),
    "prelu of a signal": lambda: (nn.Sequential(nn.Conv1d(2, 3, 1), _slopes(3)), (2, 6)),
    "layer norm of rows": lambda: (nn.Sequential(nn.Linear(6, 8), _affine(nn.LayerNorm(8)), nn.GELU()), (5, 6)),
    "layer norm of a map": lambda: (_affine(nn.LayerNorm((3, 4, 5))), (3, 4, 5)),
    "layer norm of channels": lambda: (
        Net(lambda net, x: net.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), norm=_affine(nn.LayerNorm(3))),
        (3, 4, 5),
    ),
    "layer norm without weights": lambda: (nn.LayerNorm(7, elementwise_affine=False), (7,)),
    "rms norm": lambda: (nn.Sequential(nn.Linear(6, 8), nn.RMSNorm(8)), (5, 6)),
    "group norm": lambda: (nn.Sequential(_affine(nn.GroupNorm(2, 4)), nn.ReLU(), nn.Conv2d(4, 2, 1)), (4, 5, 3)),
    "group norm of one": lambda: (_affine(nn.GroupNorm(1, 4)), (4, 5, 3)),
    "instance norm": lambda: (nn.InstanceNorm2d(3), (3, 5, 4)),
    "instance norm of a signal": lambda: (_affine(nn.InstanceNorm1d(3, affine=True)), (3, 9)),
    "positions": lambda: (
        Net(lambda net, x: net.fc(x + _positions(6, 4))[:, torch.arange(5, 0, -2)], fc=nn.Linear(4, 3)),
        (6, 4),
    ),
    "negated squares": lambda: (Net(lambda net, x: -(x**2)), (5,)),
    "a flatten behind a transpose": lambda: (
        nn.Sequential(Net(lambda net, x: x.transpose(1, 3)), nn.Flatten(), nn.Linear(24, 3)),
        (2, 3, 4),
    ),
}


class _Constant(nn.Module):
    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(*shape))


def _positions(count: int, size: int) -> torch.Tensor:
    """Sines and cosines of each place, as transformers have them; computed by the network itself."""
    places = torch.arange(count).unsqueeze(1)
    angles = places * torch.exp(torch.arange(0, size, 2) * (-math.log(100.0) / size))
    return torch.cat([torch.sin(angles), torch.cos(angles)], 1) + torch.zeros(size) + torch.full((1, size), 0.5)


def _slopes(count: int) -> nn.Module:
    layer = nn.PReLU(count)
    layer.weight.data.uniform_(-0.5, 1.2)
    return layer


def _affine(layer: nn.Module) -> nn.Module:
    layer.weight.data.normal_()
    layer.bias.data.normal_()
    return layer


def network(name: str) -> tuple[nn.Module, Shape]:
    """The network, in eval mode, with random weights and statistics; same name, same values."""
    torch.manual_seed(len(name))
    module, shape = NETWORKS[name]()
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._NormBase) and layer.running_mean is not None:
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    return module.eval(), shape


SAMPLES = 6


def samples(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of the network, and torch's outputs."""
    module, shape = network(name)
    x = torch.randn(SAMPLES, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return x.numpy(), np.concatenate([module(sample[None]).numpy() for sample in x])


def int8_network(name: str) -> Network:
    """The network in int8, calibrated with its samples; and these."""
    module, shape = network(name)
    x, _ = samples(name)
    graph = lower(capture_module(module, shape, "net"))
    graph = quantize(graph, calibrate(graph, [x], Method.MINMAX))
    return Network(graph, to_int8(x, graph.tensor(graph.inputs[0]).quant))
