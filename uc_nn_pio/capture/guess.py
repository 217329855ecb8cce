"""A model spec guessed from weights alone: layers by the names and shapes of a state_dict.

What a state_dict does not say (strides, paddings, and layers without weights) is written as ``FILL_IN``, which no
spec is read with: whoever knows the network has to say it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from uc_nn_pio.capture.weights import read_weights
from uc_nn_pio.errors import Location, UnsupportedError
from uc_nn_pio.spec import FILL_IN
from uc_nn_pio.spec.names import suggested_name

_SHAPED = {3: "Conv1d", 4: "Conv2d"}
_TRANSPOSED = {"Conv1d": "ConvTranspose1d", "Conv2d": "ConvTranspose2d"}


@dataclass(frozen=True)
class Guess:
    """One entry of ``layers:``; ``remark`` goes behind it."""

    layer: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    remark: str = ""

    def line(self) -> str:
        inner = ", ".join(f"{key}: {_yaml(value)}" for key, value in self.arguments.items())
        entry = f"{self.layer}: {{{inner}}}" if inner else self.layer
        return f"    - {entry}" + (f"   # {self.remark}" if self.remark else "")


def _yaml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    text = str(value)
    return f'"{text}"' if isinstance(value, str) and text.isdigit() else text


def guessed_spec(path: Path, name: str, folder: Path | None = None) -> str:
    """The text of a spec for the weights in ``path``, to stand in ``folder`` (that of the weights). The model is called
    ``name``, or as near to that as C allows.

    Raises:
        ModelError, UnsafeFileError: it is no file of weights.
        UnsupportedError: layers that ``layers:`` does not have.
    """
    layers, shape = guessed_network(path)
    return "\n".join(
        [
            f"# Guessed from {path.name}. What it does not say is {FILL_IN}: put in what the network has there.",
            "spec: 1",
            f"name: {suggested_name(name) or 'network'}",
            "model:",
            "  layers:",
            *layers,
            f"  weights: {Path(os.path.relpath(path, folder or path.parent)).as_posix()}",
            "input:",
            f"  shape: {shape}   # without the batch axis",
            "",
        ]
    )


def guessed_network(path: Path) -> tuple[list[str], str]:
    """Lines of ``layers:`` for the weights in ``path``, and what is known of ``input.shape``.

    Raises:
        ModelError, UnsafeFileError: it is no file of weights.
        UnsupportedError: layers that ``layers:`` does not have.
    """
    state = read_weights(path)
    guesses = guess_layers(state, path)
    return [guess.line() for guess in guesses], _input_shape(guesses[0], _first_weight(state))


def guess_layers(state: Mapping[str, torch.Tensor], path: Path) -> list[Guess]:
    """Entries of ``layers:``, in the order of the state_dict."""
    groups: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in state.items():
        layer, _, role = key.rpartition(".")
        groups.setdefault(layer, {})[role] = tensor
    guesses: list[Guess] = []
    channels, kind, last = None, "", ""
    for name, tensors in groups.items():
        guess, made, own = _layer(name, tensors, channels, kind, path)
        computes = guess.layer not in ("BatchNorm1d", "BatchNorm2d", "PReLU")
        if guesses:
            guesses += _between(last, name, channels, kind, tensors, computes)
        guesses.append(guess)
        channels, kind, last = made, own or kind, name
    return guesses


def _layer(
    name: str, tensors: Mapping[str, torch.Tensor], channels: int | None, kind: str, path: Path
) -> tuple[Guess, int | None, str]:
    """The layer of a group of tensors, the channels that it makes, and its kind where it makes a new one."""
    own = name or "the network itself"
    if any(role.startswith("weight_hh") for role in tensors):
        raise UnsupportedError(
            f"{own} is a recurrent layer, which layers: does not have",
            where=Location(path),
            next_step="write the network as a class, model.python",
        )
    weight = tensors.get("weight")
    if weight is None or weight.ndim not in (1, 2, 3, 4):
        held = ", ".join(f"{role} {list(tensor.shape)}" for role, tensor in tensors.items())
        raise UnsupportedError(
            f"what kind of layer {own} is cannot be told from {held}",
            where=Location(path),
            next_step="write the network as a class, model.python",
        )
    called = {"name": name}
    plain = {} if "bias" in tensors else {"bias": False}
    if weight.ndim in _SHAPED:
        return _convolution(_SHAPED[weight.ndim], called, plain, tensors, channels)
    if weight.ndim == 2:
        made = weight.shape[0]
        remark = "" if "bias" in tensors else "or an Embedding, which layers: does not have"
        return Guess("Linear", {**called, "out_features": made, **plain}, remark), made, "Linear"
    size = weight.shape[0]
    if "running_mean" in tensors:
        return Guess("BatchNorm2d" if kind == "Conv2d" else "BatchNorm1d", called), size, ""
    if "bias" not in tensors:
        return Guess("PReLU", {**called, "num_parameters": size}), channels, ""
    remark = f"LayerNorm: normalized_shape: [{size}]? GroupNorm: num_groups: ...?"
    return Guess(FILL_IN, called, remark), channels, ""


def _convolution(
    layer: str, called: dict, plain: dict, tensors: Mapping[str, torch.Tensor], channels: int | None
) -> tuple[Guess, int, str]:
    weight, bias = tensors["weight"], tensors.get("bias")
    made, given = weight.shape[:2]
    kernel = tuple(weight.shape[2:])
    shown = kernel[0] if len(set(kernel)) == 1 else kernel
    kind, remark = layer, ""
    swapped = channels is not None and made == channels != given  # (in, out) where nothing else fits
    if swapped if bias is None else len(bias) != made:
        layer, made, given = _TRANSPOSED[layer], given, made
    arguments = {**called, "out_channels": made, "kernel_size": shown}
    if channels is not None and given != channels and channels % given == 0:
        arguments["groups"] = channels // given
        if layer in _TRANSPOSED.values():
            arguments["out_channels"] = made * channels // given
    elif channels is not None and given != channels:
        remark = f"takes {given} channels, but {channels} come from the layer in front: a branch?"
    arguments["stride"] = FILL_IN
    if max(kernel) > 1:
        arguments["padding"] = FILL_IN
    return Guess(layer, {**arguments, **plain}, remark), int(arguments["out_channels"]), kind


def _between(
    last: str, name: str, channels: int | None, kind: str, tensors: Mapping[str, torch.Tensor], computes: bool
) -> list[Guess]:
    """Layers without weights in front of ``name``: as many as numbers in the names leave out, or one to ask for."""
    found: list[Guess] = []
    place, before = (text.rpartition(".") for text in (name, last))
    numbered = place[0] == before[0] and place[2].isdigit() and before[2].isdigit()
    if numbered:
        prefix = f"{place[0]}." if place[0] else ""
        for number in range(int(before[2]) + 1, int(place[2])):
            found.append(Guess(FILL_IN, {"name": f"{prefix}{number}"}, "a layer without weights"))
    elif computes:
        found.append(
            Guess(FILL_IN, {}, f"what stands between {last} and {name}: ReLU? MaxPool? nothing? Add or delete")
        )
    weight = tensors.get("weight")
    if kind.startswith("Conv") and weight is not None and weight.ndim == 2:
        pixels = weight.shape[1] // channels if channels and weight.shape[1] % channels == 0 else None
        remark = f"{weight.shape[1]} values = {channels} channels x {pixels} pixels" if pixels else ""
        if numbered and found:
            found[-1] = Guess(FILL_IN, found[-1].arguments, f"one of these is Flatten; {remark}".rstrip("; "))
        else:
            found.append(Guess("Flatten", {}, remark))
    return found


def _first_weight(state: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """That of the first layer; in a safetensors file, which sorts its names, a bias stands in front of it."""
    layer = next(iter(state)).rpartition(".")[0]
    return state.get(f"{layer}.weight" if layer else "weight", next(iter(state.values())))


def _input_shape(first: Guess, weight: torch.Tensor) -> str:
    known = {"Linear": weight.shape[-1], "Conv1d": weight.shape[1:2], "Conv2d": weight.shape[1:2]}.get(first.layer)
    if first.layer == "Linear":
        return f"[{known}]"
    unknown = [FILL_IN] * {"Conv1d": 1, "ConvTranspose1d": 1}.get(first.layer, 2)
    channels = known[0] if known else weight.shape[0] if first.layer in _TRANSPOSED.values() else FILL_IN
    return f"[{', '.join(map(str, (channels, *unknown)))}]"
