"""The inline ``layers:`` list: which classes of torch.nn it takes, and the arguments of each.

Names and defaults are torch's; what an argument left out means is torch's business. Here the form is checked, so that a
mistake is found in the file, with line and column, before torch is even imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from uc_nn_pio.spec.document import Value
from uc_nn_pio.spec.kinds import BAD, Kind, ListOf, Number, Reader, Switch, Text, Whole, nearest
from uc_nn_pio.spec.model import LayerSpec


@dataclass(frozen=True)
class Pair(Kind):
    """One whole number for both axes, or [height, width]; a tuple of two in the latter case."""

    least: int = 1
    holes: bool = False
    """Whether an axis may be null (adaptive pooling: the input's own size)."""

    @property
    def expects(self) -> str:  # type: ignore[override]
        return f"a whole number of at least {self.least}, or [height, width]"

    def read(self, value: Value, reader: Reader) -> Any:
        whole = Whole(self.least, 65535)
        if value.kind == "whole":
            return whole.read(value, reader)
        if value.kind != "list" or len(value.items) != 2:
            return self.wrong(value, reader)
        both = [None if self.holes and item.kind == "nothing" else whole.read(item, reader) for item in value.items]
        return BAD if any(item is BAD for item in both) else tuple(both)

    def schema(self) -> dict[str, Any]:
        whole = Whole(self.least, 65535).schema()
        item = {"anyOf": [whole, {"type": "null"}]} if self.holes else whole
        return {"anyOf": [whole, {"type": "array", "items": item, "minItems": 2, "maxItems": 2}]}


@dataclass(frozen=True)
class ConvPadding(Kind):
    """A pair, or torch's words."""

    expects: str = "a whole number of at least 0, [height, width], same or valid"

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind == "text" and value.text in ("same", "valid"):
            return value.text
        return Pair(0).read(value, reader) if value.kind in ("whole", "list") else self.wrong(value, reader)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [*Pair(0).schema()["anyOf"], {"enum": ["same", "valid"]}]}


@dataclass(frozen=True)
class Real(Kind):
    """A float."""

    least: float | None = None
    most: float | None = None
    limits: str = ""

    @property
    def number(self) -> Number:
        return Number(self.least, self.most, limits=self.limits)

    @property
    def expects(self) -> str:  # type: ignore[override]
        return self.number.expects

    def read(self, value: Value, reader: Reader) -> Any:
        number = self.number.read(value, reader)
        return BAD if number is BAD else float(number)

    def schema(self) -> dict[str, Any]:
        return self.number.schema()


@dataclass(frozen=True)
class OrNull(Kind):
    """A kind, or null: torch's None."""

    kind: Kind

    @property
    def expects(self) -> str:  # type: ignore[override]
        return f"{self.kind.expects}, or null"

    def read(self, value: Value, reader: Reader) -> Any:
        return None if value.kind == "nothing" else self.kind.read(value, reader)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.kind.schema(), {"type": "null"}]}


@dataclass(frozen=True)
class OneOf(Kind):
    """A kind, or one of torch's words."""

    kind: Kind
    words: tuple[str, ...]

    def __init__(self, kind: Kind, *words: str) -> None:
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "words", words)

    @property
    def expects(self) -> str:  # type: ignore[override]
        return f"{self.kind.expects}, {' or '.join(self.words)}"

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind == "text":
            return value.text if value.text in self.words else self.wrong(value, reader)
        return self.kind.read(value, reader)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.kind.schema(), {"enum": list(self.words)}]}


@dataclass(frozen=True)
class OneOrList(Kind):
    """One value for all sides, or a list of ``count``; a tuple in the latter case."""

    kind: Kind
    count: int

    @property
    def expects(self) -> str:  # type: ignore[override]
        return f"{self.kind.expects}, or a list of {self.count}"

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind != "list":
            return self.kind.read(value, reader)
        if len(value.items) != self.count:
            return self.wrong(value, reader)
        found = [self.kind.read(item, reader) for item in value.items]
        return BAD if any(item is BAD for item in found) else tuple(found)

    def schema(self) -> dict[str, Any]:
        items = {"type": "array", "items": self.kind.schema(), "minItems": self.count, "maxItems": self.count}
        return {"anyOf": [self.kind.schema(), items]}


@dataclass(frozen=True)
class Layer:
    """A class of torch.nn. ``needed`` arguments have no default; those that capture infers are not among them."""

    arguments: Mapping[str, Kind]
    needed: tuple[str, ...] = ()


_COUNT = Whole(1, 1 << 20)
_AXIS = Whole(-8, 8)
_SHARE = Real(0, 1, "from 0 to 1")
_INPLACE = {"inplace": Switch()}
_DROPOUT = Layer({"p": _SHARE, **_INPLACE})
_BATCH_NORM = Layer(
    {
        "num_features": _COUNT,
        "eps": Real(0, None, "of at least 0"),
        "momentum": OrNull(Real()),
        "affine": Switch(),
        "track_running_stats": Switch(),
    }
)

