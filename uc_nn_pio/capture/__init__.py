"""From a model spec to the graph: the user's PyTorch network, its weights and its names.

Three ways in (``python:``, ``layers:``, ``export:``) give one graph: nodes and constants are called by the module path
that torch gives them. This is the only package that imports torch, and it does so when a function is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from uc_nn_pio.graph.ir import Graph

if TYPE_CHECKING:
    import torch

    from uc_nn_pio.spec import ModelSpec


@dataclass(frozen=True)
class Captured:
    """A captured network, and every file that was read for it.

    ``dependencies``: weights, export, the user's Python file and each module of the user's that it imports; neither the
    spec itself nor files of the standard library or of installed packages.
    """

    graph: Graph
    dependencies: tuple[Path, ...]


def capture(spec: ModelSpec) -> Captured:
    """The network that a spec names, with its weights.

    Raises:
        UcNnError: the network, its weights or its export cannot be taken; the message says which, where, what to do.
    """
    from uc_nn_pio.capture.network import capture_spec

    graph, dependencies = capture_spec(spec)
    return Captured(graph, dependencies)


def capture_module(module: torch.nn.Module, shape: tuple[int, ...] | Mapping[str, tuple[int, ...]], name: str) -> Graph:
    """A live module, as it is, as a graph called ``name``.

    ``shape`` is the input's, without the batch axis; of a network with several, each input's by its name, in the order
    of ``forward``'s arguments.

    Raises:
        UcNnError: it uses what is not supported, or cannot take the shape.
    """
    from uc_nn_pio.capture.network import graph_of_module

    return graph_of_module(module, shape if isinstance(shape, Mapping) else {"input": shape}, name)


def load_model(spec: ModelSpec) -> torch.nn.Module:
    """The network of a spec as torch runs it: eval mode, float32, on the CPU, weights loaded.

    Raises:
        UcNnError: as :func:`capture`.
    """
    from uc_nn_pio.capture.network import load_network

    return load_network(spec)


__all__ = ["Captured", "capture", "capture_module", "load_model"]
