"""Reshapes merge, sink and dissolve into weights; what is left is a permute."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from tests.graph.torch_graph import images, randomize, torch_values
from tests.lower.agreement import close, lowered_by, same_values, titles
from uc_nn_pio.graph import ops
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.graph.layout import from_memory, memory_order, to_memory
from uc_nn_pio.lower import lower
from uc_nn_pio.lower.absorb_layout import absorb_layout
from uc_nn_pio.lower.merge_reshapes import merge_reshapes
from uc_nn_pio.lower.sink_reshapes import sink_reshapes

SHAPE = (3, 4, 5)


def orders(graph: Graph) -> list[str]:
    return [node.op.order for node in graph.nodes if isinstance(node.op, ops.Permute)]


def test_reshapes_in_a_row_become_one() -> None:
    layers = [nn.Flatten(), nn.Unflatten(1, (5, 12)), nn.Unflatten(2, (3, 4)), nn.Tanh()]
    graph = lowered_by(merge_reshapes, layers, SHAPE, ["reshape"] * 3 + ["tanh"], ["reshape", "tanh"])
    assert graph.nodes[0].inputs == ("x",)


def test_a_reshape_that_ends_where_it_began_goes() -> None:
    layers = [nn.ReLU(), nn.Flatten(), nn.Unflatten(1, SHAPE), nn.Tanh()]
    lowered_by(merge_reshapes, layers, SHAPE, ["relu", "reshape", "reshape", "tanh"], ["relu", "tanh"])


def test_activations_rise_above_reshapes() -> None:
    layers = [nn.Conv2d(3, 2, 2), nn.Flatten(), nn.ReLU(), nn.Tanh(), nn.Linear(24, 7)]
    before = ["conv2d", "reshape", "relu", "tanh", "linear"]
    lowered_by(sink_reshapes, layers, SHAPE, before, ["conv2d", "relu", "tanh", "reshape", "linear"])


def test_a_reshape_that_others_read_stays_for_them() -> None:
    build = GraphBuilder("net")
    flat = build.add("flat", ops.Reshape(), build.input("x", SHAPE), shape=(60,))
    graph = build.graph(build.add("softmax", ops.Softmax(), flat), build.add("relu", ops.Activation(), flat), flat)
    result = sink_reshapes(graph)
    assert titles(result) == ["reshape", "softmax", "relu", "reshape"]
    same_values(graph, result)


def test_a_flatten_dissolves_into_the_linear_behind() -> None:
    layers = [nn.MaxPool2d(1), nn.Flatten(), nn.Linear(60, 7)]
    graph = lowered_by(absorb_layout, layers, SHAPE, ["max_pool2d", "reshape", "linear"], ["max_pool2d", "linear"])
    assert graph.tensor(graph.nodes[1].inputs[0]).shape == SHAPE


def test_columns_go_where_memory_has_them() -> None:
    """The permuted weight, applied to the bytes of an HWC buffer, is torch's result."""
    module = randomize(nn.Sequential(nn.Flatten(), nn.Linear(60, 7)))
    build = GraphBuilder("net")
    weight, bias = (p.detach().numpy() for p in module[1].parameters())
    flat = build.add("flat", ops.Reshape(), build.input("x", SHAPE), shape=(60,))
    graph = absorb_layout(build.graph(build.add("fc", ops.Linear(), flat, weight=weight, bias=bias)))
    x = images(1, SHAPE)
    buffer = x[0].transpose(1, 2, 0).ravel()
    node = graph.nodes[0]
    close(graph.constant(node, "weight") @ buffer + graph.constant(node, "bias"), torch_values(module, x)[0])


@pytest.mark.parametrize("shape", [(1, 4, 5), (6, 1, 1)])
def test_one_channel_or_one_pixel_leaves_the_weights_as_they_are(shape: tuple[int, ...]) -> None:
    count = int(np.prod(shape))
    layers = [nn.Flatten(), nn.Linear(count, 3)]
    graph = lowered_by(absorb_layout, layers, shape, ["reshape", "linear"], ["linear"])
    assert dict(graph.nodes[0].constants) == {"weight": "1_Linear.weight", "bias": "1_Linear.bias"}


def test_two_linears_behind_one_flatten() -> None:
    rng = np.random.default_rng(3)
    build = GraphBuilder("net")
    flat = build.add("flat", ops.Reshape(), build.input("x", SHAPE), shape=(60,))
    heads = [build.add(n, ops.Linear(), flat, weight=rng.normal(size=(m, 60))) for n, m in (("a", 4), ("b", 7))]
    graph = build.graph(*heads)
    result = absorb_layout(graph)
    assert titles(result) == ["linear", "linear"]
    same_values(graph, result)
    graph = build.graph(*heads, build.add("softmax", ops.Softmax(), flat))
    result = absorb_layout(graph)
    assert titles(result) == ["permute", "linear", "linear", "softmax"]
    same_values(graph, result)


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_writes_the_map_that_is_made_of_it(bias: bool) -> None:
    layers = [nn.Linear(7, 60, bias=bias), nn.Unflatten(1, SHAPE), nn.Conv2d(3, 2, 2)]
    graph = lowered_by(absorb_layout, layers, (7,), ["linear", "reshape", "conv2d"], ["linear", "conv2d"])
    assert graph.tensor(graph.nodes[0].output).shape == SHAPE


