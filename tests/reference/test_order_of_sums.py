"""The order of float32 operations, against scalar loops written out as C would have them: equal to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from tests.graph.torch_graph import graph_of, images, randomize
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.layout import to_memory
from uc_nn_pio.lower import lower
from uc_nn_pio.reference import convolution, run, run_batch

F = np.float32


def convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, pad: int) -> np.ndarray:
    """Bias first, then taps in the order (ky, kx, c), each product rounded to float32 before it is added."""
    out, channels, kernel_h, kernel_w = weight.shape
    rows, columns = ((n + 2 * pad - k) // stride + 1 for n, k in zip(x.shape[1:], (kernel_h, kernel_w), strict=True))
    y = np.zeros((out, rows, columns), F)
    for o, i, j in np.ndindex(out, rows, columns):
        acc = F(bias[o])
        for ky in range(kernel_h):
            for kx in range(kernel_w):
                iy, ix = i * stride + ky - pad, j * stride + kx - pad
                if not (0 <= iy < x.shape[1] and 0 <= ix < x.shape[2]):
                    continue
                for c in range(channels):
                    acc = F(acc + F(weight[o, c, ky, kx] * x[c, iy, ix]))
        y[o, i, j] = acc
    return y


def test_convolution_sums_bias_then_ky_kx_c() -> None:
    module = randomize(nn.Sequential(nn.Conv2d(3, 4, (3, 2), stride=2, padding=1)))
    x = images(1, (3, 7, 5))[0]
    expected = convolve(x, *(p.detach().numpy() for p in module[0].parameters()), stride=2, pad=1)
    assert np.array_equal(run(graph_of(module, x.shape), x)["0_Conv2d"], expected)


@pytest.mark.parametrize("block", [1, 50, 1 << 16])
def test_blocks_of_channels_change_no_bit(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "BLOCK", block)
    module = randomize(nn.Sequential(nn.Conv2d(4, 10, (3, 2), stride=(1, 2), padding=(4, 1), groups=2)))
    x = images(3, (4, 7, 5))
    weight, bias = (p.detach().numpy() for p in module[0].parameters())
    expected = [
        np.concatenate(
            [_convolve(sample[2 * g : 2 * g + 2], weight[5 * g : 5 * g + 5], bias[5 * g : 5 * g + 5]) for g in range(2)]
        )
        for sample in x
    ]
    assert np.array_equal(run_batch(graph_of(module, (4, 7, 5)), x)["0_Conv2d"], expected)


def _convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """As the layer above, over a map with its padding written out."""
    padded = np.pad(x, ((0, 0), (4, 4), (1, 1)))
    return convolve(padded, weight, bias, stride=1, pad=0)[:, :, ::2]


def dot(weight: np.ndarray, bias: np.ndarray, x: np.ndarray) -> np.ndarray:
    y = []
    for row, first in zip(weight, bias, strict=True):
        acc = F(first)
        for w, v in zip(row, x, strict=True):
            acc = F(acc + F(w * v))
        y.append(acc)
    return np.array(y, F)


def test_linear_on_a_map_sums_in_the_order_of_memory() -> None:
    module = randomize(nn.Sequential(nn.Flatten(), nn.Linear(60, 7)))
    graph: Graph = lower(graph_of(module, (3, 4, 5)))
    x = images(1, (3, 4, 5))[0]
    weight, bias = (p.detach().numpy() for p in module[1].parameters())
    in_memory = weight.reshape(7, 3, 4, 5).transpose(0, 2, 3, 1).reshape(7, 60)
    assert [node.op.kind for node in graph.nodes] == ["linear"]
    assert np.array_equal(run(graph, x)["1_Linear"], dot(in_memory, bias, to_memory(x)))


def test_average_pool_sums_then_divides_once() -> None:
    x = images(1, (2, 6, 8))[0]
    values = run(graph_of(nn.Sequential(nn.AvgPool2d((3, 2))), x.shape), x)["0_AvgPool2d"]
    for c, i, j in np.ndindex(values.shape):
        total = F(0)
        for pixel in x[c, 3 * i : 3 * i + 3, 2 * j : 2 * j + 2].ravel():
            total = F(total + pixel)
        assert values[c, i, j] == F(total / F(6))


def test_softmax_sums_in_index_order() -> None:
    x = 3 * images(1, (300,))[0]
    values = run(graph_of(nn.Sequential(nn.Softmax(dim=1)), x.shape), x)["0_Softmax"]
    exponentials = np.exp(x - x.max())
    total = F(0)
    for term in exponentials:
        total = F(total + term)
    assert np.array_equal(values, exponentials / total)


def test_a_maximum_may_be_below_zero() -> None:
    x = -np.abs(images(1, (3, 5, 4))[0]) - F(1)
    values = run(graph_of(nn.Sequential(nn.MaxPool2d(3, 2, 1)), x.shape), x)["0_MaxPool2d"]
    assert values.max() <= -1
