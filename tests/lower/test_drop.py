"""Passes that only take away: unused nodes, identities."""

from __future__ import annotations

from torch import nn

from tests.lower.agreement import lowered_by, same_values, titles
from uc_nn_pio.graph import ops
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.lower.drop_identity import drop_identity
from uc_nn_pio.lower.drop_unused import drop_unused


def test_unused_nodes_go_with_all_that_only_they_need() -> None:
    build = GraphBuilder("net")
    x, spare = build.input("x", (2, 6, 8)), build.input("spare", (4,))
    kept = build.add("kept", ops.Activation(), build.add("pool", ops.MaxPool2d(), x))
    build.add("aside", ops.Activation("tanh"), build.add("unread", ops.AvgPool2d(), x))
    graph = build.graph(kept)
    assert [node.name for node in graph.nodes] == ["pool", "kept", "unread", "aside"]
    result = drop_unused(graph)
    assert [node.name for node in result.nodes] == ["pool", "kept"]
    assert result.inputs == (x, spare)
    assert set(result.tensors) == {"x", "spare", "pool", "kept"}


def test_identities_go() -> None:
    layers = [nn.Identity(), nn.Conv2d(2, 3, 2), nn.Dropout(), nn.Dropout(), nn.ReLU(), nn.Identity()]
    before = ["identity", "conv2d", "identity", "identity", "relu", "identity"]
    result = lowered_by(drop_identity, layers, (2, 5, 4), before, ["conv2d", "relu"])
    assert result.nodes[0].inputs == ("x",)
    assert result.nodes[1].outputs == ("5_Identity",)


def test_every_reader_of_an_identity_reads_its_input() -> None:
    build = GraphBuilder("net")
    x = build.add("pool", ops.MaxPool2d(), build.input("x", (2, 6, 8)))
    y = build.add("nothing", ops.Identity(), x)
    graph = build.graph(
        *(build.add(f, ops.Activation(f), name) for f, name in (("tanh", x), ("relu", y), ("relu6", y)))
    )
    result = drop_identity(graph)
    assert titles(result) == ["max_pool2d", "tanh", "relu", "relu6"]
    same_values(graph, result)


def test_an_output_that_others_read_keeps_its_name() -> None:
    build = GraphBuilder("net")
    pool = build.add("pool", ops.MaxPool2d(), build.input("x", (2, 6, 8)))
    same = build.add("same", ops.Identity(), pool)
    graph = build.graph(same, build.add("tanh", ops.Activation("tanh"), pool))
    result = drop_identity(graph)
    assert titles(result) == ["max_pool2d", "tanh"]
    same_values(graph, result)


def test_two_names_at_the_edge_of_the_graph_leave_a_copy() -> None:
    build = GraphBuilder("net")
    x = build.input("x", (2, 3, 4))
    tanh = build.add("tanh", ops.Activation("tanh"), x)
    graph = build.graph(build.add("copy", ops.Identity(), x), tanh, build.add("twice", ops.Identity(), tanh))
    result = drop_identity(graph)
    assert titles(result) == ["tanh", "permute", "permute"]
    assert [node.op for node in result.nodes[1:]] == [ops.Permute("same")] * 2
    same_values(graph, result)
