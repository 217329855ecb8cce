"""The ping-pong schedule against the paper's figures and its own contract."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uc_nn_pio.errors import PlanError
from uc_nn_pio.schedule import Problem, Step, check, make_plan, over_budget, paper_formula
from uc_nn_pio.schedule.memory_map import memory_map
from uc_nn_pio.schedule.plan import Placement, Plan, align


def chain(sizes: list[int], scratch: list[int] | None = None, in_place: list[bool] | None = None) -> Problem:
    names = [f"t{i}" for i in range(len(sizes))]
    steps = tuple(
        Step(
            f"s{i}",
            (names[i],),
            (names[i + 1],),
            scratch=scratch[i] if scratch else 0,
            over=((names[i], 0),) if in_place and in_place[i] else (),
        )
        for i in range(len(sizes) - 1)
    )
    return Problem(steps, dict(zip(names, sizes, strict=True)), (names[0],), (names[-1],))


LENET = [1024, 6 * 14 * 14, 16 * 5 * 5, 120, 84, 10]
TABLE1 = [3 * 32 * 32, 32 * 16 * 16, 16 * 8 * 8, 32 * 4 * 4, 10]


def test_paper_section_3_2_lenet5_is_8800_bytes() -> None:
    plan = make_plan(chain([4 * n for n in LENET]), "pingpong")
    assert plan.activation_bytes == plan.total_bytes == 8800


def test_paper_section_5_test_network_is_11264_bytes_at_one_byte_an_element() -> None:
    assert make_plan(chain(TABLE1), "pingpong").activation_bytes == 11264


def test_scratch_takes_free_activation_bytes_before_it_costs_any() -> None:
    # step 1 reads B (4704) and writes 1600 of A (4096): 2496 bytes of A are free then
    plan = make_plan(chain([4096, 4704, 1600, 480], scratch=[0, 2496, 0]), "pingpong")
    assert (plan.activation_bytes, plan.scratch_bytes) == (8800, 0)
    plan = make_plan(chain([4096, 4704, 1600, 480], scratch=[100, 2496, 0]), "pingpong")
    assert (plan.activation_bytes, plan.scratch_bytes) == (8800, 100)


def test_a_step_in_place_leaves_its_output_where_its_input_is() -> None:
    plan = make_plan(chain([400, 100, 100], in_place=[True, False]), "pingpong")
    assert plan.placement("t1").offset == plan.placement("t0").offset == 0
    assert plan.activation_bytes == 500


def test_a_step_that_grows_is_not_done_in_place() -> None:
    plan = make_plan(chain([100, 400], in_place=[True]), "pingpong")
    assert plan.activation_bytes == 500


def test_over_budget_names_the_step_and_the_bytes() -> None:
    problem = chain([4 * n for n in LENET])
    text = str(over_budget(make_plan(problem, "pingpong"), problem, 8000, ["schedule: streamed needs 1 B"]))
    assert "next: schedule: streamed needs 1 B; free" in text
    assert "s0" in text and "8800 B" in text and "8000 B" in text and "free 800 B" in text


def test_a_branch_is_refused_by_name() -> None:
    steps = (Step("a", ("x",), ("y",)), Step("b", ("x",), ("z",)))
    with pytest.raises(PlanError, match="chain") as caught:
        make_plan(Problem(steps, {"x": 4, "y": 4, "z": 4}, ("x",), ("z",)), "pingpong")
    assert caught.value.where == "b"


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.data())
def test_random_chains_overlap_nowhere_and_keep_the_papers_bound(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 5000), min_size=2, max_size=9))
    steps = len(sizes) - 1
    scratch = data.draw(st.lists(st.sampled_from([0, 1, 36, 400, 3000]), min_size=steps, max_size=steps))
    in_place = data.draw(st.lists(st.booleans(), min_size=steps, max_size=steps))
    problem = chain(sizes, scratch, in_place)
    plan = make_plan(problem, "pingpong")
    check(plan, problem)
    if not any(in_place):
        assert plan.activation_bytes <= paper_formula([align(n) for n in sizes])
    assert plan.activation_bytes >= max(
        align(sizes[i]) + (0 if in_place[i] and sizes[i + 1] <= sizes[i] else align(sizes[i + 1])) for i in range(steps)
    )
    # scratch grows the context by exactly what the neediest step lacks, holes aside
    assert plan.total_bytes <= plan.activation_bytes + max(align(s) for s in scratch)


def test_check_finds_two_live_buffers_on_the_same_bytes() -> None:
    problem = chain([8, 8])
    bad = Plan("bad", (Placement("t0", 0, 8, 0, 0), Placement("t1", 4, 8, 0, 0)), 12, 12)
    with pytest.raises(PlanError, match="laid"):
        check(bad, problem)


def test_check_finds_a_missing_buffer_and_one_outside_the_context() -> None:
    problem = chain([8, 8])
    with pytest.raises(PlanError, match="left out"):
        check(Plan("bad", (Placement("t0", 0, 8, 0, 0),), 8, 8), problem)
    with pytest.raises(PlanError, match="placed"):
        check(Plan("bad", (Placement("t0", 0, 8, 0, 0), Placement("t1", 8, 8, 0, 0)), 12, 12), problem)


def test_the_memory_map_shows_every_step_once() -> None:
    problem = chain([4 * n for n in LENET], scratch=[100, 600, 0, 0, 0])
    rows = memory_map(make_plan(problem, "pingpong"), problem).splitlines()
    assert len(rows) == 1 + len(problem.steps)
    assert "%" in rows[1] and "#" in rows[1] and "=" in rows[1]
    assert "%" not in rows[3]
