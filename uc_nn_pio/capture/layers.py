"""The inline ``layers:`` list as an ``nn.Sequential``, with the sizes that torch wants said and a run can tell."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Sequence

import torch

from uc_nn_pio.capture.exporter import quiet
from uc_nn_pio.errors import Location, ModelError
from uc_nn_pio.spec import LayerSpec

# The argument that a layer's input decides, and the axis (with the batch axis) that it is the size of.
_INFERRED = {
    **dict.fromkeys(("Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d"), "in_channels"),
    "Linear": "in_features",
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "InstanceNorm1d", "InstanceNorm2d"), "num_features"),
    "GroupNorm": "num_channels",
}


def layer_names(layers: Sequence[LayerSpec]) -> list[str]:
    """The layers' names in the state_dict: as written, or the position counted from 0."""
    return [layer.name or str(index) for index, layer in enumerate(layers)]


def layer_locations(layers: Sequence[LayerSpec]) -> dict[str, Location]:
    """Where each layer stands in the spec, by its name."""
    return dict(zip(layer_names(layers), (layer.location for layer in layers), strict=True))


def build_layers(layers: Sequence[LayerSpec], shape: tuple[int, ...]) -> torch.nn.Sequential:
    """The network of a ``layers:`` list, in eval mode, with torch's initial weights.

    Args:
        layers: types and arguments as torch.nn names them; ``in_channels``, ``in_features`` and ``num_features`` may be
            left out.
        shape: the input's, without the batch axis.

    Raises:
        ModelError: a layer cannot be built, or cannot take what the one in front gives; with its place in the spec.
    """
    modules: OrderedDict[str, torch.nn.Module] = OrderedDict()
    value = torch.zeros(1, *shape)
    for name, layer in zip(layer_names(layers), layers, strict=True):
        label = f"layer {name} ({layer.type})"
        if any(not part or hasattr(torch.nn.Sequential, part) for part in name.split(".")):
            raise ModelError(
                f"a layer cannot be called {name!r}",
                where=layer.location,
                why="torch reserves it",
                next_step="rename it",
            )
        try:
            module = getattr(torch.nn, layer.type)(**_arguments(layer, value)).eval()
        except (TypeError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"{label} cannot be built: {error}",
                where=layer.location,
                next_step=f"see torch.nn.{layer.type} for what its arguments may be",
            ) from None
        modules[name] = module
        value = _run(module, value, layer, label)
    return _nested(list(modules.items()), layers).eval()


def _nested(modules: Sequence[tuple[str, torch.nn.Module]], layers: Sequence[LayerSpec]) -> torch.nn.Sequential:
    """A name with dots is a layer in a Sequential of its own: ``features.0`` lies in ``features``.

    Raises:
        ModelError: the layers of one such Sequential do not stand together.
    """
    found: OrderedDict[str, torch.nn.Module] = OrderedDict()
    parts = ((name.partition("."), module, layer) for (name, module), layer in zip(modules, layers, strict=True))
    for head, members in itertools.groupby(parts, key=lambda part: part[0][0]):
        inner = list(members)
        if head in found:
            raise ModelError(
                f"the layers of {head} do not stand together", where=inner[0][2].location, next_step="reorder them"
            )
        alone = len(inner) == 1 and not inner[0][0][1]
        below = [(name[2], module) for name, module, _ in inner]
        found[head] = inner[0][1] if alone else _nested(below, [layer for *_, layer in inner])
    return torch.nn.Sequential(found)


def _arguments(layer: LayerSpec, value: torch.Tensor) -> dict[str, object]:
    arguments = dict(layer.arguments)
    size = _INFERRED.get(layer.type)
    if size and size not in arguments and value.ndim >= 2:
        arguments[size] = value.shape[-1] if layer.type == "Linear" else value.shape[1]
    return arguments


def _run(module: torch.nn.Module, value: torch.Tensor, layer: LayerSpec, label: str) -> torch.Tensor:
    given = list(value.shape[1:])
    if layer.type == "Linear" and value.ndim == 4:
        raise ModelError(
            f"{label} gets a tensor of shape {given}, and takes a flat one",
            where=layer.location,
            next_step="put a Flatten in front of it",
        )
    try:
        with quiet(), torch.no_grad():
            result = module(value)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise ModelError(
            f"{label} cannot take an input of shape {given}",
            where=layer.location,
            why=str(error).strip().splitlines()[0],
            next_step="check this layer's arguments, those in front of it, and input.shape",
        ) from None
    if not isinstance(result, torch.Tensor):
        raise ModelError(
            f"{label} gives {len(result)} tensors; one is supported",
            where=layer.location,
            next_step="leave return_indices out",
        )
    return result
