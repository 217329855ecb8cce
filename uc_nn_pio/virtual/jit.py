"""Compiles with numba where it is there, and makes plain Python of compiled functions where that is wanted.

``UC_NN_PIO_PLAIN=1`` in the environment does without numba; so does a machine that has none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

PLAIN_VARIABLE = "UC_NN_PIO_PLAIN"

try:
    if os.environ.get(PLAIN_VARIABLE, "0") not in ("", "0"):
        raise ImportError(PLAIN_VARIABLE)
    from numba import njit
except ImportError:
    njit = None

NUMBA = njit is not None


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: compile with numba; the function itself without it.

    Not cached: a cache follows a function's own file only. The hooks that call it are, with ``digest``.
    """
    return njit(function) if njit is not None else function


def digest(*names: str) -> int:
    """A number that changes with the text of these files beside this one: a closure's value, it keys numba's cache."""
    texts = b"".join((Path(__file__).parent / name).read_bytes() for name in names)
    return int.from_bytes(hashlib.sha256(texts).digest()[:6], "big")


def plain(module: ModuleType) -> SimpleNamespace:
    """The functions of ``module`` as ordinary Python, calling each other as such."""
    names = dict(vars(module))
    for name, item in vars(module).items():
        function = getattr(item, "py_func", None)
        if function is not None:
            names[name] = FunctionType(function.__code__, names, name, function.__defaults__)
    return SimpleNamespace(**names)
