"""Networks of every family of operators as native code under sanitizers: float32 against torch, int8 against the
reference, and int8 near what torch computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.emit.harness import Case, case_of, run_sanitized
from tests.emit.int8_networks import design_of_int8
from tests.networks import design_of
from tests.operator_networks import NETWORKS, int8_network, network, samples
from uc_nn_pio.emit.kernels.tuning import PLAIN
from uc_nn_pio.emit.render import render
from uc_nn_pio.graph.quant import to_real
from uc_nn_pio.reference import integer
from uc_nn_pio.schedule import check
from uc_nn_pio.spec import MemorySpec


def test_float32_equals_torch(tmp_path: Path) -> None:
    cases, wanted = [], []
    for number, name in enumerate(NETWORKS):
        module, shape = network(name)
        x, expected = samples(name)
        design = design_of(module, shape, f"net{number}", memory=MemorySpec("arena" if number % 2 else "auto"))
        check(design.plan, design.problem)
        cases.append(Case(f"net{number}", render(design), x, expected.shape[1:]))
        wanted.append(expected)
    for name, found, expected in zip(NETWORKS, run_sanitized(cases, tmp_path), wanted, strict=True):
        scale = max(float(np.abs(expected).max()), 1e-3)
        assert np.abs(found - expected).max() <= 1e-5 * scale, name


def test_int8_equals_the_reference_and_is_near_torch(tmp_path: Path) -> None:
    cases, wanted, graphs = [], [], []
    for number, name in enumerate(NETWORKS):
        made = int8_network(name)
        schedule = "arena" if number % 2 else "auto"
        design = design_of_int8(made.graph, PLAIN, f"net{number}", schedule=schedule)
        check(design.plan, design.problem)
        cases.append(case_of(design, made.inputs))
        wanted.extend(integer.outputs_batch(made.graph, made.inputs).values())
        graphs.append(made.graph)
    for name, graph, found, expected in zip(NETWORKS, graphs, run_sanitized(cases, tmp_path), wanted, strict=True):
        np.testing.assert_array_equal(found, expected, err_msg=name)
        exact = samples(name)[1]
        error = to_real(found, graph.tensor(graph.outputs[0]).quant) - exact
        assert np.sqrt((error**2).mean()) <= 0.04 * max(float(np.ptp(exact)), 1e-3), name
