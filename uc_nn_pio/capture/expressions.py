"""Symbolic sizes of exported programs: integers, names and ``+ - * // ( )``, and not a character more.

torch hands these strings to sympy, which evaluates them as Python. Here they are parsed into a tree, and the tree is
all that is ever computed.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Mapping

# torch writes a lone symbol in sympy's constructor form; it is read as the name inside.
_SYMBOL = re.compile(r"Symbol\('([A-Za-z]\w*)'(?:, (?:positive|integer|nonnegative|zero)=(?:True|False))*\)")
_CHARACTERS = re.compile(r"[A-Za-z0-9_+\-*/() ]*")
_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv}
_LONGEST = 1000
_LARGEST = 1 << 40


class BadExpressionError(ValueError):
    """A string that is more than a sum or product of integers and names."""


def parse(text: object) -> ast.expr:
    """The tree of an expression.

    Raises:
        BadExpressionError: it is no text, or holds anything but integers, names and ``+ - * // ( )``.
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise BadExpressionError("no short text")
    plain = _SYMBOL.sub(r"\1", text)
    if not _CHARACTERS.fullmatch(plain) or "__" in plain or "**" in plain:
        raise BadExpressionError("other characters than those of integers, names and + - * // ( )")
    try:
        tree = ast.parse(plain.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise BadExpressionError("no expression") from None
    _check(tree)
    return tree


def _check(tree: ast.expr) -> None:
    if isinstance(tree, ast.BinOp) and type(tree.op) in _OPERATORS:
        _check(tree.left)
        _check(tree.right)
    elif isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        _check(tree.operand)
    elif not (isinstance(tree, ast.Name) or (isinstance(tree, ast.Constant) and type(tree.value) is int)):
        raise BadExpressionError(f"a {type(tree).__name__.lower()}")


def evaluate(tree: ast.expr, names: Mapping[str, int]) -> int:
    """The value of a tree of :func:`parse`.

    Raises:
        KeyError: a name that ``names`` lacks.
        ValueError: a division by zero, or a value beyond any tensor's size.
    """
    if isinstance(tree, ast.Name):
        return names[tree.id]
    if isinstance(tree, ast.Constant):
        value = int(tree.value)
    elif isinstance(tree, ast.UnaryOp):
        value = -evaluate(tree.operand, names)
    else:
        assert isinstance(tree, ast.BinOp)
        left, right = evaluate(tree.left, names), evaluate(tree.right, names)
        if isinstance(tree.op, ast.FloorDiv) and right == 0:
            raise ValueError("division by zero")
        value = _OPERATORS[type(tree.op)](left, right)
    if abs(value) > _LARGEST:
        raise ValueError("out of range")
    return value