_EPS = {"eps": Real(0, None, "of at least 0")}
_AFFINE = {"affine": Switch()}
_OLD_LIMITS = {"min_value": OrNull(Real()), "max_value": OrNull(Real())}
_INSTANCE_NORM = _BATCH_NORM


def _conv(numbers: Callable[..., Kind], padding: Kind) -> Layer:
    arguments = {
        "in_channels": _COUNT,
        "out_channels": _COUNT,
        "kernel_size": numbers(),
        "stride": numbers(),
        "padding": padding,
        "dilation": numbers(),
        "groups": _COUNT,
        "bias": Switch(),
        "padding_mode": Text(),
    }
    return Layer(arguments, ("out_channels", "kernel_size"))


def _transposed(numbers: Callable[..., Kind]) -> Layer:
    plain = _conv(numbers, numbers(0))
    return Layer({**plain.arguments, "output_padding": numbers(0)}, plain.needed)


def _max_pool(numbers: Callable[..., Kind]) -> Layer:
    arguments = {
        "kernel_size": numbers(),
        "stride": OrNull(numbers()),
        "padding": numbers(0),
        "dilation": numbers(),
        "return_indices": Switch(),
        "ceil_mode": Switch(),
    }
    return Layer(arguments, ("kernel_size",))


def _avg_pool(numbers: Callable[..., Kind], **more: Kind) -> Layer:
    arguments = {
        "kernel_size": numbers(),
        "stride": OrNull(numbers()),
        "padding": numbers(0),
        "ceil_mode": Switch(),
        "count_include_pad": Switch(),
        **more,
    }
    return Layer(arguments, ("kernel_size",))


def _single(least: int = 1) -> Whole:
    return Whole(least, 65535)


_SIZES = ListOf(Whole(1, 65535))
_AROUND_2D = Layer({"padding": OneOrList(Whole(-64, 64), 4)}, ("padding",))

LAYERS: Mapping[str, Layer] = {
    "Conv1d": _conv(_single, OneOf(_single(0), "same", "valid")),
    "Conv2d": _conv(Pair, ConvPadding()),
    "ConvTranspose1d": _transposed(_single),
    "ConvTranspose2d": _transposed(Pair),
    "MaxPool1d": _max_pool(_single),
    "MaxPool2d": _max_pool(Pair),
    "AvgPool1d": _avg_pool(_single),
    "AvgPool2d": _avg_pool(Pair, divisor_override=OrNull(_COUNT)),
    "AdaptiveAvgPool1d": Layer({"output_size": _single()}, ("output_size",)),
    "AdaptiveAvgPool2d": Layer({"output_size": Pair(1, holes=True)}, ("output_size",)),
    "AdaptiveMaxPool1d": Layer({"output_size": _single(), "return_indices": Switch()}, ("output_size",)),
    "AdaptiveMaxPool2d": Layer({"output_size": Pair(1, holes=True), "return_indices": Switch()}, ("output_size",)),
    "Linear": Layer({"in_features": _COUNT, "out_features": _COUNT, "bias": Switch()}, ("out_features",)),
    "BatchNorm1d": _BATCH_NORM,
    "BatchNorm2d": _BATCH_NORM,
    "LayerNorm": Layer(
        {"normalized_shape": _SIZES, **_EPS, "elementwise_affine": Switch(), "bias": Switch()}, ("normalized_shape",)
    ),
    "GroupNorm": Layer({"num_groups": _COUNT, "num_channels": _COUNT, **_EPS, **_AFFINE}, ("num_groups",)),
    "InstanceNorm1d": _INSTANCE_NORM,
    "InstanceNorm2d": _INSTANCE_NORM,
    "ReLU": Layer(_INPLACE),
    "ReLU6": Layer(_INPLACE),
    "LeakyReLU": Layer({"negative_slope": Real(), **_INPLACE}),
    "PReLU": Layer({"num_parameters": _COUNT, "init": Real()}),
    "ELU": Layer({"alpha": Real(), **_INPLACE}),
    "SELU": Layer(_INPLACE),
    "CELU": Layer({"alpha": Real(), **_INPLACE}),
    "GELU": Layer({"approximate": Text()}),
    "SiLU": Layer(_INPLACE),
    "Hardswish": Layer(_INPLACE),
    "Hardsigmoid": Layer(_INPLACE),
    "Hardtanh": Layer({"min_val": Real(), "max_val": Real(), **_INPLACE, **_OLD_LIMITS}),
    "Sigmoid": Layer({}),
    "Tanh": Layer({}),
    "Softmax": Layer({"dim": OrNull(_AXIS)}),
    "LogSoftmax": Layer({"dim": OrNull(_AXIS)}),
    "Flatten": Layer({"start_dim": _AXIS, "end_dim": _AXIS}),
    "Unflatten": Layer({"dim": _AXIS, "unflattened_size": ListOf(Whole(-1, 1 << 24))}, ("dim", "unflattened_size")),
    "ZeroPad2d": _AROUND_2D,
    "ReflectionPad2d": _AROUND_2D,
    "ReplicationPad2d": _AROUND_2D,
    "Upsample": Layer(
        {
            "size": OrNull(Pair()),
            "scale_factor": OrNull(Real(0, None, "above 0")),
            "mode": Text(),
            "align_corners": OrNull(Switch()),
            "recompute_scale_factor": OrNull(Switch()),
        }
    ),
    "PixelShuffle": Layer({"upscale_factor": _COUNT}, ("upscale_factor",)),
    "PixelUnshuffle": Layer({"downscale_factor": _COUNT}, ("downscale_factor",)),
    "ChannelShuffle": Layer({"groups": _COUNT}, ("groups",)),
    "Dropout": _DROPOUT,
    "Dropout2d": _DROPOUT,
    "Identity": Layer({}),
}
"""Classes of torch.nn by name. An argument of torch's that no network here needs (device, dtype) is not listed."""

