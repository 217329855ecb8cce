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
from dataclasses import dataclass, field

from pycparser import c_ast, c_parser

from uc_nn_pio.cost.values import (
    COMPARISONS,
    CONSTANTS,
    Value,
    assigned,
    computed,
    constant,
    counter_of,
    declared,
    kind_of,
    parameters,
    pointer_to,
    step_of,
    type_name,
)

DATA_TURNS = 8
"""Turns of a ``while`` that data end: the only one looks for a logarithm's power of two."""

_TYPES = "".join(
    f"typedef {c} {name};\n"
    for name, c in {
        "int8_t": "signed char",
        "uint8_t": "unsigned char",
        "int16_t": "short",
        "uint16_t": "unsigned short",
        "int32_t": "int",
        "uint32_t": "unsigned",
        "int64_t": "long long",
        "uint64_t": "unsigned long long",
        "size_t": "unsigned",
    }.items()
)


_NARROW = ("int8_t", "uint8_t", "int16_t")


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
        self.function_at: dict[int, str] = {}
        for name, function in self.functions.items():
            self._place(function, name)
        self._assigned: dict[int, set[str]] = {}
        self.globals = {name: Value(pointer_to(ctype), 0) for name, ctype in tables.items()}

    def _place(self, node: c_ast.Node, function: str) -> None:
        self.function_at[id(node)] = function
        for _, child in node.children():
            self._place(child, function)

    def assigned(self, node: c_ast.Node) -> set[str]:
        """Variables that are assigned to in there."""
        if id(node) not in self._assigned:  # the tree lives as long as this object
            self._assigned[id(node)] = assigned(node)
        return self._assigned[id(node)]

    def tally(self, function: str, known: Mapping[str, int]) -> Tally:
        """A call of ``function``; ``known`` are its arguments besides pointers."""
        walk = _Walk(self)
        node = self.functions[function]
        # a pointer is as good as an index: what matters is how far it is from where it began
        walk.call(node, [Value(kind_of(p.type), known.get(p.name, 0)) for p in parameters(node)])
        return walk.tally


def executed(tally: Tally) -> Counter[str]:
    """How often each kind of operation happens."""
    found: Counter[str] = Counter()
    for (_, kind), count in tally.items():
        found[kind] += count
    return found


