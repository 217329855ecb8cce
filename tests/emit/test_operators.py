"""Networks of every family of operators as native code under sanitizers: float32 against torch, int8 against the
reference, and int8 near what torch computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.emit.harness import Case, case_of, run_sanitized
from tests.emit.int8_networks import design_of_int8
from tests.networks import design_of
from tests.operator_networks import NETWORKS, network
from uc_nn_pio.capture import capture_module
from uc_nn_pio.emit.kernels.tuning import PLAIN
from uc_nn_pio.emit.render import render
from uc_nn_pio.graph.quant import to_int8, to_real
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import Method, calibrate, quantize
from uc_nn_pio.reference import integer
from uc_nn_pio.schedule import check
from uc_nn_pio.spec import MemorySpec

SAMPLES = 6


def _samples(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs, and torch's outputs."""
    module, shape = network(name)
    x = torch.randn(SAMPLES, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return x.numpy(), np.concatenate([module(sample[None]).numpy() for sample in x])


def test_float32_equals_torch(tmp_path: Path) -> None:
    cases, wanted = [], []
    for number, name in enumerate(NETWORKS):
        module, shape = network(name)
        x, expected = _samples(name)
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
        module, shape = network(name)
        x, _ = _samples(name)
        graph = lower(capture_module(module, shape, f"net{number}"))
        graph = quantize(graph, calibrate(graph, [x], Method.MINMAX))
        design = design_of_int8(graph, PLAIN, f"net{number}", schedule="arena" if number % 2 else "auto")
        check(design.plan, design.problem)
        inputs = to_int8(x, graph.tensor(graph.inputs[0]).quant)
        cases.append(case_of(design, inputs))
        wanted.extend(integer.outputs_batch(graph, inputs).values())
        graphs.append(graph)
    for name, graph, found, expected in zip(NETWORKS, graphs, run_sanitized(cases, tmp_path), wanted, strict=True):
        np.testing.assert_array_equal(found, expected, err_msg=name)
        exact = _samples(name)[1]
        error = to_real(found, graph.tensor(graph.outputs[0]).quant) - exact
        assert np.sqrt((error**2).mean()) <= 0.04 * max(float(np.ptp(exact)), 1e-3), name
