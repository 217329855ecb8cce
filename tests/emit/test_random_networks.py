"""Random networks through the whole converter, as native code under sanitizers, against torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.emit.harness import Case, run_sanitized
from tests.networks import design_of, random_network
from uc_nn_pio.emit.render import render
from uc_nn_pio.schedule import check


def _compare(seeds: range, folder: Path) -> None:
    cases, expected = [], []
    for seed in seeds:
        module, shape = random_network(seed)
        design = design_of(module, shape, f"net{seed}")
        check(design.plan, design.problem)
        x = torch.randn(2, *shape)
        with torch.no_grad():
            # one sample at a time: the network is captured for a batch of one
            expected.append(np.concatenate([module(sample[None]).numpy() for sample in x]))
        cases.append(Case(f"net{seed}", render(design), x.numpy(), expected[-1].shape[1:]))
    for seed, actual, wanted in zip(seeds, run_sanitized(cases, folder), expected, strict=True):
        scale = max(float(np.abs(wanted).max()), 1e-3)
        assert np.abs(actual - wanted).max() <= 1e-4 * scale, f"{random_network(seed)}"


def test_fifty_random_networks_equal_torch(tmp_path: Path) -> None:
    _compare(range(50), tmp_path)


@pytest.mark.slow
def test_five_hundred_random_networks_equal_torch(tmp_path: Path) -> None:
    for first in range(1000, 1500, 50):
        folder = tmp_path / str(first)
        folder.mkdir()
        _compare(range(first, first + 50), folder)
