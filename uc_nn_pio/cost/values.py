"""Values that are followed through a piece of generated C, and what its syntax tree says of them."""

from __future__ import annotations

from typing import NamedTuple

from pycparser import c_ast

CONSTANTS = {"INT32_MIN": -(2**31), "INT32_MAX": 2**31 - 1, "INT8_MIN": -128, "INT8_MAX": 127}
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
_WIDTHS = {"int8_t": "1", "uint8_t": "1", "uint16_t": "1", "float": "f"}


class Value(NamedTuple):
    """``kind``: i (32 bits), l (64), f (float), p1, p4, pf (pointer to bytes, words, floats). ``number`` where it is
    known. ``loops`` in which it changes: none where it was known before they began. ``literal``: the compiler knows it;
    ``data``: it came from memory."""

    kind: str = "i"
    number: int | None = None
    loops: frozenset[int] = frozenset()
    literal: bool = False
    data: bool = False


def computed(op: str, left: Value, right: Value) -> Value:
    kinds = (left.kind, right.kind)
    kind = next((k for k in ("pf", "p4", "p1") if k in kinds), "f" if "f" in kinds else "l" if "l" in kinds else "i")
    if op in COMPARISONS:
        kind = "i"
    number = None
    if left.number is not None and right.number is not None:
        number = _number(op, left.number, right.number)
    loops = frozenset() if number is not None else left.loops | right.loops
    return Value(kind, number, loops, left.literal and right.literal, left.data or right.data)


def _number(op: str, a: int, b: int) -> int | None:
    match op:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "/":
            return int(a / b) if b else None
        case "%":
            return a - b * int(a / b) if b else None
        case "<<":
            return a << b if 0 <= b < 64 else None
        case ">>":
            return a >> b if 0 <= b < 64 else None
        case "&":
            return a & b
        case "|":
            return a | b
        case "^":
            return a ^ b
        case "<":
            return int(a < b)
        case "<=":
            return int(a <= b)
        case ">":
            return int(a > b)
        case ">=":
            return int(a >= b)
        case "==":
            return int(a == b)
        case "!=":
            return int(a != b)
    return None


def constant(node: c_ast.Constant) -> Value:
    if node.type in ("float", "double"):
        return Value("f", literal=True)
    return Value("i", int(node.value.rstrip("uUlL"), 0), literal=True)


def type_name(node: c_ast.Node) -> str:
    while not isinstance(node, c_ast.IdentifierType):
        if isinstance(node, c_ast.Union | c_ast.Struct):
            return "union"
        node = node.type
    return node.names[-1]


def kind_of(node: c_ast.Node) -> str:
    name = type_name(node)
    if isinstance(node, c_ast.PtrDecl | c_ast.ArrayDecl):
        return pointer_to(name)
    return "f" if name == "float" else "l" if name in ("int64_t", "uint64_t") else "i"


def pointer_to(ctype: str) -> str:
    return f"p{_WIDTHS.get(ctype, '4')}"


def declared(kind: str, value: Value) -> Value:
    """A value in a variable of this kind."""
    return value._replace(kind=kind, literal=False)


def parameters(node: c_ast.FuncDef) -> list[c_ast.Decl]:
    return node.decl.type.args.params


def counter_of(cond: c_ast.Node | None) -> str | None:
    return cond.left.name if isinstance(cond, c_ast.BinaryOp) and isinstance(cond.left, c_ast.ID) else None


def step_of(step: c_ast.Node, counter: str) -> int | None:
    if isinstance(step, c_ast.UnaryOp) and step.op in ("p++", "++"):
        return 1
    if isinstance(step, c_ast.Assignment) and step.op == "+=" and isinstance(step.rvalue, c_ast.Constant):
        return int(step.rvalue.value, 0)
    return None


class _Assigned(c_ast.NodeVisitor):
    def __init__(self) -> None:
        self.names: set[str] = set()

    def visit_Assignment(self, node: c_ast.Assignment) -> None:  # noqa: N802
        if isinstance(node.lvalue, c_ast.ID):
            self.names.add(node.lvalue.name)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: c_ast.UnaryOp) -> None:  # noqa: N802
        if node.op in ("p++", "++", "p--", "--") and isinstance(node.expr, c_ast.ID):
            self.names.add(node.expr.name)
        self.generic_visit(node)


def assigned(node: c_ast.Node) -> set[str]:
    visitor = _Assigned()
    visitor.visit(node)
    return visitor.names
