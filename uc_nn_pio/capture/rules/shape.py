"""Operators that give the same elements another shape, and those that do nothing at inference."""

from __future__ import annotations

from uc_nn_pio.capture.rules.base import Rule, Step, activation_input, shape_without_batch
from uc_nn_pio.capture.trace import Call, Trace
from uc_nn_pio.errors import UnsupportedError
from uc_nn_pio.graph.ops import Identity, Reshape

_DTYPES_KEPT = (None, "float32")


def reshape(call: Call, trace: Trace) -> list[Step]:
    """flatten, view, reshape, squeeze, unsqueeze: the exported shape says it all."""
    source = activation_input(call, trace)
    shape = shape_without_batch(call, trace, call.outputs[0])
    stem = call.operator.strip("_") if call.operator != "_unsafe_view" else "view"
    # What only flattens has one name, whichever way it is written, so that the same network gives the same graph.
    stem = "flatten" if len(shape) == 1 and stem in ("view", "reshape") else stem
    return [Step(Reshape(), stem, (source,), call.outputs[0], shape)]


def identity(call: Call, trace: Trace) -> list[Step]:
    """contiguous, clone, alias, detach."""
    source = activation_input(call, trace)
    if call.get("dtype") not in _DTYPES_KEPT:
        raise UnsupportedError(
            f"a conversion to {call.get('dtype')} inside the network is not supported",
            why="activations are float32 until the network is quantized as a whole",
            next_step="remove the conversion",
        )
    shape = shape_without_batch(call, trace, call.outputs[0])
    return [Step(Identity(), call.operator.strip("_"), (source,), call.outputs[0], shape)]


def dropout(call: Call, trace: Trace) -> list[Step]:
    """Nothing in eval mode; an error where the network drops out at inference too."""
    if call.get("train", False) and call.get("p", 0.5) != 0:
        raise UnsupportedError(
            "dropout that is active at inference is not supported",
            next_step="use nn.Dropout or F.dropout(x, p, training=self.training), and model.eval() before an export",
        )
    return identity(call, trace)


_RESHAPES = (
    "flatten.using_ints view.default _unsafe_view.default reshape.default view_copy.default squeeze.default "
    "squeeze.dim squeeze.dims unsqueeze.default unflatten.int"
)
_IDENTITIES = (
    "alias.default alias_copy.default contiguous.default clone.default detach.default lift_fresh_copy.default "
    "_to_copy.default to.dtype to.dtype_layout to.device type_as.default"
)
RULES: dict[str, Rule] = {
    **dict.fromkeys(_RESHAPES.split(), reshape),
    **dict.fromkeys(_IDENTITIES.split(), identity),
    "dropout.default": dropout,
    "feature_dropout.default": dropout,
    "alpha_dropout.default": dropout,
    "feature_alpha_dropout.default": dropout,
    "native_dropout.default": dropout,
}
