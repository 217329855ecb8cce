"""Random int8 networks as native code under sanitizers, against the integer reference: no difference."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.emit.harness import case_of, run_sanitized
from tests.emit.int8_networks import Network, design_of_int8, operators, random_int8_network, random_tuning
from uc_nn_pio.design import Design
from uc_nn_pio.emit.kernels import KERNELS
from uc_nn_pio.errors import PlanError
from uc_nn_pio.graph.ir import DType
from uc_nn_pio.reference import integer
from uc_nn_pio.schedule import check


def design_of_seed(seed: int, network: Network) -> Design:
    """With the seed's tuning; every fourth in a budget that its first plan passes, where there is a smaller one."""
    tuning, name = random_tuning(seed), f"net{seed}"
    design = design_of_int8(network.graph, tuning, name)
    if seed % 4 == 0 and design.plan.scratch_bytes:
        try:
            return design_of_int8(network.graph, tuning, name, ram_budget=design.plan.total_bytes - 4)
        except PlanError:
            pass
    return design


def compare(seeds: range, folder: Path, level: str) -> Counter[str]:
    """Returns how often each operator was met."""
    cases, expected, met = [], [], Counter()
    for seed in seeds:
        network = random_int8_network(seed)
        design = design_of_seed(seed, network)
        check(design.plan, design.problem)
        cases.append(case_of(design, network.inputs))
        expected.extend(integer.outputs_batch(network.graph, network.inputs).values())
        met.update(operators(network.graph))
    results = zip(seeds, run_sanitized(cases, folder, level=level), expected, strict=True)
    different = {
        seed: [str(node.op) for node in random_int8_network(seed).graph.nodes]
        for seed, found, wanted in results
        if not np.array_equal(found, wanted)
    }
    assert not different
    return met


def test_sixty_random_networks_equal_the_reference(tmp_path: Path) -> None:
    met = compare(range(60), tmp_path, "-O0")
    # these are chains; networks with branches are in test_branches.py, the others in test_random_operators.py and
    # test_indices.py
    elsewhere = {"gather", "pad", "prelu", "layer_norm", "recurrent", "argmax", "embedding"}
    assert set(met) | elsewhere == {op.kind for op, dtype in KERNELS if dtype is DType.INT8 and op.arity == 1}, met


@pytest.mark.slow
def test_five_hundred_random_networks_equal_the_reference(tmp_path: Path) -> None:
    for first in range(1000, 1500, 50):
        folder = tmp_path / str(first)
        folder.mkdir()
        compare(range(first, first + 50), folder, "-O2" if first % 100 else "-O1")
