"""Runs a network once on zeros before it is exported, to say in plain words where it breaks."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch

from uc_nn_pio.capture.exporter import quiet, zeros
from uc_nn_pio.capture.trace import Inputs
from uc_nn_pio.capture.user_code import user_line
from uc_nn_pio.errors import ModelError


class _Watch:
    """The stack of modules that are running, each with its path, class and input shapes."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.running: list[tuple[str, torch.nn.Module, list[list[int]]]] = []
        self._hooks = []
        for path, inner in module.named_modules():
            self._hooks.append(inner.register_forward_pre_hook(self._enter(path)))
            self._hooks.append(inner.register_forward_hook(self._leave))

    def _enter(self, path: str) -> Any:
        def hook(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
            shapes = [list(value.shape) for value in inputs if isinstance(value, torch.Tensor)]
            self.running.append((path, module, shapes))

        return hook

    def _leave(self, *_: object) -> None:
        self.running.pop()

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()


def probe(module: torch.nn.Module, inputs: Inputs, name: str) -> None:
    """Run ``module`` on zeros of these shapes (without batch axis).

    Raises:
        ModelError: it cannot take the shape (with the layer where it broke and the shape there), its ``forward``
            raises, it has another number of inputs, or it gives something that is no tensor.
    """
    _check_inputs(module, inputs, name)
    watch = _Watch(module)
    try:
        with quiet(), torch.no_grad():
            result = module(*zeros(inputs))
    except Exception as error:
        raise _failure(error, watch, inputs, name) from None
    finally:
        watch.remove()
    _check_outputs(result, name)


def _check_inputs(module: torch.nn.Module, inputs: Inputs, name: str) -> None:
    parameters = inspect.signature(module.forward).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [item.name for item in parameters if item.kind in kinds and item.default is inspect.Parameter.empty]
    if len(needed) > len(inputs):
        raise ModelError(
            f"the network {name} has {len(needed)} inputs ({', '.join(needed)}); the spec gives {len(inputs)}",
            where=name,
            next_step=f"inputs: {{{', '.join(f'{item}: {{shape: [...]}}' for item in needed)}}} in place of input",
        )


def _failure(error: Exception, watch: _Watch, inputs: Inputs, name: str) -> ModelError:
    line = user_line(error)
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    path, module, shapes = watch.running[-1] if watch.running else ("", None, [])
    layer = path or name
    at = f"{Path(line.file).name}:{line.line}" if line else None
    if not isinstance(error, RuntimeError | ValueError | IndexError):
        return ModelError(
            f"forward of {layer} raised {type(error).__name__}: {text}",
            where=line or layer,
            next_step="mend it there",
        )
    each = [str(list(shape)) for shape in inputs.values()]
    what = f"an input of shape {each[0]}" if len(each) == 1 else f"inputs of shapes {', '.join(each)}"
    got = f"{layer} ({type(module).__name__}) gets shape {shapes[0]}: " if shapes and path else ""
    return ModelError(
        f"the network cannot take {what}: it breaks in {layer}",
        where=f"{layer} ({at})" if at else layer,
        why=f"{got}{text}",
        next_step=_remedy(module, shapes),
    )


def _remedy(module: torch.nn.Module | None, shapes: list[list[int]]) -> str:
    if isinstance(module, torch.nn.Linear) and shapes and shapes[0][-1] != module.in_features:
        return (
            f"in_features is {module.in_features}, and {shapes[0][-1]} come in: change it, or input.shape in the spec"
        )
    if isinstance(module, torch.nn.Conv2d) and shapes and len(shapes[0]) == 4 and shapes[0][1] != module.in_channels:
        return f"in_channels is {module.in_channels}, and {shapes[0][1]} come in: change it, or input.shape in the spec"
    return "check input.shape in the spec, which is without the batch axis, and this layer's parameters"


def _check_outputs(result: object, name: str) -> None:
    values = [result]
    if isinstance(result, dict | tuple | list):
        values = list(result.values()) if isinstance(result, dict) else list(result)
    wrong = [value for value in values if not isinstance(value, torch.Tensor)]
    if wrong or not values:
        what = f"a {type(wrong[0]).__name__}" if wrong else "nothing"
        within = f" in a {type(result).__name__}" if isinstance(result, dict | tuple | list) else ""
        raise ModelError(
            f"the network {name} returns {what}{within}, not a tensor",
            where=name,
            next_step="return a tensor, or a tuple or dictionary of tensors",
        )
