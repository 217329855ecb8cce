"""Brings the parts together: a spec's network loaded, probed, exported and mapped."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from uc_nn_pio.capture.archive import read_export
from uc_nn_pio.capture.exporter import trace_module
from uc_nn_pio.capture.interpreter import TraceModule
from uc_nn_pio.capture.layers import build_layers, layer_locations
from uc_nn_pio.capture.mapping import to_graph
from uc_nn_pio.capture.probe import probe
from uc_nn_pio.capture.quantized import CONVERT
from uc_nn_pio.capture.trace import IndexShape, Inputs
from uc_nn_pio.capture.user_code import UserCode, user_code
from uc_nn_pio.capture.weights import load_into, read_weights
from uc_nn_pio.errors import Location, ModelError, UnsupportedError
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.spec import ModelSpec


@dataclass(frozen=True)
class _Loaded:
    """A network with its weights, where they came from, and where the spec lists its layers."""

    module: torch.nn.Module
    weights: Path | None
    locations: Mapping[str, Location]
    code: UserCode | None = None

    def files(self) -> tuple[Path, ...]:
        """Every file read so far: a network may import more while it runs."""
        return (*([self.weights] if self.weights else []), *(self.code.files() if self.code else ()))


def capture_spec(spec: ModelSpec) -> tuple[Graph, tuple[Path, ...]]:
    """The graph of a spec's network, and the files that were read for it."""
    if spec.model.export is not None:
        graph, _ = _exported(spec, spec.model.export)
        return graph, (spec.model.export,)
    with _loaded(spec) as loaded:
        graph = _graph(loaded.module, _inputs(spec), spec.name, loaded.locations)
        files = loaded.files()
    return graph, files


def load_network(spec: ModelSpec) -> torch.nn.Module:
    """A spec's network as torch runs it."""
    if spec.model.export is not None:
        return _exported(spec, spec.model.export)[1]
    with _loaded(spec) as loaded:
        return loaded.module


def _inputs(spec: ModelSpec) -> Inputs:
    named = spec.inputs or (spec.input,)
    return {each.name: each.shape if each.tokens is None else IndexShape(each.shape) for each in named}


def _exported(spec: ModelSpec, path: Path) -> tuple[Graph, torch.nn.Module]:
    """The graph of an exported program, and the program as a module that runs."""
    trace = read_export(path, _inputs(spec))
    module = TraceModule(trace).eval()
    if module.runnable:
        module.check_shapes(path)
    return to_graph(trace, spec.name, inputs=list(spec.input_shapes)), module


def graph_of_module(module: torch.nn.Module, inputs: Inputs, name: str) -> Graph:
    """The graph of a live module; the module itself is left as it is."""
    return _graph(_prepared(copy.deepcopy(module)), inputs, name, {})


def _graph(module: torch.nn.Module, inputs: Inputs, name: str, locations: Mapping[str, Location]) -> Graph:
    probe(module, inputs, name)
    return to_graph(trace_module(module, inputs, name), name, locations, list(inputs))


def _prepared(module: torch.nn.Module) -> torch.nn.Module:
    if isinstance(module, torch.jit.ScriptModule):
        raise ModelError(
            "the network is TorchScript, which torch.export does not take",
            next_step="name the Python class that it was scripted from",
        )
    watched = next((path for path, inner in module.named_modules() if _watches(inner)), None)
    if watched is not None:
        raise UnsupportedError(
            f"the network is prepared for quantization, but not converted: {watched} still watches its values",
            next_step=CONVERT,
        )
    module = module.cpu().float()
    # What convert_pt2e returns refuses eval() and train(), with NotImplementedError: it has one mode.
    with contextlib.suppress(NotImplementedError):
        module.eval()
    return module


def _watches(module: torch.nn.Module) -> bool:
    """Whether it is an observer or fake quantization of torchao or torch.ao."""
    return hasattr(module, "calculate_qparams") and type(module).__module__.startswith(("torchao.", "torch.ao."))


@contextlib.contextmanager
def _loaded(spec: ModelSpec) -> Iterator[_Loaded]:
    """The network of ``python:`` or ``layers:`` with its weights; while the block runs, the user's modules import."""
    path = spec.model.weights
    weights = read_weights(path) if path is not None else None

    def ready(module: torch.nn.Module) -> torch.nn.Module:
        module = _prepared(module)
        if weights is not None and path is not None:
            load_into(module, weights, path)
        return module

    if spec.model.python is not None:
        entry = spec.model.python
        with user_code(entry.file) as code:
            module = ready(code.build(entry.attribute, entry.arguments, spec.location("model", "python")))
            yield _Loaded(module, path, {}, code)
    else:
        module = ready(build_layers(spec.model.layers, spec.input.shape))
        yield _Loaded(module, path, layer_locations(spec.model.layers))
