"""Output shapes against torch's, and graphs whose shapes do not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.graph.torch_graph import graph_of, op_of
from uc_nn_pio.errors import ModelError
from uc_nn_pio.graph import ops
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.graph.ir import Graph, Node, Source, Tensor
from uc_nn_pio.graph.shapes import convolved, pooled


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [4, 5, 7, 8])
def test_pools_count_windows_as_torch_does(size: int, kernel: int, stride: int) -> None:
    x = torch.zeros(1, 2, size, size + 3)
    for ceil_mode in (False, True):
        for padding in range(kernel // 2 + 1):
            layer = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil_mode)
            assert pooled(op_of(layer), (2, size, size + 3), ceil_mode) == tuple(layer(x).shape[1:])


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 5, 3),
        nn.Conv2d(3, 5, (4, 2), stride=(2, 3), padding=(1, 2), dilation=(2, 1)),
        nn.Conv2d(3, 6, (2, 4), padding="same"),
        nn.Conv2d(3, 6, 3, padding="same", dilation=2, groups=3),
    ],
)
def test_convolutions_have_torchs_shape(layer: nn.Conv2d) -> None:
    with torch.no_grad():
        expected = tuple(layer(torch.zeros(1, 3, 11, 8)).shape[1:])
    assert convolved(op_of(layer), (3, 11, 8), layer.out_channels) == expected


def one_node(op: ops.Op, given: tuple[int, ...], result: tuple[int, ...], **shapes: tuple[int, ...]) -> Graph:
    node = Node("layer", op, ("x",), ("y",), Source("features.3", "net.py", 12), {role: role for role in shapes})
    arrays = {role: np.zeros(shape, np.float32) for role, shape in shapes.items()}
    return Graph("net", (node,), {"x": Tensor("x", given), "y": Tensor("y", result)}, arrays, ("x",), ("y",))


CONV = ops.Conv2d(kernel=(3, 3), conv_shape=(4, 6, 5))
WEIGHT = {"weight": (4, 2, 3, 3)}


@pytest.mark.parametrize(
    ("op", "given", "result", "shapes", "text"),
    [
        (CONV, (2, 8, 7), (4, 6, 6), WEIGHT, "the convolution makes (4, 6, 5)"),
        (replace(CONV, conv_shape=(4, 6, 6)), (2, 8, 7), (4, 6, 6), WEIGHT, "conv_shape"),
        (CONV, (2, 8, 7), (4, 6, 5), {"weight": (4, 3, 3, 3)}, "(4, 2, 3, 3) is needed"),
        (CONV, (2, 8, 7), (4, 6, 5), WEIGHT | {"bias": (5,)}, "(4,) is needed"),
        (CONV, (2, 8, 7), (4, 6, 5), {}, "the weight has shape None"),
        (replace(CONV, groups=3), (2, 8, 7), (4, 6, 5), WEIGHT, "3 groups"),
        (replace(CONV, conv_shape=(4, 0, 5)), (2, 2, 7), (4, 0, 5), WEIGHT, "larger than the map"),
        (replace(CONV, pool=ops.MaxPool2d()), (2, 8, 7), (4, 6, 5), WEIGHT, "the pool makes (4, 3, 2)"),
        (CONV, (112,), (4, 6, 5), WEIGHT, "must be maps"),
        (ops.MaxPool2d(), (2, 5, 7), (2, 3, 3), {}, "the pool makes (2, 2, 3)"),
        (ops.MaxPool2d(padding=ops.Padding(1, 1, 1, 1), dilation=(2, 2)), (2, 1, 1), (2, 1, 1), {}, "padding alone"),
        (ops.AdaptiveAvgPool2d(), (2, 5, 7), (3, 1, 1), {}, "channels"),
        (ops.Linear(), (7,), (3,), {"weight": (7, 3)}, "(3, 7) is needed"),
        (ops.Linear(), (7,), (3,), {"weight": (3, 7), "bias": (7,)}, "(3,) is needed"),
        (ops.BatchNorm(), (2, 5, 7), (2, 5, 7), {"mean": (2,)}, "var is missing"),
        (ops.BatchNorm(), (2, 5, 7), (2, 5, 7), {"mean": (2,), "var": (5,)}, "2 channels are needed"),
        (ops.Activation(), (2, 5), (5, 2), {}, "the shape changes"),
        (ops.Softmax(axis=1), (5,), (5,), {}, "no axis 1"),
        (ops.Reshape(), (2, 5, 7), (71,), {}, "number of elements"),
        (ops.Permute("hwc_to_chw"), (70,), (2, 5, 7), {}, "hwc_to_chw"),
        (ops.Permute("same"), (2, 5, 7), (70,), {}, "order in memory"),
    ],
)  # fmt: skip
def test_a_graph_whose_shapes_do_not_fit_is_refused(
    op: ops.Op, given: tuple[int, ...], result: tuple[int, ...], shapes: dict[str, tuple[int, ...]], text: str
) -> None:
    with pytest.raises(ModelError) as caught:
        one_node(op, given, result, **shapes)
    assert text in str(caught.value)
    assert str(caught.value).startswith("features.3 (net.py:12): error: ")


def test_names_are_checked() -> None:
    build = GraphBuilder("net")
    build.add("pool", ops.MaxPool2d(), build.input("x", (2, 6, 4)))
    graph = build.graph("pool")
    with pytest.raises(ModelError, match="before it is made"):
        replace(graph, inputs=())
    with pytest.raises(ModelError, match="made twice"):
        replace(graph, nodes=graph.nodes * 2)
    with pytest.raises(ModelError, match="not in the graph"):
        replace(graph, outputs=("y",))
    with pytest.raises(ModelError, match="constant 'w' is missing"):
        replace(graph, nodes=(replace(graph.nodes[0], constants={"weight": "w"}),))


def test_constants_cannot_be_written() -> None:
    graph = graph_of(nn.Sequential(nn.Conv2d(1, 2, 3)), (1, 5, 4))
    with pytest.raises(ValueError, match="read-only"):
        graph.constants["0_Conv2d.weight"][0] = 1
