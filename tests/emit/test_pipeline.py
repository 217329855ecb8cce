"""The order of a loop's statements: the same sums as before, nothing read before it is made, little time lost."""

from __future__ import annotations

import random

import pytest

from uc_nn_pio.emit.kernels.pipeline import LOOP_OVERHEAD, Loop, Statement, pipelined, straight

MUL = 5
MASK = 0xFFFFFFFF


def products(sums: int, taps: int) -> list[Statement]:
    """``taps`` products for each of ``sums`` sums; pairs are added up in front. Loads are shared by the sums."""
    statements: list[Statement] = []
    made: set[str] = set()
    for first in range(0, taps, 2):
        for s in range(sums):
            names = []
            for t in range(first, min(first + 2, taps)):
                for name in (f"w{t}", f"x{t}"):
                    if name not in made:
                        made.add(name)
                        statements.append(Statement(name, f"{name[0]}[{t}]", (), "feed", 3))
                statements.append(Statement(f"m{s}_{t}", f"w{t} * x{t}", (f"w{t}", f"x{t}"), "mul", MUL))
                names.append(f"m{s}_{t}")
            total = names[0]
            if len(names) == 2:
                total = f"p{s}_{first}"
                statements.append(Statement(total, " + ".join(names), tuple(names)))
            statements.append(Statement(f"s{s}", total, (total,), adds=True))
            statements.append(Statement(f"u{s}_{first}", f"({total} + 32768) >> 16", (total,)))
            statements.append(Statement(f"c{s}", f"u{s}_{first}", (f"u{s}_{first}",), adds=True))
    return statements


def execute(loop: Loop, sums: int, passes: list[tuple[list[int], list[int]]]) -> dict[str, int]:
    """The loop as C would run it, over passes of (weights, values). A name that nothing has written yet is missing."""
    values = dict.fromkeys((f"{k}{s}" for k in "sc" for s in range(sums)), 0)
    values |= {name: 0 for names in loop.variables.values() for name in names}

    def run(statement: Statement, w: list[int], x: list[int]) -> None:
        result = eval(statement.value, {}, {**values, "w": w, "x": x})
        values[statement.target] = (values[statement.target] + result if statement.adds else result) & MASK

    for w, x in passes:
        for line in loop.lines:
            for statement in line:
                run(statement, w, x)
        for name in [name for names in loop.locals.values() for name in names]:
            values.pop(name, None)  # a pass begins without the last one's locals
    for statement in loop.carried:
        run(statement, [], [])
    return {name: values[name] for name in values if name[0] in "sc" and name[1:].isdigit()}


@pytest.mark.parametrize("taps", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("sums", [1, 2, 4])
@pytest.mark.parametrize("kind", ["pipelined", "straight"])
def test_every_product_is_added_once_whatever_is_carried(kind: str, sums: int, taps: int) -> None:
    rng = random.Random(taps * 10 + sums)
    statements = products(sums, taps)
    loop = (pipelined if kind == "pipelined" else straight)(statements, MUL)
    passes = [
        ([rng.randrange(1000) for _ in range(taps)], [rng.randrange(1000) for _ in range(taps)]) for _ in range(4)
    ]
    found = execute(loop, sums, passes)
    for s in range(sums):
        assert found[f"s{s}"] == sum(a * b for w, x in passes for a, b in zip(w, x, strict=True)) & MASK
        uppers = [
            (sum(a * b for a, b in list(zip(w, x, strict=True))[t : t + 2]) + 32768) >> 16
            for w, x in passes
            for t in range(0, taps, 2)
        ]
        assert found[f"c{s}"] == sum(uppers) & MASK
    if kind == "straight":
        assert not loop.carried and not loop.variables
    count = sum(len(line) for line in loop.lines)
    assert count == len(statements), "each statement stands in a pass once"


def cycles_of_a_pass(loop: Loop) -> int:
    """What an in-order core takes for one more pass: one instruction a cycle, results after their latency, one
    multiplication at a time."""
    ready: dict[str, int] = {}
    time, unit, ends = 0, 0, []
    for _ in range(4):
        for statement in (statement for line in loop.lines for statement in line):
            start = max([time, *(ready.get(name, 0) for name in named(statement))])
            if statement.kind == "mul":
                start = max(start, unit)
                unit = start + MUL
            ready[statement.target] = start + statement.latency
            time = start + statement.issue
        time += LOOP_OVERHEAD
        ends.append(time)
    return ends[-1] - ends[-2]


def named(statement: Statement) -> list[str]:
    words = statement.value.replace("(", " ").replace(")", " ").split()
    return [word for word in words if word[0].isalpha() and "[" not in word]


@pytest.mark.parametrize(("sums", "taps"), [(4, 5), (4, 10), (2, 10)])
def test_a_pass_takes_little_more_than_its_multiplications(sums: int, taps: int) -> None:
    loop = pipelined(products(sums, taps), MUL)
    assert cycles_of_a_pass(loop) <= 1.06 * MUL * sums * taps
    assert cycles_of_a_pass(straight(products(sums, taps), MUL)) >= cycles_of_a_pass(loop)


def test_text_fits_its_columns_and_begins_lines_with_multiplications() -> None:
    loop = pipelined(products(4, 10), MUL)
    text = loop.text(80)
    assert max(map(len, text)) <= 80
    begins = [line for line in text[1:] if not line.startswith("    ")]
    assert len([line for line in begins if " * " in line.split(";")[0]]) >= 39
