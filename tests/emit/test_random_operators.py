"""Random networks of all operators and parameters that docs/operators.md lists: float32 against torch, int8 against the
reference, compiled many to a program under sanitizers. A failure shrinks to the plan of a small network."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.emit.harness import Case, case_of, run_sanitized
from tests.emit.int8_networks import design_of_int8, random_tuning
from tests.networks import design_of
from tests.random_operators import OPERATORS, Drawn, Plan, random_plan
from uc_nn_pio.capture import capture_module
from uc_nn_pio.emit.kernels.branches import AddF32, MulF32, SubF32
from uc_nn_pio.emit.render import render
from uc_nn_pio.errors import ErrorGroup, ModelError
from uc_nn_pio.graph.quant import to_int8
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import Method, calibrate, quantize
from uc_nn_pio.reference import integer
from uc_nn_pio.schedule import check
from uc_nn_pio.spec import MemorySpec

BATCH = 50
"""Networks a program."""

REFUSED = 0.05
"""Of valid networks, at most so many may be refused."""


def float_case(name: str, plan: Plan) -> tuple[Case, np.ndarray, float] | None:
    """A network, torch's outputs, and how far from them float32 may be: as torch's own rounding errors are."""
    module = Drawn(plan).eval()
    if not module.functions:
        return None
    design = design_of(module, plan.shape, name, memory=MemorySpec("arena" if len(plan.steps) % 2 else "auto"))
    check(design.plan, design.problem)
    x = torch.randn(2, *plan.shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = np.concatenate([module(sample[None]).numpy() for sample in x])
        exact = np.concatenate([module.double()(sample[None].double()).numpy() for sample in x])
    allowed = 100 * float(np.abs(wanted - exact).max()) + 2e-5 * max(float(np.abs(exact).max()), 1e-3)
    return Case(name, render(design), x.numpy(), wanted.shape[1:]), wanted, allowed


def int8_case(name: str, plan: Plan) -> tuple[Case, np.ndarray] | None:
    """A network in int8 and the reference's outputs; every third with ranges that cut values off."""
    module = Drawn(plan).eval()
    if not module.functions:
        return None
    graph = lower(capture_module(module, plan.shape, name))
    x = np.random.default_rng(1).normal(size=(4, *plan.shape)).astype(np.float32)
    ranges = calibrate(graph, [x[:1] * 0.7 if len(plan.steps) % 3 == 0 else x], Method.MINMAX)
    graph = quantize(graph, ranges)
    design = design_of_int8(graph, random_tuning(plan.steps[0][1]), name, schedule="arena")
    check(design.plan, design.problem)
    inputs = to_int8(x, graph.tensor(graph.inputs[0]).quant)
    inputs[-1] = np.random.default_rng(2).integers(-128, 128, inputs.shape[1:])
    (wanted,) = integer.outputs_batch(graph, inputs).values()
    return case_of(design, inputs), wanted


def compare(plans: list[Plan], folder: Path, precision: str) -> Counter[str]:
    """Runs the networks as one program. Counts those tried and refused."""
    count: Counter[str] = Counter()
    found = {}
    for number, plan in enumerate(plans):
        count["tried"] += 1
        try:
            made = (float_case if precision == "float32" else int8_case)(f"net{number}", plan)
        except (ErrorGroup, ModelError) as error:
            count["refused"] += 1
            count[str(error).splitlines()[0][:100]] += 1
            continue
        if made is not None:
            found[plan] = made
    folder.mkdir(parents=True, exist_ok=True)
    results = run_sanitized([case for case, *_ in found.values()], folder) if found else []
    for (plan, (_, wanted, *allowed)), result in zip(found.items(), results, strict=True):
        if not (np.abs(result - wanted).max() <= allowed[0] if allowed else np.array_equal(result, wanted)):
            raise WrongError(plan)
    return count


class WrongError(Exception):
    """The C of a plan's network computes something else."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(f"{plan}: {', '.join(Drawn(plan).titles)}")
        self.plan = plan


def smallest(plan: Plan, folder: Path, precision: str) -> Plan:
    """The plan with as few steps and as small an input as it is wrong with."""

    def is_wrong(part: Plan) -> bool:
        try:
            compare([part], folder, precision)
        except WrongError:
            return True
        return False

    while part := next((part for part in _parts(plan) if is_wrong(part)), None):
        plan = part
    return plan


def _parts(plan: Plan) -> Iterator[Plan]:
    """The plan without one of its steps, or with an axis of its input shorter by one."""
    for at in range(len(plan.steps)):
        yield Plan(plan.shape, plan.steps[:at] + plan.steps[at + 1 :])
    for axis, size in enumerate(plan.shape):
        if size > 1:
            yield Plan((*plan.shape[:axis], size - 1, *plan.shape[axis + 1 :]), plan.steps)


def run(seeds: range, folder: Path, precision: str) -> None:
    """In programs of :data:`BATCH`; fails with the smallest plan, or if too many are refused."""
    count: Counter[str] = Counter()
    for first in seeds[::BATCH]:
        plans = [random_plan(seed) for seed in range(first, min(first + BATCH, seeds.stop))]
        try:
            count += compare(plans, folder / str(first), precision)
        except WrongError as error:
            raise AssertionError(WrongError(smallest(error.plan, folder / "smallest", precision))) from error
    print(f"{precision}: refused {count['refused']} of {count['tried']}: {dict(count)}")
    assert count["tried"] == len(seeds)
    assert count["refused"] < REFUSED * count["tried"]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_random_networks(precision: str, tmp_path: Path) -> None:
    """Fifty; five hundred where the environment says that this is a CI."""
    run(range(500 if os.environ.get("CI") else 50), tmp_path, precision)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_five_thousand_random_networks(precision: str, tmp_path: Path) -> None:
    run(range(10_000, 15_000), tmp_path, precision)


def test_a_failure_shrinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a network with a wrong step, that step is left."""
    place = next(i for i, (name, _) in enumerate(OPERATORS) if name == "of two")
    plan = Plan((2, 3, 3), ((0, 0), (place, 3), (0, 4)))
    assert any("of two" in title for title in Drawn(plan).titles)
    monkeypatch.setattr(SubF32, "sign", "+")
    monkeypatch.setattr(AddF32, "sign", "-")
    monkeypatch.setattr(MulF32, "sign", "-")
    with pytest.raises(WrongError):
        compare([plan], tmp_path / "all", "float32")
    assert [place for place, _ in smallest(plan, tmp_path / "small", "float32").steps] == [place]
