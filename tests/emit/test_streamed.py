"""Streamed networks as native code under sanitizers: the same integers as the reference, and as close to torch in
float32, with rings of garbage, frames that are left half-way and two contexts that take rows in turn."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.emit.harness import case_of, run_sanitized
from tests.emit.int8_networks import (
    Network,
    design_of_int8,
    operators,
    random_int8_network,
    random_pooled_network,
    random_tuning,
)
from tests.graph.torch_graph import graph_of
from tests.networks import design_of, random_network
from uc_nn_pio import choose as choose_module
from uc_nn_pio.design import Design
from uc_nn_pio.emit.kernels import Kernel
from uc_nn_pio.emit.kernels.base import vars_of
from uc_nn_pio.emit.kernels.conv2d_int8 import Conv2dInt8
from uc_nn_pio.emit.kernels.conv2d_rows_int8 import Conv2dRowsInt8
from uc_nn_pio.emit.kernels.tuning import Tuning
from uc_nn_pio.errors import PlanError
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import Method, calibrate, quantize
from uc_nn_pio.reference import integer
from uc_nn_pio.schedule import check
from uc_nn_pio.spec import LEAST, MemorySpec


def _streams(design: Design) -> Counter[str]:
    """The operators that work row by row; the plan is checked."""
    check(design.plan, design.problem)
    count = len(design.plan.windows)
    assert count and [k.rows_apart for k in design.kernels] == [i < count for i in range(len(design.kernels))]
    return Counter(k.op.kind for k in design.kernels[:count])


@pytest.fixture(autouse=True)
def any_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams as many layers as it draws, so that long chains are met as well; the best cut is mostly an early one."""
    ways = choose_module._ways

    def drawn(graph: Graph, kernels: tuple[Kernel, ...], schedule: str) -> list[choose_module.Way]:
        found = sorted(ways(graph, kernels, schedule), key=lambda way: (way.cut, way.words_again))
        return [random.Random(sum(t.elements for t in graph.values())).choice(found)]

    monkeypatch.setattr(choose_module, "_ways", drawn)


def _with_less_and_less(graph: Graph, seed: int, tuning: Tuning) -> Iterator[Design]:
    """Designs with ever smaller budgets, until nothing fits: kernels take smaller forms one after the other."""
    budget = None
    try:
        while True:
            design = design_of_int8(graph, tuning, f"net{seed}", budget, "streamed")
            budget = design.plan.total_bytes - 4
            yield design
    except PlanError as error:
        assert "has no layer to stream" in str(error) or "the budget is" in str(error)


def _compare_int8(
    seeds: range,
    folder: Path,
    level: str,
    draw: Callable[[int], Network] = random_int8_network,
    tune: Callable[[int], Tuning] = random_tuning,
) -> Counter[str]:
    cases, expected, met = [], [], Counter()
    for seed in seeds:
        network = draw(seed)
        designs = list(_with_less_and_less(network.graph, seed, tune(seed)))
        if not designs:
            continue
        design = designs[-1 if seed % 2 else seed // 2 % len(designs)]
        met.update(_streams(design))
        met.update("pool apart" for k in design.kernels if getattr(k, "pool_apart", False))
        met.update("in parts" for k in design.kernels if getattr(k, "staged_rows", None))
        met.update("weights in registers" for k in design.kernels if isinstance(k, Conv2dRowsInt8))
        cases.append(case_of(design, network.inputs))
        expected.extend(integer.outputs_batch(network.graph, network.inputs).values())
    results = zip(cases, run_sanitized(cases, folder, level=level), expected, strict=True)
    different = {
        case.name: operators(draw(int(case.name[3:])).graph)
        for case, found, wanted in results
        if not np.array_equal(found, wanted)
    }
    assert not different
    return met


def test_random_int8_networks_equal_the_reference(tmp_path: Path) -> None:
    met = _compare_int8(range(2000, 2080), tmp_path, "-O0")
    kinds = {"conv2d", "max_pool2d", "avg_pool2d", "activation", "linear"}
    assert set(met) - {"pool apart", "in parts"} == {*kinds, "weights in registers"}, met
    assert met["conv2d"] >= 45 and met["weights in registers"] >= 7 and met["linear"] >= 12, met


def test_maxima_kept_in_output_rows_are_those_of_whole_windows(tmp_path: Path) -> None:
    met = _compare_int8(range(6000, 6080), tmp_path, "-O0", random_pooled_network)
    assert met["pool apart"] >= 25 and met["weights in registers"] >= 5, met


def _not_packed(seed: int) -> Tuning:
    return Tuning(dual=bool(seed % 2), conv_taps=random.Random(seed).choice((3, 6, 10, 20)))


def test_strips_staged_in_parts_give_the_same(tmp_path: Path) -> None:
    met = _compare_int8(range(2000, 2060), tmp_path, "-O0", tune=_not_packed)
    more = _compare_int8(range(6000, 6060), tmp_path, "-O0", random_pooled_network, _not_packed)
    assert met["in parts"] >= 5 and more["in parts"] >= 3, (met, more)


def _last_form(graph: Graph, way: choose_module.Way, budget: int | None) -> choose_module.Choice:
    """Every kernel in the last of its forms, whatever it needs."""
    last = tuple(kernel.smaller() or kernel for kernel in way.kernels)
    return choose_module._planned(graph, last, way.schedule)


@pytest.mark.parametrize("draw", [random_int8_network, random_pooled_network])
def test_weights_in_registers_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, draw: Callable[[int], Network]
) -> None:
    """Wherever that form is possible, whatever it is worth."""

    def in_registers(kernel: Conv2dInt8) -> Conv2dInt8 | None:
        return Conv2dRowsInt8(**vars_of(kernel)) if kernel.packed and kernel.rows_apart and kernel.meets else None

    monkeypatch.setattr(Conv2dInt8, "smaller", in_registers)
    monkeypatch.setattr(Conv2dRowsInt8, "smaller", lambda kernel: None)
    monkeypatch.setattr(choose_module, "_fitted", _last_form)
    met = _compare_int8(
        range(7000, 7120), tmp_path, "-O1", draw, lambda seed: replace(random_tuning(seed), packed=True, dual=False)
    )
    assert met["weights in registers"] >= 30, met


