"""Draws a plan as text: rows are time (steps), columns are addresses."""

from __future__ import annotations

from uc_nn_pio.schedule.plan import Plan, Problem


def memory_map(plan: Plan, problem: Problem, columns: int = 64) -> str:
    """A row a step; ``=`` is read, ``#`` written, ``%`` scratch, ``.`` free. A column is total / ``columns`` bytes."""
    total = max(plan.total_bytes, 1)
    width = max(len(step.name) for step in problem.steps)
    lines = [f"{'':{width}}  0{'':{columns - 2}}{total} B"]
    for index, step in enumerate(problem.steps):
        row = ["."] * columns
        for item in plan.placements:
            if item.first <= index <= item.last and item.size:
                first = item.offset * columns // total
                last = max(first + 1, -(-item.end * columns // total))
                mark = "%" if item.scratch else "#" if item.name in step.writes else "="
                row[first:last] = mark * (last - first)
        lines.append(f"{step.name:{width}} |{''.join(row[:columns])}|")
    return "\n".join(lines)
