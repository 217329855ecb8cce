"""Order, buffers and offsets: sizes and lifetimes in, a plan of the context out."""

from __future__ import annotations

from uc_nn_pio.errors import PlanError
from uc_nn_pio.schedule.pingpong import PingPong, paper_formula
from uc_nn_pio.schedule.plan import Placement, Plan, Problem, Scheduler, Step, align, check
from uc_nn_pio.schedule.rows import RowNeed
from uc_nn_pio.schedule.streamed import Streamed, streamable

SCHEDULERS: dict[str, Scheduler] = {scheduler.name: scheduler for scheduler in (PingPong(), Streamed())}


def make_plan(problem: Problem, schedule: str, budget: int | None = None) -> Plan:
    """Plan with the named schedule; ``auto`` takes the first that fits (so far there is one).

    Args:
        budget: most bytes that the context may take, or None for no limit.

    Raises:
        PlanError: over budget, naming the step that needs most, or the problem does not suit the schedule.
    """
    names = ["pingpong"] if schedule == "auto" else [schedule]
    plan = SCHEDULERS[names[0]].plan(problem)
    check(plan, problem)
    if budget is not None and plan.total_bytes > budget:
        raise _over_budget(plan, problem, budget)
    return plan


def _over_budget(plan: Plan, problem: Problem, budget: int) -> PlanError:
    def need(index: int) -> int:
        return sum(p.size for p in plan.placements if p.first <= index <= p.last)

    worst = max(range(len(problem.steps)), key=need)
    step = problem.steps[worst]
    live = [p for p in plan.placements if p.first <= worst <= p.last]
    return PlanError(
        f"the network needs {plan.total_bytes} B of RAM, the budget is {budget} B",
        where=step.name,
        why=f"schedule {plan.schedule}: while {step.name} runs, "
        + " + ".join(f"{p.name} {p.size} B" for p in live)
        + " are alive",
        next_step=f"free {plan.total_bytes - budget} B: a smaller input or fewer channels there, or raise "
        "memory: {ram_budget: ...} if the board has more",
    )


__all__ = [
    "SCHEDULERS",
    "Placement",
    "Plan",
    "Problem",
    "RowNeed",
    "Scheduler",
    "Step",
    "Streamed",
    "align",
    "check",
    "make_plan",
    "paper_formula",
    "streamable",
]
