"""What every test of lowering asks: which operators are left, and do the values stay torch's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import nn

from tests.graph.torch_graph import graph_of, images, randomize, torch_values
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.reference import outputs_batch


def titles(graph: Graph) -> list[str]:
    return [node.op.title for node in graph.nodes]


def same_values(before: Graph, after: Graph, count: int = 3, tolerance: float = 1e-5) -> None:
    """Both graphs have the same inputs, outputs and shapes, and the same values on random inputs."""
    assert before.inputs == after.inputs
    assert before.outputs == after.outputs
    for name in (*before.inputs, *before.outputs):
        assert before.tensor(name) == after.tensor(name)
    x = {name: images(count, before.tensor(name).shape, seed=i) for i, name in enumerate(before.inputs)}
    left, right = outputs_batch(before, x), outputs_batch(after, x)
    for name in before.outputs:
        close(right[name], left[name], tolerance)


def close(result: np.ndarray, expected: np.ndarray, tolerance: float = 1e-5) -> None:
    """Equal within ``tolerance``, relative to the largest value where that is above 1."""
    assert result.shape == expected.shape
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max(initial=0)))


def lowered_by(
    step: Callable[[Graph], Graph], layers: list[nn.Module], shape: tuple[int, ...], before: list[str], after: list[str]
) -> Graph:
    """Runs ``step`` on a network; checks the operators before and after, and all values against torch.

    Returns:
        The graph behind ``step``.
    """
    module = randomize(nn.Sequential(*layers))
    graph = graph_of(module, shape)
    result = step(graph)
    assert titles(graph) == before
    assert titles(result) == after
    same_values(graph, result)
    x = images(3, shape)
    close(outputs_batch(result, x)[graph.outputs[0]], torch_values(module, x))
    return result
