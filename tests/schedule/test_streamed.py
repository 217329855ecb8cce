"""The streamed schedule: which rows a window holds, where buffers lie, what a budget changes."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from uc_nn_pio.bench.networks import NETWORKS
from uc_nn_pio.boards import load_board
from uc_nn_pio.converter import convert
from uc_nn_pio.errors import PlanError
from uc_nn_pio.schedule import Plan, Problem, RowNeed, Step, Streamed, check, make_plan, streamable
from uc_nn_pio.spec import MemorySpec


def _needed(need: RowNeed, p: int) -> set[int]:
    """Rows that output row p reads, one by one: those of its span that lie on the map."""
    first = p * need.step + need.top
    return {row for row in range(first, first + need.span) if 0 <= row <= need.last}


def _random_need(rng: random.Random) -> RowNeed:
    size, span, step = rng.randint(1, 14), rng.randint(1, 7), rng.randint(1, 5)
    top = -rng.randint(0, span - 1) if rng.random() < 0.5 else 0
    out = rng.randint(1, max(1, (size - top - 1) // step + 1))
    last = min(size - 1, (out - 1) * step + top + span - 1)
    return RowNeed(size, out, step, top, span, last)


@pytest.mark.parametrize("seed", range(200))
def test_a_window_holds_exactly_what_is_still_needed(seed: int) -> None:
    """Rows come one by one into a list that forgets as the window does."""
    need = _random_need(random.Random(seed))
    held: list[int] = []
    made = most = 0
    for row in range(need.size):
        wanted = row >= need.first_of(made)
        held = [*held, row] if wanted else held  # a row in front of all that are needed is put down and written over
        most = max(most, len(held), 1)
        while made < need.out and need.last_of(made) <= row:
            assert _needed(need, made) <= set(held) and held == sorted(held)
            assert not held or held[0] == need.first_of(made)
            made += 1
            held = [r for r in held if r >= need.first_of(made)]
    assert made == need.out, "an output row was never made"
    assert need.rows == most


def chain(rows: list[RowNeed], bytes_a_row: list[int], tail: list[int]) -> Problem:
    """Streamable steps s0, s1, ... and then steps of vectors."""
    names = [f"b{i}" for i in range(len(rows) + len(tail) + 1)]
    sizes = [need.size * size for need, size in zip(rows, bytes_a_row, strict=False)]
    sizes += [rows[-1].out * bytes_a_row[-1], *tail]
    steps = [
        Step(f"s{i}", (a,), (b,), 16, rows=rows[i] if i < len(rows) else None, row_bytes=bytes_a_row[min(i, len(rows))])
        for i, (a, b) in enumerate(itertools.pairwise(names))
    ]
    return Problem(tuple(steps), dict(zip(names, sizes, strict=True)), (names[0],), (names[-1],))


LENET5 = chain(
    [RowNeed(32, 14, 2, 0, 6, 31), RowNeed(14, 5, 2, 0, 6, 13)],
    [32, 84, 80],
    [120, 84, 10],
)


def test_lenet5_has_the_rings_of_its_arithmetic() -> None:
    plan = make_plan(LENET5, "streamed")
    assert plan.windows == {"b0": 6 * 32, "b1": 6 * 84}
    assert plan.activation_bytes == 192 + 504 + 400
    assert plan.counter_bytes == 8 and plan.total_bytes == 1096 + 16 + 8
    assert {p.offset for p in plan.placements if p.name in ("b3", "b4", "b5")} <= set(range(696))


def test_a_cut_can_be_asked_for() -> None:
    one = Streamed().plan(replace(LENET5, rows_apart=1))
    assert list(one.windows) == ["b0"] and one.activation_bytes > 1096
    check(one, LENET5)


def test_buffers_of_streamed_layers_never_share_bytes() -> None:
    plan = make_plan(LENET5, "streamed")
    wrong = [replace(p, offset=0) if p.name == "b1" else p for p in plan.placements]
    with pytest.raises(PlanError, match="laid b1 over b0"):
        check(replace(plan, placements=tuple(wrong)), LENET5)


def test_nothing_to_stream_is_said() -> None:
    vectors = Problem((Step("fc", ("x",), ("y",)),), {"x": 8, "y": 4}, ("x",), ("y",))
    with pytest.raises(PlanError, match="no layer to stream"):
        streamable(vectors)


def _plan(network: str, schedule: str, budget: int | None) -> Plan:
    spec = replace(NETWORKS[network].load("int8"), memory=MemorySpec(schedule, budget))
    return convert(spec, load_board("hifive1_virtual")).design.plan


def test_a_budget_decides_how_much_scratch_and_which_schedule() -> None:
    assert _plan("lenet5", "auto", None).schedule == "pingpong"
    small = _plan("lenet5", "auto", 1700)
    assert small.schedule == "streamed" and small.total_bytes <= 1700
    least = _plan("lenet5", "auto", 0)
    assert least.schedule == "streamed" and least.total_bytes == 1068
    assert _plan("lenet5", "pingpong", 0).total_bytes == 2280


def test_over_the_budget_the_cheapest_change_is_named_with_its_bytes() -> None:
    with pytest.raises(PlanError, match=r"needs 2280 B of RAM, the budget is 1500 B") as caught:
        _plan("lenet5", "pingpong", 1500)
    assert "schedule: streamed needs 1068 B (saves 1212 B)" in str(caught.value)
    with pytest.raises(PlanError, match=r"needs 1068 B of RAM, the budget is 1000 B"):
        _plan("lenet5", "auto", 1000)
