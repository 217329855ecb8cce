"""Trained PyTorch networks as fused C kernels inside an ordinary PlatformIO build.

What a notebook or script needs is here: :func:`convert`, :func:`load_spec`, :func:`validate`, :func:`estimate`,
:func:`load_board` (docs/python.md). Each is imported when it is first asked for, so that ``import uc_nn_pio`` is quick
and needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uc_nn_pio.boards import load_board
    from uc_nn_pio.converter import convert
    from uc_nn_pio.estimating import estimate
    from uc_nn_pio.spec import load_spec
    from uc_nn_pio.validation import validate

__version__ = "0.1.0"
__all__ = ["__version__", "convert", "estimate", "load_board", "load_spec", "validate"]

_FROM = {
    "convert": "converter",
    "estimate": "estimating",
    "load_board": "boards",
    "load_spec": "spec",
    "validate": "validation",
}


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_FROM[name]}"), name)
