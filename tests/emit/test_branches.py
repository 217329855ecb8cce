"""Random networks with branches as native code under sanitizers: float32 against torch, int8 against the reference."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.branches import random_branched
from tests.emit.harness import Case, case_of, run_sanitized
from tests.emit.int8_networks import Network, design_of_int8, operators, random_tuning
from tests.networks import design_of
from uc_nn_pio.capture import capture_module
from uc_nn_pio.emit.kernels import branches
from uc_nn_pio.emit.kernels.branches import AddInt8
from uc_nn_pio.emit.render import render
from uc_nn_pio.graph.quant import to_int8
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import Method, Range, calibrate, quantize
from uc_nn_pio.reference import integer
from uc_nn_pio.schedule import check
from uc_nn_pio.spec import MemorySpec


def _compare_with_torch(seeds: range, folder: Path) -> None:
    cases, expected = [], []
    for seed in seeds:
        module = random_branched(seed)
        memory = MemorySpec("arena") if seed % 2 else MemorySpec()
        design = design_of(module, module.shape, f"net{seed}", memory=memory)
        check(design.plan, design.problem)
        x = torch.randn(2, *module.shape)
        with torch.no_grad():
            expected.append(np.concatenate([module(sample[None]).numpy() for sample in x]))
        cases.append(Case(f"net{seed}", render(design), x.numpy(), expected[-1].shape[1:]))
    for seed, actual, wanted in zip(seeds, run_sanitized(cases, folder), expected, strict=True):
        scale = max(float(np.abs(wanted).max()), 1e-3)
        assert np.abs(actual - wanted).max() <= 1e-4 * scale, f"{seed}: {random_branched(seed).plan}"


def test_random_networks_with_branches_equal_torch(tmp_path: Path) -> None:
    _compare_with_torch(range(40), tmp_path)


def int8_network(seed: int) -> Network:
    """Every third with ranges that no calibration gives, so that sums have unlike scales."""
    module = random_branched(seed)
    graph = lower(capture_module(module, module.shape, "net"))
    values = np.random.default_rng(seed)
    samples = values.normal(size=(8, *module.shape)).astype(np.float32)
    ranges = calibrate(graph, [samples], Method.MINMAX)
    if seed % 3 == 0:
        ranges = {
            name: Range(r.low * float(values.uniform(0.02, 3)), r.high * float(values.uniform(0.02, 3)))
            for name, r in ranges.items()
        }
    made = quantize(graph, ranges)
    entry = made.tensor(made.inputs[0])
    anything = values.integers(-128, 128, (2, *entry.shape)).astype(np.int8)
    ends = values.choice(np.array([-128, 127], np.int8), (1, *entry.shape))
    return Network(made, np.concatenate([to_int8(samples[:1], entry.quant), anything, ends]))


def _compare_with_the_reference(seeds: range, folder: Path, level: str) -> Counter[str]:
    cases, expected, met = [], [], Counter()
    for seed in seeds:
        network = int8_network(seed)
        design = design_of_int8(network.graph, random_tuning(seed), f"net{seed}", schedule="arena")
        check(design.plan, design.problem)
        cases.append(case_of(design, network.inputs))
        expected.extend(integer.outputs_batch(network.graph, network.inputs).values())
        met.update(operators(network.graph))
        met.update("plane" if k.plane else "steps" for k in design.kernels if isinstance(k, AddInt8))
        for output, source in design.plan.shared:
            step = next(step for step in design.problem.steps if output in step.writes)
            met["over the end" if dict(step.over)[source] else "over all"] += len(step.reads) > 1
    results = zip(seeds, run_sanitized(cases, folder, level=level), expected, strict=True)
    different = {
        seed: [str(node.op) for node in int8_network(seed).graph.nodes]
        for seed, found, wanted in results
        if not np.array_equal(found, wanted)
    }
    assert not different
    return met


def test_random_int8_networks_with_branches_equal_the_reference(tmp_path: Path) -> None:
    met = _compare_with_the_reference(range(40), tmp_path, "-O0")
    assert met["plane"] == met["add"] >= 50 and met["concat"] >= 40, met
    assert met["over all"] >= 30 and met["over the end"] >= 30, met


def test_sums_that_no_plane_gives_go_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(branches, "plane_of", lambda *_: None)
    met = _compare_with_the_reference(range(3, 63, 3), tmp_path, "-O1")
    assert met["steps"] == met["add"] >= 25 and not met["plane"], met


def test_a_plane_gives_all_pairs_or_there_is_none() -> None:
    x = np.arange(-128, 128)
    wanted = np.clip((3 * x[:, None] + 5 * x[None, :] + 4) >> 3, -128, 127)
    plane = branches.plane_of(wanted, -128, 127, (3 / 8, 5 / 8))
    assert plane is not None
    assert np.array_equal(np.clip(plane.values(x[:, None], x[None, :]), -128, 127), wanted)
    wanted[200, 40] += 1
    assert branches.plane_of(wanted, -128, 127, (3 / 8, 5 / 8)) is None


@pytest.mark.slow
def test_five_hundred_random_networks_with_branches_equal_theirs(tmp_path: Path) -> None:
    for first in range(1000, 1250, 50):
        for name, compare in (("f", _compare_with_torch), ("i", _compare_with_the_reference)):
            folder = tmp_path / f"{name}{first}"
            folder.mkdir()
            extra = () if name == "f" else ("-O2",)
            compare(range(first, first + 50), folder, *extra)
