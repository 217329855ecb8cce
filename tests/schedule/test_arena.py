"""The arena schedule: against all orders and all offsets of small graphs, and on larger ones against its own bound."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from tests.schedule.graphs import fewest_bytes, orders, random_problem
from tests.schedule.test_pingpong import LENET, TABLE1, chain
from uc_nn_pio.errors import PlanError
from uc_nn_pio.schedule import Problem, Step, check, least_peak, make_plan, order
from uc_nn_pio.schedule.plan import Plan


def planned(problem: Problem) -> tuple[Problem, Plan]:
    """In the best order, and checked."""
    ordered = replace(problem, steps=tuple(problem.steps[i] for i in least_peak(problem).steps))
    return ordered, make_plan(ordered, "arena")


@pytest.mark.parametrize("first", range(0, 160, 40))
def test_no_plan_of_a_small_graph_needs_fewer_bytes(first: int) -> None:
    for seed in range(first, first + 40):
        problem = random_problem(seed, 2 + seed % 3, largest=4)
        _, plan = planned(problem)
        fewest = min(fewest_bytes(ordered) for ordered in orders(problem))
        assert plan.total_bytes == fewest, seed
        assert plan.bound_bytes is not None and plan.bound_bytes <= fewest, seed


def test_larger_graphs_meet_the_bound_that_no_plan_can_beat() -> None:
    over = []
    for seed in range(80):
        _, plan = planned(random_problem(seed, 6 + seed % 20, largest=300))
        assert plan.bound_bytes is not None
        over.append(plan.total_bytes / plan.bound_bytes - 1)
    assert sum(extra == 0 for extra in over) >= 79 and max(over) < 0.01, sorted(over)[-3:]


def test_the_best_order_is_no_worse_than_any_other() -> None:
    for seed in range(100):
        problem = random_problem(seed, 5, largest=9)
        peaks = [order.peak_of(ordered, tuple(range(5))) for ordered in orders(problem)]
        found = least_peak(problem)
        assert found.proven and found.peak == min(peaks) == order.peak_of(problem, found.steps)


def test_too_many_sets_of_steps_leave_an_order_that_is_not_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "MOST_SETS", 3)
    problem = random_problem(3, 8, largest=9)
    found = least_peak(problem)
    assert not found.proven and sorted(found.steps) == list(range(8))
    assert found.peak <= order.peak_of(problem, tuple(range(8)))
    assert planned(problem)[1].bound_bytes is None


@pytest.mark.parametrize("sizes", [[4 * n for n in LENET], TABLE1])
def test_a_chain_needs_its_largest_pair_and_no_more(sizes: list[int]) -> None:
    _, plan = planned(chain(sizes))
    assert plan.total_bytes == plan.bound_bytes == max(a + b for a, b in itertools.pairwise(sizes))
    assert plan.total_bytes <= make_plan(chain(sizes), "pingpong").total_bytes


DIAMOND = Problem(
    (
        Step("wide", ("x",), ("a",)),
        Step("narrow", ("a",), ("b",)),
        Step("other", ("x",), ("c",)),
        Step("sum", ("b", "c"), ("y",), over=(("b", 0), ("c", 0))),
    ),
    {"x": 40, "a": 400, "b": 40, "c": 40, "y": 40},
    ("x",),
    ("y",),
)


def test_a_sum_is_written_over_an_input_that_nothing_else_reads() -> None:
    _, plan = planned(DIAMOND)
    ((output, source),) = plan.shared
    assert output == "y" and plan.placement(source).offset == plan.placement("y").offset
    assert plan.total_bytes == plan.bound_bytes == 480


def test_an_input_that_is_read_again_is_not_written_over() -> None:
    steps = (*DIAMOND.steps, Step("again", ("b", "c", "y"), ("z",)))
    problem = Problem(steps, {**DIAMOND.sizes, "z": 4}, ("x",), ("z",))
    assert not planned(problem)[1].shared


def test_a_joined_map_holds_one_of_its_parts_at_its_end() -> None:
    steps = (
        Step("left", ("x",), ("a",)),
        Step("right", ("x",), ("b",)),
        Step("join", ("a", "b"), ("y",), over=(("a", 60), ("b", 40))),
    )
    _, plan = planned(Problem(steps, {"x": 4, "a": 40, "b": 60, "y": 100}, ("x",), ("y",)))
    assert plan.shared == {("y", "b")} and plan.placement("b").offset == plan.placement("y").offset + 40
    assert plan.total_bytes == 140


def test_a_plan_in_place_that_may_not_be_is_found() -> None:
    ordered, plan = planned(DIAMOND)
    with pytest.raises(PlanError, match="cannot write a over x"):
        check(replace(plan, shared=frozenset({("a", "x")})), ordered)