@pytest.mark.slow
def test_five_hundred_random_int8_networks_equal_the_reference(tmp_path: Path) -> None:
    for first in range(3000, 3500, 50):
        folder = tmp_path / str(first)
        folder.mkdir()
        _compare_int8(
            range(first, first + 50),
            folder,
            "-O2" if first % 100 else "-O1",
            random_pooled_network if first % 150 else random_int8_network,
        )


def _compare_float32(seeds: range, folder: Path) -> Counter[str]:
    cases, expected, met = [], [], Counter()
    for seed in seeds:
        module, shape = random_network(seed)
        try:
            design = design_of(module, shape, f"net{seed}", memory=MemorySpec(schedule="streamed"))
        except PlanError as error:
            assert "has no layer to stream" in str(error)
            continue
        met.update(_streams(design))
        x = torch.randn(2, *shape)
        with torch.no_grad():
            expected.append(np.concatenate([module(sample[None]).numpy() for sample in x]))
        cases.append(case_of(design, x.numpy()))
    for case, actual, wanted in zip(cases, run_sanitized(cases, folder), expected, strict=True):
        scale = max(float(np.abs(wanted).max()), 1e-3)
        assert np.abs(actual.reshape(wanted.shape) - wanted).max() <= 1e-4 * scale, case.name
    return met


def test_random_float32_networks_equal_torch(tmp_path: Path) -> None:
    met = _compare_float32(range(4000, 4040), tmp_path)
    assert set(met) == {"conv2d", "max_pool2d", "avg_pool2d", "activation", "linear"}, met


def test_streamed_float32_has_the_bits_of_pingpong(tmp_path: Path) -> None:
    """The sums run in the same order, row by row or not."""
    cases = []
    for seed in range(4100, 4112):
        module, shape = random_network(seed)
        x = np.random.default_rng(seed).normal(size=(2, *shape)).astype(np.float32)
        try:
            made = [
                design_of(module, shape, f"{name}{seed}", memory=MemorySpec(schedule=name))
                for name in ("streamed", "pingpong")
            ]
        except PlanError as error:
            assert "has no layer to stream" in str(error)
            continue
        cases += [case_of(design, x) for design in made]
    assert len(cases) >= 12
    found = run_sanitized(cases, tmp_path)
    for case, one, other in zip(cases[::2], found[::2], found[1::2], strict=True):
        assert np.array_equal(one, other), case.name


def _ends_in_a_global_pool() -> tuple[nn.Module, tuple[int, int, int]]:
    torch.manual_seed(3)
    layers = [nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 7, 3, stride=2), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(7, 4)).eval(), (2, 11, 9)


def test_a_global_pool_adds_up_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its input is never held: a row of it is, and a sum a channel."""
    monkeypatch.undo()
    module, shape = _ends_in_a_global_pool()
    least = MemorySpec(schedule="streamed", ram_budget=LEAST)
    design = design_of(module, shape, "whole", memory=least)
    assert [type(k).__name__ for k in design.kernels][2] == "GlobalAvgPool2dF32"
    x = torch.randn(4, *shape)
    with torch.no_grad():
        wanted = module(x).numpy()
    (actual,) = run_sanitized([case_of(design, x.numpy())], tmp_path)
    assert np.abs(actual - wanted).max() <= 1e-5 * np.abs(wanted).max()

    graph = lower(graph_of(module, shape))
    int8 = quantize(graph, calibrate(graph, [x.numpy()], Method.MINMAX))
    inputs = np.random.default_rng(1).integers(-128, 128, (6, *shape)).astype(np.int8)
    for seed in range(4):
        design = design_of_int8(int8, random_tuning(seed), "whole", LEAST, "streamed")
        pool = design.kernels[2]
        assert type(pool).__name__ == "GlobalAvgPool2dInt8" and pool.rows_apart
        assert design.plan.windows[pool.node.inputs[0]] == 7 * 4
        assert design.plan.placement(pool.node.output).size == 4 * 7
        (found,) = run_sanitized([case_of(design, inputs)], tmp_path)
        (expected,) = integer.outputs_batch(int8, inputs).values()
        assert np.array_equal(found, expected)