def written(tally: Tally, source: Source) -> dict[str, Counter[str]]:
    """How often each kind of operation is written down in what is ever reached, by function."""
    found: dict[str, Counter[str]] = {}
    for place, kind in tally:
        found.setdefault(source.function_at[place], Counter())[kind] += 1
    return found


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
        for parameter, value in zip(parameters(node), arguments, strict=True):
            self.names[parameter.name] = declared(kind_of(parameter.type), value)
        try:
            self.run(node.body)
        except _LeaveError as leave:
            if leave.value is not None:
                return declared(kind_of(node.decl.type.type), leave.value)
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
                self.names[node.name] = declared(kind_of(node.type), value)
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
            changed = {n: v._replace(number=None) for n, v in self.names.items() if v != names.get(n)}
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
        counter = counter_of(cond)
        turns = self.turns(counter, cond, step)
        if turns == 1 and counter:  # no loop to a compiler
            self.turn(None, body)
            return
        self.count(node, "enter")
        if turns == 0:
            return
        self.loops += 1
        own = self.loops
        names, depth = dict(self.names), len(self.frames)
        changed = self.source.assigned(body) | ({counter} if counter else set())
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
            name: v._replace(loops=v.loops - {own}) if own in v.loops else v for name, v in self.names.items()
        }

    def change(self, names: set[str], loop: int, known: bool) -> None:
        """What a loop assigns changes in it; how, is ``known`` while it is walked through turn by turn."""
        for name in names:
            old = self.names.get(name)
            if old is not None:
                number = old.number if known else None
                self.names[name] = old._replace(number=number, loops=old.loops | {loop}, literal=False)

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
        start, by = self.names[counter].number, step_of(step, counter)
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
        if isinstance(node, c_ast.BinaryOp) and node.op in COMPARISONS:
            left, right = self.value(node.left), self.value(node.right)
            if "f" in (left.kind, right.kind):
                self.count(node, "fcompare")
            result = computed(node.op, left, right)
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
                return constant(node)
            case c_ast.ID():
                if node.name in CONSTANTS:
                    return Value("i", CONSTANTS[node.name], literal=True)
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
                if node.name.name.endswith("_TABLE"):  # a pointer, as it is
                    return arguments[0]
                self.count(node, "call")
                return self.call(self.source.functions[node.name.name], arguments)
            case c_ast.ExprList():
                return [self.value(item) for item in node.exprs][-1]
            case _:
                raise NotImplementedError(type(node).__name__)

    def binary(self, node: c_ast.Node, op: str, sides: tuple[c_ast.Node, c_ast.Node]) -> Value:
        """``node`` is where the operation stands: an expression, or an assignment such as ``a += b``."""
        left, right = (self.value(side) for side in sides)
        result = computed(op, left, right)
        if left.literal and right.literal:
            return result
        if "f" in (left.kind, right.kind):
            self.count(node, {"+": "fadd", "-": "fadd", "*": "fmul", "/": "fdivide"}.get(op, "fcompare"))
        elif "l" in (left.kind, right.kind):
            shift = "wide" if right.literal else "wide_shift"
            kinds = {"*": "wide_multiply", "/": "wide_divide", "<<": shift, ">>": shift}
            self.count(node, kinds.get(op, "wide"))
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
            after = before._replace(number=None if before.number is None else before.number + by, literal=False)
            self.count(node, "bump")
            self.store(node.expr, after)
            return before if node.op.startswith("p") else after
        operand = self.value(node.expr)
        if not operand.literal:
            self.count(node, "alu" if operand.data else "index")
        if operand.number is None:
            return operand
        number = {"-": -operand.number, "!": int(not operand.number), "~": ~operand.number}.get(node.op, operand.number)
        return operand._replace(number=number)

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
            self.names[target.name] = declared(old.kind, value) if old is not None else value
        elif not isinstance(target, c_ast.StructRef):
            base = self.address(target)
            self.count(target, "store1" if base.kind == "p1" else "store4")

    def address(self, node: c_ast.Node) -> Value:
        """The pointer of ``p[i]`` or ``*p``; counted is what finding the place takes."""
        if isinstance(node, c_ast.ArrayRef):
            base, at = self.value(node.name), self.value(node.subscript)
            if not at.literal:
                self.count(node, "index", of=base._replace(loops=base.loops | at.loops))
            if at.data:
                self.count(node, "look_up")
            return base
        return self.value(node.expr)

    def load(self, node: c_ast.Node, base: Value) -> Value:
        self.count(node, "load1" if base.kind == "p1" else "load4")
        return Value("f" if base.kind == "pf" else "i", data=True)

    def cast(self, node: c_ast.Cast) -> Value:
        operand, kind = self.value(node.expr), kind_of(node.to_type.type)
        if isinstance(node.to_type.type, c_ast.PtrDecl):
            return operand._replace(kind=kind)
        if (kind == "f") != (operand.kind == "f") and not operand.literal:
            self.count(node, "fconvert")
        elif type_name(node.to_type.type) in _NARROW and not isinstance(node.expr, c_ast.ArrayRef):
            self.count(node, "narrow")
        return operand._replace(kind=kind)

    def select(self, node: c_ast.TernaryOp) -> Value:
        try:
            truth = self.decide(node.cond)
        except _NeedsTurnsError:
            truth = None
        if truth is not None:
            return self.value(node.iftrue if truth else node.iffalse)
        with self.halved():
            sides = [self.value(side) for side in (node.iftrue, node.iffalse)]
        condition = self.quiet(node.cond)
        kinds = {side.kind for side in sides}
        kind = next(kind for kind in ("f", "l", *sorted(kinds)) if kind in kinds)
        self.count(node, "wide_select" if kind == "l" else "select")
        loops = sides[0].loops | sides[1].loops | condition.loops
        return Value(kind, None, loops, data=sides[0].data or sides[1].data or condition.data)
