"""Every operator against torch, on maps with C, H and W pairwise different, and edges that windows do not fit."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from tests.graph.torch_graph import graph_of, images, randomize, torch_values
from uc_nn_pio.reference import outputs_batch

CONVOLUTIONS = [
    nn.Conv2d(3, 5, 3),
    nn.Conv2d(3, 5, (2, 4), stride=(3, 2), padding=(1, 3)),
    nn.Conv2d(3, 4, (3, 2), padding="same"),
    nn.Conv2d(3, 4, (4, 3), padding="same", dilation=(2, 1), bias=False),
    nn.Conv2d(3, 6, 3, padding=2, dilation=(1, 3), groups=3),
    nn.Conv2d(3, 3, 3, padding=4, groups=3, bias=False),
    nn.Conv2d(3, 7, 1),
    nn.Conv2d(3, 2, (8, 11)),
]
POOLS = [
    nn.MaxPool2d(2),
    nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
    nn.MaxPool2d((3, 2), stride=(2, 3), dilation=(2, 1)),
    nn.MaxPool2d(4, stride=5, ceil_mode=True),
    nn.AvgPool2d(3),
    nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True),
    nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    nn.AvgPool2d((2, 3), stride=(3, 2), ceil_mode=True, divisor_override=5),
    nn.AvgPool2d(4, stride=3, padding=2, ceil_mode=True),
    nn.AdaptiveAvgPool2d((3, 4)),
    nn.AdaptiveAvgPool2d((8, 1)),
    nn.AdaptiveAvgPool2d((11, 13)),
    nn.AdaptiveAvgPool2d(1),
]
ELEMENTWISE = [
    nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.1), nn.LeakyReLU(-0.2), nn.LeakyReLU(1.5), nn.Sigmoid(), nn.Tanh(),
    nn.Softmax(dim=1), nn.LogSoftmax(dim=1), nn.BatchNorm2d(3), nn.BatchNorm2d(3, eps=0.1, affine=False),
    nn.Dropout(), nn.Identity(), nn.Flatten(),
]  # fmt: skip


@pytest.mark.parametrize("layer", CONVOLUTIONS + POOLS + ELEMENTWISE, ids=str)
def test_one_operator_on_a_map(layer: nn.Module) -> None:
    module = randomize(nn.Sequential(layer))
    x = 4 * images(5, (3, 8, 11))
    expected = torch_values(module, x)
    result = outputs_batch(graph_of(module, (3, 8, 11)), x)
    (values,) = result.values()
    assert values.shape == expected.shape
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [nn.Linear(13, 4), nn.Linear(13, 4, bias=False), nn.BatchNorm1d(13), nn.Softmax(dim=1), nn.LogSoftmax(dim=1)],
    ids=str,
)
def test_one_operator_on_a_vector(layer: nn.Module) -> None:
    module = randomize(nn.Sequential(layer))
    x = 4 * images(5, (13,))
    (values,) = outputs_batch(graph_of(module, (13,)), x).values()
    np.testing.assert_allclose(values, torch_values(module, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer", [nn.Softmax(dim=1), nn.LogSoftmax(dim=1), nn.Sigmoid(), nn.Tanh()], ids=str)
def test_large_arguments_do_not_overflow(layer: nn.Module) -> None:
    x = np.array([[-200, -90, 0, 90, 200], [1e5, 0, -1e5, 3, 4]], np.float32)
    (values,) = outputs_batch(graph_of(nn.Sequential(layer), (5,)), x).values()
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values, torch_values(layer, x), rtol=1e-5, atol=1e-6)


def test_a_network_of_several_layers() -> None:
    layers = [nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.BatchNorm2d(6), nn.Flatten()]
    module = randomize(nn.Sequential(*layers, nn.Linear(6 * 4 * 6, 10), nn.Softmax(dim=1)))
    x = images(130, (2, 9, 13))
    (values,) = outputs_batch(graph_of(module, (2, 9, 13)), x).values()
    np.testing.assert_allclose(values, torch_values(module, x), rtol=1e-5, atol=1e-6)