_NAME = Text()


@dataclass(frozen=True)
class LayerEntry(Kind):
    """One entry: a class name alone, or a mapping of one class name to its arguments and ``name``."""

    expects: str = "a class of torch.nn, such as ReLU or {Conv2d: {out_channels: 6, kernel_size: 5}}"

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind == "text":
            return self._layer(value, value.text, None, reader)
        if value.kind != "map" or not value.entries:
            return self.wrong(value, reader)
        (name, inner), *more = value.entries.items()
        if not more:
            return self._layer(value, name, inner, reader)
        hint = "begin each layer with '- ' in a line of its own"
        if inner.kind == "nothing":
            hint = f"indent {', '.join(key for key, _ in more)} by two more spaces, so that they belong to {name}"
        return reader.bad(value, f"{value.key} holds {len(value.entries)} keys; a layer has one, its class", None, hint)

    def _layer(self, value: Value, type_: str, inner: Value | None, reader: Reader) -> Any:
        layer = LAYERS.get(type_)
        if layer is None:
            near = nearest(type_, LAYERS)
            return reader.bad(
                value,
                f"{type_!r} is no layer that can stand in layers:",
                f"known: {', '.join(LAYERS)}",
                f"did you mean {near}?" if near else "write the network in Python, and name it with model.python",
            )
        arguments: dict[str, Any] = {}
        if inner is not None and inner.kind != "nothing":
            if inner.kind != "map":
                some = next(iter(layer.arguments), "name")
                what = f"the arguments of {type_} must be a mapping, not {inner.described}"
                return reader.bad(inner, what, None, f"name them: {{{type_}: {{{some}: ...}}}}")
            arguments = {key: self._argument(type_, key, item, reader) for key, item in inner.entries.items()}
        missing = [key for key in layer.needed if key not in arguments]
        if missing:
            what = f"{type_} needs {' and '.join(missing)}"
            return reader.bad(value, what, None, f"{{{type_}: {{{', '.join(f'{key}: ...' for key in missing)}}}}}")
        if any(item is BAD for item in arguments.values()):
            return BAD
        name = arguments.pop("name", None)
        return LayerSpec(type_, arguments, name, value.where)

    def _argument(self, type_: str, key: str, item: Value, reader: Reader) -> Any:
        if key == "name":
            return _NAME.read(item, reader)
        known = LAYERS[type_].arguments
        if key in known:
            return known[key].read(item, reader)
        near = nearest(key, [*known, "name"])
        return reader.bad(
            item,
            f"{type_} has no argument {key!r} here",
            f"it takes {', '.join([*known, 'name'])}",
            f"did you mean {near!r}?" if near else None,
        )

    def schema(self) -> dict[str, Any]:
        bare = [name for name, layer in LAYERS.items() if not layer.needed]
        entries = {name: _layer_schema(layer) for name, layer in LAYERS.items()}
        whole = {
            "type": "object",
            "properties": entries,
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }
        return {"anyOf": [{"enum": bare}, whole]}


@dataclass(frozen=True)
class Layers(Kind):
    """The list itself: names in the state_dict must differ."""

    expects: str = "a list of layers"

    def read(self, value: Value, reader: Reader) -> Any:
        layers = ListOf(LayerEntry(), self.expects).read(value, reader)
        if layers is BAD:
            return BAD
        seen: dict[str, int] = {}
        fine = True
        for i, (layer, item) in enumerate(zip(layers, value.items, strict=True)):
            name = layer.name or str(i)
            if name in seen:
                why = "a layer without a name is called by its position, counted from 0"
                reader.bad(item, f"two layers are called {name!r}", why, f"rename entry {i} or entry {seen[name]}")
                fine = False
            seen.setdefault(name, i)
        return layers if fine else BAD

    def schema(self) -> dict[str, Any]:
        return ListOf(LayerEntry()).schema()


def _layer_schema(layer: Layer) -> dict[str, Any]:
    properties = {key: kind.schema() for key, kind in layer.arguments.items()}
    mapping: dict[str, Any] = {
        "type": ["object", "null"] if not layer.needed else "object",
        "properties": {**properties, "name": _NAME.schema()},
        "additionalProperties": False,
    }
    if layer.needed:
        mapping["required"] = list(layer.needed)
    return mapping
