"""A network as a flat list of ATen calls: what a live module and a ``.pt2`` archive both become first.

Values are named; shapes have their batch axis, which is 1. Nothing here knows torch, so that an archive can be read
without giving it to torch's deserializer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

Shape = tuple[int, ...]


class IndexShape(tuple):
    """The shape of an input of whole numbers."""


Inputs = Mapping[str, Shape]
"""A network's inputs in the order of ``forward``'s: their names in the graph and shapes without the batch axis."""


@dataclass(frozen=True)
class Ref:
    """A named value: the network's input, a constant, or what a call made."""

    name: str


Argument = Ref | int | float | bool | str | None | tuple


@dataclass(frozen=True)
class Stored:
    """The integers that a constant was dequantized from: ``array = (integers - zero_point) * scale``, element by
    element. All three have the constant's shape, so that whatever moves its elements moves theirs."""

    integers: np.ndarray
    scale: np.ndarray
    zero_point: np.ndarray


@dataclass(frozen=True)
class Constant:
    """A parameter, buffer or lifted constant. ``name`` is the module path and attribute: ``conv1.weight``; empty where
    the layer that reads it should name it. ``stored`` is there where PyTorch has quantized it."""

    name: str
    array: np.ndarray
    stored: Stored | None = None

    def moved(self, move: Callable[[np.ndarray], np.ndarray]) -> Constant:
        """The constant with its elements moved: transposed, reshaped, repeated."""
        kept = self.stored
        stored = kept and Stored(move(kept.integers), move(kept.scale), move(kept.zero_point))
        return Constant(self.name, move(self.array), stored)


@dataclass(frozen=True)
class Call:
    """One ATen operator applied to arguments.

    Attributes:
        target: the operator without ``torch.ops.aten``: ``conv2d.default``.
        arguments: by the names of the operator's schema; what is left out has the schema's default.
        outputs: the values that the call makes.
        module: path of the module whose ``forward`` made the call, empty for the network itself.
        module_class: qualified class name of that module.
        file, line: the user's source line, where known.
    """

    target: str
    arguments: Mapping[str, Argument]
    outputs: tuple[str, ...]
    module: str = ""
    module_class: str = ""
    file: str | None = None
    line: int | None = None

    @property
    def operator(self) -> str:
        """The operator without its overload: ``conv2d``."""
        return self.target.rpartition(".")[0]

    def get(self, name: str, default: Argument = None) -> Argument:
        """The argument ``name``, or the schema's ``default`` where the call leaves it out."""
        return self.arguments.get(name, default)

    def reads(self) -> Iterator[str]:
        """Names of the values that the call reads."""
        for argument in self.arguments.values():
            yield from _references(argument)


def renamed(argument: Argument, names: Mapping[str, str]) -> Argument:
    """The argument with values called as ``names`` says."""
    if isinstance(argument, Ref):
        return Ref(names.get(argument.name, argument.name))
    if isinstance(argument, tuple):
        return tuple(renamed(item, names) for item in argument)
    return argument


def _references(argument: Argument) -> Iterator[str]:
    if isinstance(argument, Ref):
        yield argument.name
    elif isinstance(argument, tuple):
        for item in argument:
            yield from _references(item)


@dataclass(frozen=True)
class Trace:
    """Calls in execution order, from inputs to outputs, each in the order of ``forward``'s.

    ``shapes`` covers the inputs and every call's outputs, with the batch axis; ``dtypes`` (``float32``) likewise.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    calls: tuple[Call, ...]
    shapes: Mapping[str, Shape]
    constants: Mapping[str, Constant]
    dtypes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", MappingProxyType(dict(self.shapes)))
        object.__setattr__(self, "constants", MappingProxyType(dict(self.constants)))

    def readers(self, value: str) -> list[Call]:
        """The calls that read ``value``."""
        return [call for call in self.calls if value in call.reads()]
