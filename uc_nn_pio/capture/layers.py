"""The inline ``layers:`` list as an ``nn.Sequential``, with the sizes that torch wants said and a run can tell."""

from __future__ import annotations

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
        if "." in name or hasattr(torch.nn.Sequential, name):
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
    return torch.nn.Sequential(modules).eval()


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
