"""What can be converted, as the code says it: ``docs/operators.md``, which ``uc-nn ops`` prints.

``python -m uc_nn_pio.operators`` writes the file anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import MISSING, Field, fields
from pathlib import Path

from uc_nn_pio.capture.rules import RULES
from uc_nn_pio.emit.kernels import KERNELS
from uc_nn_pio.graph.ir import DType
from uc_nn_pio.graph.ops import Clamp, Op
from uc_nn_pio.reference.activation import FUNCTIONS

DOCUMENT = Path(__file__).parents[1] / "docs" / "operators.md"


def operators_text() -> str:
    """The document, in Markdown: calls of PyTorch that are taken, then what kernels compute, in which precision."""
    return f"""# Operators

Generated from the code (`python -m uc_nn_pio.operators`); `uc-nn ops` prints it. What is not here is refused at
conversion, by the layer's name, with the nearest that there is.

## What is taken from PyTorch

Names are those of ATen, which `torch.export` writes; layers of `torch.nn` and functions become these.

{_table(("ATen", "taken as"), _calls())}

## What kernels compute

Parameters are those of the converter's own operators, with their defaults. Activations and max-pools behind a
convolution become part of it, activations behind a linear or a sum too; batch norm is folded into the layer in front.
Activations: {", ".join(f"`{name}`" for name in FUNCTIONS)},
`clamp` (between two numbers).

{_table(("operator", "parameters", "float32", "int8", "what"), _kernels())}
"""


def _calls() -> Iterable[tuple[str, ...]]:
    """A row for each rule, with all calls that it takes; overloads are not told apart."""
    by_rule: dict[str, dict[str, None]] = {}
    for call, rule in RULES.items():
        by_rule.setdefault(_sentence(rule.__doc__), {})[call.rpartition(".")[0].rpartition(".")[2]] = None
    for what, names in by_rule.items():
        yield ", ".join(f"`{name}`" for name in names), what


def _kernels() -> Iterable[tuple[str, ...]]:
    for op in dict.fromkeys(op for op, _ in KERNELS):
        if op is Clamp:  # an activation with two numbers
            continue
        has = ("yes" if (op, dtype) in KERNELS else "-" for dtype in (DType.FLOAT32, DType.INT8))
        yield f"`{op.kind}`", ", ".join(_parameters(op)) or "-", *has, _sentence(op.__doc__, first=True)


def _parameters(op: type[Op]) -> Iterable[str]:
    for field in fields(op):
        yield f"`{field.name}`" + _default(field)


def _default(field: Field) -> str:
    if field.default is MISSING:
        return ""
    values = field.default if isinstance(field.default, tuple) else (field.default,)
    plain = all(isinstance(value, int | float | str) for value in values)
    return f" ({', '.join(map(str, values))})" if plain else ""


def _sentence(text: str | None, first: bool = False) -> str:
    plain = " ".join(re.sub(r":\w+:`(\w+)`", r"\1", (text or "").replace("``", "`")).split())
    return plain.partition(". ")[0].rstrip(".") + "." if first else plain


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    DOCUMENT.write_text(operators_text(), encoding="utf-8")
    print(f"wrote {DOCUMENT}")
