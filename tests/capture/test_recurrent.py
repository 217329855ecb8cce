"""Recurrent layers as torch writes them: what is taken, and what is refused in words that help."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from tests.operator_networks import Net
from uc_nn_pio.capture import capture_module
from uc_nn_pio.errors import UcNnError
from uc_nn_pio.lower import lower
from uc_nn_pio.reference import outputs_batch

Function = Callable[..., torch.Tensor]
LSTM = {"batch_first": True}


def test_a_layer_s_nodes_have_its_names() -> None:
    network = Net(lambda net, x: net.deep(x)[0], deep=nn.LSTM(3, 4, num_layers=2, **LSTM))
    graph = lower(capture_module(network, (5, 3), "net"))
    assert [(node.name, node.op.kind) for node in graph.nodes] == [("deep_lstm", "recurrent"), ("deep", "recurrent")]
    assert graph.nodes[1].constants["weight_x"] == "deep_weight_ih_l1"


@pytest.mark.parametrize("index", [0, 1, -1, -2])
def test_the_last_state_of_each_layer(index: int) -> None:
    torch.manual_seed(0)
    network = Net(lambda net, x: net.deep(x)[1][index], deep=nn.GRU(3, 4, num_layers=2, **LSTM)).eval()
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
    (found,) = outputs_batch(lower(capture_module(network, (6, 3), "net")), x).values()
    with torch.no_grad():
        expected = torch.stack([network(torch.from_numpy(each[None]))[0] for each in x])
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


def test_one_row_without_batch_first() -> None:
    """(1, 1, n) is one row of one sample, whichever axis is which."""
    torch.manual_seed(0)
    network = Net(lambda net, x: net.step(x)[0], step=nn.LSTM(3, 4)).eval()
    x = np.ones((1, 1, 3), np.float32)
    (found,) = outputs_batch(lower(capture_module(network, (1, 3), "net")), x).values()
    with torch.no_grad():
        np.testing.assert_allclose(found, network(torch.from_numpy(x)).numpy(), atol=1e-6)


REFUSED: dict[str, tuple[Function, nn.Module, str, str]] = {
    "rows first": (lambda net, x: net.layer(x)[0], nn.LSTM(3, 4), "of shape [1, 5, 3]", "batch_first=True"),
    "a state of its own": (
        lambda net, x: net.layer(x, torch.ones(1, 1, 4))[0],
        nn.GRU(3, 4, **LSTM),
        "begins with a state of its own",
        "state: carried",
    ),
    "projected": (
        lambda net, x: net.layer(x)[0],
        nn.LSTM(3, 4, proj_size=2, **LSTM),
        "projected states",
        "proj_size",
    ),
    "all states at once": (
        lambda net, x: net.layer(x)[1][0].flatten(1),
        nn.LSTM(3, 4, num_layers=2, **LSTM),
        "the last state of all layers",
        "h[-1]",
    ),
    "the cell": (lambda net, x: net.layer(x)[1][1][-1], nn.LSTM(3, 4, **LSTM), "the cell of all layers", "y[:, -1]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    function, layer, said, cure = REFUSED[name]
    with pytest.raises(UcNnError) as caught:
        capture_module(Net(function, layer=layer), (5, 3), "net")
    text = str(caught.value)
    assert said in text and cure in text and "layer" in text


def test_a_state_of_zeros_is_none_of_its_own() -> None:
    network = Net(
        lambda net, x: net.layer(x, (torch.zeros(1, 1, 4), torch.zeros(1, 1, 4)))[0], layer=nn.LSTM(3, 4, **LSTM)
    )
    assert [node.op.kind for node in lower(capture_module(network, (5, 3), "net")).nodes] == ["recurrent"]