def test_a_linear_that_writes_a_map_takes_a_second_reshape() -> None:
    layers = [nn.Linear(7, 60), nn.Unflatten(1, SHAPE), nn.Flatten(), nn.Unflatten(1, (5, 4, 3)), nn.Conv2d(5, 2, 2)]
    before = ["linear", "reshape", "reshape", "reshape", "conv2d"]
    lowered_by(absorb_layout, layers, (7,), before, ["linear", "conv2d"])


def test_a_vector_that_others_read_is_copied_into_the_map() -> None:
    rng = np.random.default_rng(5)
    build = GraphBuilder("net")
    vector = build.add("fc", ops.Linear(), build.input("x", (7,)), weight=rng.normal(size=(60, 7)))
    pool = build.add("pool", ops.MaxPool2d(), build.add("view", ops.Reshape(), vector, shape=SHAPE))
    graph = build.graph(pool, build.add("softmax", ops.Softmax(), vector))
    result = absorb_layout(graph)
    assert titles(result) == ["linear", "permute", "max_pool2d", "softmax"]
    same_values(graph, result)


def test_a_linear_may_read_and_write_maps() -> None:
    layers = [nn.Flatten(), nn.Linear(60, 84), nn.ReLU(), nn.Unflatten(1, (2, 7, 6)), nn.Conv2d(2, 5, 3)]
    before = ["reshape", "linear", "relu", "reshape", "conv2d"]
    lowered_by(lower, layers, SHAPE, before, ["linear + relu", "conv2d"])


@pytest.mark.parametrize(
    ("layers", "shape", "before", "after", "expected"),
    [
        ([nn.Flatten()], SHAPE, ["reshape"], ["permute"], ["hwc_to_chw"]),
        ([nn.Flatten(), nn.Softmax(dim=1)], SHAPE, ["reshape", "softmax"], ["permute", "softmax"], ["hwc_to_chw"]),
        ([nn.Unflatten(1, SHAPE)], (60,), ["reshape"], ["permute"], ["chw_to_hwc"]),
        ([nn.Flatten(), nn.Unflatten(1, (5, 3, 4))], SHAPE, ["reshape"] * 2, ["permute"] * 2,
         ["hwc_to_chw", "chw_to_hwc"]),
        ([nn.Flatten(), nn.Unflatten(1, (3, 2, 10))], SHAPE, ["reshape"] * 2, ["permute"], ["same"]),
        ([nn.Unflatten(1, (6, 10))], (60,), ["reshape"], ["permute"], ["same"]),
        ([nn.AdaptiveAvgPool2d(1), nn.Flatten()], SHAPE, ["adaptive_avg_pool2d", "reshape"], ["avg_pool2d", "permute"],
         ["same"]),
        ([nn.Conv2d(3, 1, 2), nn.Flatten()], SHAPE, ["conv2d", "reshape"], ["conv2d", "permute"], ["same"]),
        ([nn.BatchNorm1d(6), nn.ReLU()], (6,), ["batch_norm", "relu"], ["permute", "conv2d + relu", "permute"],
         ["same", "same"]),
        ([nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 4)], (6,), ["batch_norm", "relu", "linear"],
         ["permute", "conv2d + relu", "linear"], ["same"]),
    ],
)  # fmt: skip
def test_what_cannot_be_absorbed_is_a_permute(
    layers: list[nn.Module], shape: tuple[int, ...], before: list[str], after: list[str], expected: list[str]
) -> None:
    assert orders(lowered_by(lower, layers, shape, before, after)) == expected


@pytest.mark.parametrize("shapes", [((3, 4, 5), (60,)), ((60,), (3, 4, 5)), ((3, 4, 5), (3, 2, 10)), ((4, 1, 1), (4,))])
def test_permutes_say_how_bytes_move(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    """The bytes behind a permute of the given order are those of torch's reshape, laid out as the new shape asks."""
    build = GraphBuilder("net")
    x = build.input("x", shapes[0])
    graph = absorb_layout(build.graph(build.add("view", ops.Reshape(), x, shape=shapes[1])))
    array = images(1, shapes[0])[0]
    before, after = to_memory(array), to_memory(array.reshape(shapes[1]))
    moved = {
        "same": lambda: before,
        "hwc_to_chw": lambda: from_memory(before, shapes[0]).ravel(),
        "chw_to_hwc": lambda: before[memory_order(shapes[1])],
    }
    (order,) = orders(graph)
    assert np.array_equal(moved[order](), after)
