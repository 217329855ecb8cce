"""How often each operation of a piece of generated C happens, found by walking through it.

Nothing is compiled or run. Loop counters and what follows from them are known numbers; what comes from memory is not.
A loop whose body goes the same way whatever its counter is walked through once and counted as often as it runs; only
where a decision (a bound, an ``if``) depends on the counter is it walked through turn by turn. Where a decision depends
on data, half of each side is counted; a side that leaves the function is taken to be the exception.

It knows the C that the kernels' templates write, no more: integers, floats, pointers into arrays, ``for``, ``while``,
``if``, ``?:``, calls of the file's own functions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from pycparser import c_ast, c_parser

DATA_TURNS = 8
"""Turns of a ``while`` that data end: the only one looks for a logarithm's power of two."""

_TYPES = "".join(
    f"typedef {c} {name};\n"
    for name, c in {
        "int8_t": "signed char",
        "uint8_t": "unsigned char",
        "uint16_t": "unsigned short",
        "int32_t": "int",
        "uint32_t": "unsigned",
        "int64_t": "long long",
        "uint64_t": "unsigned long long",
        "size_t": "unsigned",
    }.items()
)
_CONSTANTS = {"INT32_MIN": -(2**31), "INT32_MAX": 2**31 - 1, "INT8_MIN": -128, "INT8_MAX": 127}
_WIDTHS = {"int8_t": "1", "uint8_t": "1", "uint16_t": "1", "float": "f"}


@dataclass(frozen=True)
class Value:
    """``kind``: i (32 bits), l (64), f (float), p1, p4, pf (pointer to bytes, words, floats). ``number`` where it is
    known. ``loops`` in which it changes: none where it was known before they began. ``literal``: the compiler knows it;
    ``data``: it came from memory."""

    kind: str = "i"
    number: int | None = None
    loops: frozenset[int] = frozenset()
    literal: bool = False
    data: bool = False


class _NeedsTurnsError(Exception):
    """A decision depends on the counters of these loops."""

    def __init__(self, loops: frozenset[int]) -> None:
        self.loops = loops


class _LeaveError(Exception):
    """``continue``, ``break`` or ``return``."""

    def __init__(self, how: str, value: Value | None = None) -> None:
        self.how, self.value = how, value


Tally = Counter[tuple[int, str]]
"""By place in the C and kind of operation."""


class Source:
    """A parsed piece of C. ``tables`` are arrays declared elsewhere: name and C type of an element."""

    def __init__(self, text: str, tables: Mapping[str, str]) -> None:
        plain = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
        parsed = c_parser.CParser().parse(_TYPES + plain)
        self.functions = {node.decl.name: node for node in parsed.ext if isinstance(node, c_ast.FuncDef)}
        self.globals = {name: Value(_pointer_to(ctype), 0) for name, ctype in tables.items()}

    def tally(self, function: str, known: Mapping[str, int]) -> Tally:
        """A call of ``function``; ``known`` are its arguments besides pointers."""
        walk = _Walk(self)
        node = self.functions[function]
        # a pointer is as good as an index: what matters is how far it is from where it began
        walk.call(node, [Value(_kind_of(p.type), known.get(p.name, 0)) for p in _parameters(node)])
        return walk.tally


def executed(tally: Tally) -> Counter[str]:
    """How often each kind of operation happens."""
    found: Counter[str] = Counter()
    for (_, kind), count in tally.items():
        found[kind] += count
    return found


def written(tally: Tally) -> Counter[str]:
    """How often each kind of operation is written down, in what is ever reached."""
    return Counter(kind for _, kind in tally)


@dataclass
class _Frame:
    """What is counted in one turn of a loop, or outside of all. ``made`` are operations that were moved to here from
    loops inside."""

    loop: int
    tally: Tally = field(default_factory=Counter)
    made: set[tuple[int, int, str]] = field(default_factory=set)


