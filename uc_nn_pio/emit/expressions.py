"""Small C expressions, written as a person would write them: no ``* 1``, no ``+ 0``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def times(name: str, factor: int) -> str:
    return name if factor == 1 else "0" if factor == 0 else f"{name} * {factor}"


def affine(name: str, factor: int, offset: int, other: str | None = None, other_factor: int = 1) -> str:
    """``name * factor + other * other_factor + offset``."""
    terms = [times(name, factor)] if factor or other is None else []
    if other is not None:
        terms.append(times(other, other_factor))
    text = " + ".join(terms)
    if offset:
        text += f" {'+' if offset > 0 else '-'} {abs(offset)}"
    return text


def held_row(step: int, top: int) -> str:
    """The first row that is held of a window when output row ``py`` is made: ``max(0, py * step + top)``."""
    first = affine("py", step, top)
    return f"{first} > 0 ? {first} : 0" if top < 0 else first


def inside(name: str, span: object, size: int) -> str:
    """Test that ``name`` lies in a half-open span of 0..size; ends that always hold are left out."""
    tests = [f"{name} >= {span.lo}"] if span.lo > 0 else []
    tests += [f"{name} < {span.hi}"] if span.hi < size else []
    return " && ".join(tests) or "1"


def c_float(value: float) -> str:
    """A float32 as the shortest C literal that reads back to the same bits."""
    value = np.float32(value)
    text = np.format_float_positional(value, unique=True, trim="0")
    if len(text) > 14:
        text = np.format_float_scientific(value, unique=True, trim="0")
    return f"{text}f"


def c_constant(value: float, prefix: str) -> str:
    """A float32 constant for code that runs often: the model's macro, which says how it gets into a register."""
    return f"{prefix.upper()}_F({c_float(value)}, 0x{np.float32(value).view(np.uint32):08X}u)"


def c_word(value: int) -> str:
    """A 32-bit word as a C literal."""
    return f"0x{int(value):08x}u"


def place_of(array: str, start: int, steps: Sequence[int], *more: str) -> str:
    """An element of ``array`` in nested loops over i, j, k ..., the outermost first, which go on by ``steps``; with
    ``more`` terms in front."""
    terms = [*more, *(times("ijklmn"[depth], step) for depth, step in enumerate(steps) if step)]
    text = " + ".join(terms) or "0"
    if start and terms:
        text += f" + {start}"
    return f"{array}[{text.replace('+ -', '- ') if terms else start}]"
