"""Order, buffers and offsets: sizes and lifetimes in, a plan of the context out."""

from __future__ import annotations

from collections.abc import Sequence

from uc_nn_pio.errors import PlanError
from uc_nn_pio.schedule.arena import Arena
from uc_nn_pio.schedule.order import least_peak
from uc_nn_pio.schedule.pingpong import PingPong, paper_formula
from uc_nn_pio.schedule.plan import Placement, Plan, Problem, Scheduler, Step, align, check
from uc_nn_pio.schedule.rows import RowNeed
from uc_nn_pio.schedule.streamed import Streamed, streamable

SCHEDULERS: dict[str, Scheduler] = {scheduler.name: scheduler for scheduler in (PingPong(), Arena(), Streamed())}


def make_plan(problem: Problem, schedule: str) -> Plan:
    """Plan with the named schedule, and compare every pair of its buffers.

    Raises:
        PlanError: the problem does not suit the schedule.
    """
    plan = SCHEDULERS[schedule].plan(problem)
    check(plan, problem)
    return plan


def over_budget(plan: Plan, problem: Problem, budget: int, changes: Sequence[str] = ()) -> PlanError:
    """What to say of a plan that needs more than ``budget`` bytes: the step that needs most, and what would help."""

    def need(index: int) -> int:
        return sum(p.size for p in plan.placements if p.first <= index <= p.last)

    worst = max(range(len(problem.steps)), key=need)
    step = problem.steps[worst]
    live = [p for p in plan.placements if p.first <= worst <= p.last]
    lacking = plan.total_bytes - budget
    return PlanError(
        f"the network needs {plan.total_bytes} B of RAM, the budget is {budget} B",
        where=step.name,
        why=f"schedule {plan.schedule}: while {step.name} runs, "
        + " + ".join(f"{p.name} {p.size} B" for p in live)
        + " are alive",
        next_step="; ".join([*changes, f"free {lacking} B: a smaller input or fewer channels there"])
        + ", or raise memory: {ram_budget: ...} if the board has more",
    )


__all__ = [
    "SCHEDULERS",
    "Arena",
    "Placement",
    "Plan",
    "Problem",
    "RowNeed",
    "Scheduler",
    "Step",
    "Streamed",
    "align",
    "check",
    "least_peak",
    "make_plan",
    "over_budget",
    "paper_formula",
    "streamable",
]