class _Walk:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.names: dict[str, Value] = {}
        self.loops = self.calls = 0
        self.frames = [_Frame(0)]
        self.unknown: set[int] = set()  # loops that are walked through once
        self.first = 0  # frame of the function that is walked through

    @property
    def tally(self) -> Tally:
        return self.frames[-1].tally

    @tally.setter
    def tally(self, tally: Tally) -> None:
        self.frames[-1].tally = tally

    def count(self, node: c_ast.Node, kind: str, times: float = 1, of: Value | None = None) -> None:
        """Counts an operation; one that makes ``of``, as compilers do: in front of the loops of this function in which
        that stays the same."""
        at = len(self.frames) - 1
        if of is not None:
            while at > self.first and self.frames[at].loop not in of.loops:
                at -= 1
        key, frame = (id(node), kind), self.frames[at]
        if at < len(self.frames) - 1:
            if (self.calls, *key) in frame.made:
                return
            frame.made.add((self.calls, *key))
        frame.tally[key] += times

    # -- statements ------------------------------------------------------------------------------------------------

    def call(self, node: c_ast.FuncDef, arguments: Sequence[Value]) -> Value:
        outer, self.names = self.names, dict(self.source.globals)
        first, self.first = self.first, len(self.frames) - 1
        self.calls += 1
        for parameter, value in zip(_parameters(node), arguments, strict=True):
            self.names[parameter.name] = _declared(_kind_of(parameter.type), value)
        try:
            self.run(node.body)
        except _LeaveError as leave:
            if leave.value is not None:
                return _declared(_kind_of(node.decl.type.type), leave.value)
        finally:
            self.names, self.first = outer, first
        return Value(data=True)

    def run(self, node: c_ast.Node | None) -> None:
        match node:
            case None | c_ast.EmptyStatement():
                pass
            case c_ast.Compound():
                for item in node.block_items or ():
                    self.run(item)
            case c_ast.DeclList():
                for item in node.decls:
                    self.run(item)
            case c_ast.Decl():
                value = self.value(node.init) if node.init is not None else Value(data=True)
                if isinstance(node.init, c_ast.ID) and not isinstance(node.type, c_ast.PtrDecl) and value.data:
                    self.count(node, "move")
                self.names[node.name] = _declared(_kind_of(node.type), value)
            case c_ast.For():
                self.run(node.init)
                self.loop(node, node.cond, node.next, node.stmt)
            case c_ast.While():
                self.loop(node, node.cond, None, node.stmt)
            case c_ast.DoWhile():
                self.count(node, "turn")
                self.run(node.stmt)
                self.loop(node, node.cond, None, node.stmt)
            case c_ast.If():
                self.choice(node)
            case c_ast.Return():
                raise _LeaveError("return", self.value(node.expr) if node.expr is not None else None)
            case c_ast.Continue():
                raise _LeaveError("continue")
            case c_ast.Break():
                raise _LeaveError("break")
            case _:
                self.value(node)

    def choice(self, node: c_ast.If) -> None:
        truth = self.decide(node.cond)
        if truth is not None:
            self.run(node.iftrue if truth else node.iffalse)
            return
        names = self.names
        for side in (node.iftrue, node.iffalse):
            self.names = dict(names)
            try:
                with self.halved():
                    self.run(side)
            except _LeaveError:
                self.names = names
                continue
            changed = {n: replace(v, number=None) for n, v in self.names.items() if v != names.get(n)}
            names = {**names, **changed}
        self.names = names

    @contextmanager
    def halved(self) -> Iterator[None]:
        """What is counted in here happens every second time; nothing of it is counted where it is left."""
        before, self.tally = self.tally, Counter()
        frame = self.frames[-1]
        try:
            yield
            for key, times in frame.tally.items():
                before[key] += times / 2
        finally:
            frame.tally = before

    def loop(self, node: c_ast.Node, cond: c_ast.Node, step: c_ast.Node | None, body: c_ast.Node) -> None:
        self.count(node, "enter")
        counter = _counter_of(cond)
        turns = self.turns(counter, cond, step)
        if turns == 0:
            return
        self.loops += 1
        own = self.loops
        names, depth = dict(self.names), len(self.frames)
        changed = _assigned(body) | ({counter} if counter else set())
        if turns is not None:
            self.change(changed, own, known=False)
            self.frames.append(_Frame(own))
            self.unknown.add(own)
            try:
                self.turn(step, body)
            except _NeedsTurnsError as needs:
                del self.frames[depth:]
                if own not in needs.loops:
                    raise
                self.names, turns = names, None
            else:
                self.leave(turns)
                self.count(node, "turn", turns)
            finally:
                self.unknown.discard(own)
        if turns is None:
            self.frames.append(_Frame(own))
            try:
                self.turn_by_turn(node, cond, step, body, own, changed)
            finally:
                if len(self.frames) > depth:
                    del self.frames[depth + 1 :]
                    self.leave(1)
        self.names = {
            name: replace(v, loops=v.loops - {own}) if own in v.loops else v for name, v in self.names.items()
        }

    def change(self, names: set[str], loop: int, known: bool) -> None:
        """What a loop assigns changes in it; how, is ``known`` while it is walked through turn by turn."""
        for name in names:
            old = self.names.get(name)
            if old is not None:
                number = old.number if known else None
                self.names[name] = replace(old, number=number, loops=old.loops | {loop}, literal=False)

    def leave(self, turns: float) -> None:
        """The innermost frame's counts, so many times, become those of the one outside of it."""
        for key, times in self.frames.pop().tally.items():
            self.tally[key] += times * turns

    def turn(self, step: c_ast.Node | None, body: c_ast.Node) -> None:
        try:
            self.run(body)
        except _LeaveError as leave:
            if leave.how != "continue":
                raise
        if step is not None:
            self.value(step)

    def turns(self, counter: str | None, cond: c_ast.Node, step: c_ast.Node | None) -> int | None:
        """How often a loop turns, where its counter alone says so."""
        if counter is None or step is None or self.names.get(counter, Value()).number is None:
            return None
        bound = self.quiet(cond.right)
        if bound.number is None:
            if bound.loops & self.unknown and not bound.data:
                raise _NeedsTurnsError(bound.loops)
            return None
        start, by = self.names[counter].number, _step_of(step, counter)
        if by is None or cond.op not in ("<", "<="):
            return None
        return max(0, -(-(bound.number + (cond.op == "<=") - start) // by))

    def quiet(self, node: c_ast.Node) -> Value:
        """A value, without counting what it takes."""
        before, self.tally = self.tally, Counter()
        value = self.value(node)
        self.tally = before
        return value

    def turn_by_turn(
        self,
        node: c_ast.Node,
        cond: c_ast.Node | None,
        step: c_ast.Node | None,
        body: c_ast.Node,
        own: int,
        changed: set[str],
    ) -> None:
        turn = 0
        while True:
            self.change(changed, own, known=True)
            self.frames[-1].made.clear()
            truth = self.decide(cond, branch=False) if cond is not None else None
            if truth is False or (truth is None and turn == DATA_TURNS):
                return
            self.count(node, "turn")
            turn += 1
            try:
                self.turn(step, body)
            except _LeaveError as leave:
                if leave.how == "break":
                    return
                raise

    def decide(self, node: c_ast.Node, branch: bool = True) -> bool | None:
        """Whether a condition holds; None where data say so. What it takes is counted."""
        if isinstance(node, c_ast.BinaryOp) and node.op in ("&&", "||"):
            left = self.decide(node.left, branch)
            if left is not None and left == (node.op == "||"):
                return left
            right = self.decide(node.right, branch)
            return right if left is not None else None
        if isinstance(node, c_ast.BinaryOp) and node.op in _COMPARISONS:
            left, right = self.value(node.left), self.value(node.right)
            if "f" in (left.kind, right.kind):
                self.count(node, "fcompare")
            result = _computed(node.op, left, right)
        else:
            result = self.value(node)
        if branch and not result.literal:
            self.count(node, "branch")
        if result.number is not None:
            return bool(result.number)
        if result.loops & self.unknown and not result.data:
            raise _NeedsTurnsError(result.loops)
        return None

    # -- expressions -----------------------------------------------------------------------------------------------

    def value(self, node: c_ast.Node) -> Value:
        match node:
            case c_ast.Constant():
                return _constant(node)
            case c_ast.ID():
                if node.name in _CONSTANTS:
                    return Value("i", _CONSTANTS[node.name], literal=True)
                return self.names[node.name]
            case c_ast.BinaryOp():
                return self.binary(node, node.op, (node.left, node.right))
            case c_ast.UnaryOp():
                return self.unary(node)
            case c_ast.Assignment():
                return self.assign(node)
            case c_ast.ArrayRef():
                return self.load(node, self.address(node))
            case c_ast.StructRef():
                return Value("f" if node.field.name == "value" else "i", data=True)
            case c_ast.Cast():
                return self.cast(node)
            case c_ast.TernaryOp():
                return self.select(node)
            case c_ast.FuncCall():
                if node.name.name.endswith("_F"):  # the macro of a float constant
                    self.count(node, "fconstant")
                    return Value("f", literal=True)
                arguments = [self.value(argument) for argument in node.args.exprs]
                self.count(node, "call")
                return self.call(self.source.functions[node.name.name], arguments)
            case c_ast.ExprList():
                return [self.value(item) for item in node.exprs][-1]
            case _:
                raise NotImplementedError(type(node).__name__)

    def binary(self, node: c_ast.Node, op: str, sides: tuple[c_ast.Node, c_ast.Node]) -> Value:
        """``node`` is where the operation stands: an expression, or an assignment such as ``a += b``."""
        left, right = (self.value(side) for side in sides)
        result = _computed(op, left, right)
        if left.literal and right.literal:
            return result
        if "f" in (left.kind, right.kind):
            self.count(node, {"+": "fadd", "-": "fadd", "*": "fmul", "/": "fdivide"}.get(op, "fcompare"))
        elif "l" in (left.kind, right.kind):
            self.count(node, {"*": "wide_multiply", "/": "wide_divide"}.get(op, "wide"))
        elif left.data or right.data:
            constant = left.literal or right.literal
            self.count(node, {"*": "scale" if constant else "multiply", "/": "divide", "%": "divide"}.get(op, "alu"))
        elif op in ("+", "-") and (left.literal or right.literal):
            self.count(node, "offset", of=result)
        else:
            self.count(node, "divide" if op in "/%" and not right.literal else "index", of=result)
        return result

    def unary(self, node: c_ast.UnaryOp) -> Value:
        if node.op == "*":
            return self.load(node, self.address(node))
        if node.op in ("p++", "++", "p--", "--"):
            before = self.value(node.expr)
            by = 1 if "+" in node.op else -1
            after = replace(before, number=None if before.number is None else before.number + by, literal=False)
            self.count(node, "bump")
            self.store(node.expr, after)
            return before if node.op.startswith("p") else after
        operand = self.value(node.expr)
        if not operand.literal:
            self.count(node, "alu" if operand.data else "index")
        if operand.number is None:
            return operand
        number = {"-": -operand.number, "!": int(not operand.number), "~": ~operand.number}.get(node.op, operand.number)
        return replace(operand, number=number)

    def assign(self, node: c_ast.Assignment) -> Value:
        if node.op == "=":
            value = self.value(node.rvalue)
            if isinstance(node.rvalue, c_ast.ID) and isinstance(node.lvalue, c_ast.ID) and value.data:
                self.count(node, "move")
        else:
            value = self.binary(node, node.op[:-1], (node.lvalue, node.rvalue))
        self.store(node.lvalue, value)
        return value

    def store(self, target: c_ast.Node, value: Value) -> None:
        if isinstance(target, c_ast.ID):
            old = self.names.get(target.name)
            self.names[target.name] = _declared(old.kind, value) if old is not None else value
        elif not isinstance(target, c_ast.StructRef):
            base = self.address(target)
            self.count(target, "store1" if base.kind == "p1" else "store4")

    def address(self, node: c_ast.Node) -> Value:
        """The pointer of ``p[i]`` or ``*p``; counted is what finding the place takes."""
        if isinstance(node, c_ast.ArrayRef):
            base, at = self.value(node.name), self.value(node.subscript)
            if not at.literal:
                self.count(node, "index", of=replace(base, loops=base.loops | at.loops))
            if at.data:
                self.count(node, "look_up")
            return base
        return self.value(node.expr)

    def load(self, node: c_ast.Node, base: Value) -> Value:
        self.count(node, "load1" if base.kind == "p1" else "load4")
        return Value("f" if base.kind == "pf" else "i", data=True)

    def cast(self, node: c_ast.Cast) -> Value:
        operand, kind = self.value(node.expr), _kind_of(node.to_type.type)
        if isinstance(node.to_type.type, c_ast.PtrDecl):
            return replace(operand, kind=kind)
        if (kind == "f") != (operand.kind == "f") and not operand.literal:
            self.count(node, "fconvert")
        elif _type_name(node.to_type.type) in ("int8_t", "uint8_t") and not isinstance(node.expr, c_ast.ArrayRef):
            self.count(node, "narrow")
        return replace(operand, kind=kind)

    def select(self, node: c_ast.TernaryOp) -> Value:
        try:
            truth = self.decide(node.cond)
        except _NeedsTurnsError:
            truth = None
        if truth is not None:
            return self.value(node.iftrue if truth else node.iffalse)
        self.count(node, "select")
        with self.halved():
            sides = [self.value(side) for side in (node.iftrue, node.iffalse)]
        condition = self.quiet(node.cond)
        kinds = {side.kind for side in sides}
        kind = next(kind for kind in ("f", "l", *sorted(kinds)) if kind in kinds)
        loops = sides[0].loops | sides[1].loops | condition.loops
        return Value(kind, None, loops, data=sides[0].data or sides[1].data or condition.data)


# -- what C says -----------------------------------------------------------------------------------------------------

_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


def _computed(op: str, left: Value, right: Value) -> Value:
    kinds = (left.kind, right.kind)
    kind = next((k for k in ("pf", "p4", "p1") if k in kinds), "f" if "f" in kinds else "l" if "l" in kinds else "i")
    if op in _COMPARISONS:
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


def _constant(node: c_ast.Constant) -> Value:
    if node.type in ("float", "double"):
        return Value("f", literal=True)
    return Value("i", int(node.value.rstrip("uUlL"), 0), literal=True)


def _type_name(node: c_ast.Node) -> str:
    while not isinstance(node, c_ast.IdentifierType):
        if isinstance(node, c_ast.Union | c_ast.Struct):
            return "union"
        node = node.type
    return node.names[-1]


def _kind_of(node: c_ast.Node) -> str:
    name = _type_name(node)
    if isinstance(node, c_ast.PtrDecl | c_ast.ArrayDecl):
        return _pointer_to(name)
    return "f" if name == "float" else "l" if name in ("int64_t", "uint64_t") else "i"


def _pointer_to(ctype: str) -> str:
    return f"p{_WIDTHS.get(ctype, '4')}"


def _declared(kind: str, value: Value) -> Value:
    """A value in a variable of this kind."""
    return replace(value, kind=kind, literal=False)


def _parameters(node: c_ast.FuncDef) -> list[c_ast.Decl]:
    return node.decl.type.args.params


def _counter_of(cond: c_ast.Node | None) -> str | None:
    return cond.left.name if isinstance(cond, c_ast.BinaryOp) and isinstance(cond.left, c_ast.ID) else None


def _step_of(step: c_ast.Node, counter: str) -> int | None:
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


def _assigned(node: c_ast.Node) -> set[str]:
    visitor = _Assigned()
    visitor.visit(node)
    return visitor.names
