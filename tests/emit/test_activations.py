"""Elementwise functions from torch to C: alone, behind layers, and in front of a max-pool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.emit.harness import Case, case_of, run_sanitized
from tests.emit.int8_networks import design_of_int8
from tests.networks import design_of
from uc_nn_pio.capture import capture_module
from uc_nn_pio.emit.kernels.tuning import PLAIN
from uc_nn_pio.emit.render import render
from uc_nn_pio.graph.ops import Activation, MaxPool2d
from uc_nn_pio.graph.quant import QuantParams, to_int8
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import Method, calibrate, quantize
from uc_nn_pio.quantize.tables import BYTES, activation_table
from uc_nn_pio.reference import integer


class Clamp(nn.Module):
    def __init__(self, **limits: float) -> None:
        super().__init__()
        self.limits = limits

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp(**self.limits)


FUNCTIONS = {
    "hardsigmoid": nn.Hardsigmoid(),
    "hardswish": nn.Hardswish(),
    "silu": nn.SiLU(),
    "gelu": nn.GELU(),
    "gelu_tanh": nn.GELU(approximate="tanh"),
    "elu": nn.ELU(),
    "elu_steep": nn.ELU(alpha=1.7),
    "elu_falling": nn.ELU(alpha=-0.6),
    "hardtanh": nn.Hardtanh(-1.5, 2.25),
    "from_one_side": Clamp(min=-0.75),
    "to_the_other": Clamp(max=1.25),
}
SHAPE = (3, 9, 8)


def network(function: nn.Module) -> nn.Sequential:
    torch.manual_seed(4)
    layers = [function, nn.Conv2d(3, 5, 3, padding=1), function, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(80, 6)]
    module = nn.Sequential(*layers, function).eval()
    with torch.no_grad():
        module[1].weight *= 4  # so that both sides of each function are met
    return module


def inputs(count: int) -> np.ndarray:
    return np.random.default_rng(3).normal(scale=2.5, size=(count, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_is_torchs(name: str, tmp_path: Path) -> None:
    module, x = network(FUNCTIONS[name]), inputs(4)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    design = design_of(module, SHAPE, "net")
    [found] = run_sanitized([Case("net", render(design), x, expected.shape[1:])], tmp_path)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_value_of_the_function(name: str, tmp_path: Path) -> None:
    x = np.concatenate([np.linspace(-12, 12, 2000), np.geomspace(1e-7, 1, 500), -np.geomspace(1e-7, 1, 500)])
    x = x.astype(np.float32).reshape(10, 3, 10, 10)
    design = design_of(nn.Sequential(FUNCTIONS[name]), x.shape[1:], "net")
    [found] = run_sanitized([Case("net", render(design), x, x.shape[1:])], tmp_path)
    expected = FUNCTIONS[name](torch.from_numpy(x.astype(np.float64))).numpy()
    assert np.abs(found - expected).max() <= 1e-6 * max(1.0, float(np.abs(expected).max()))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_int8_is_the_integer_reference(name: str, tmp_path: Path) -> None:
    module = network(FUNCTIONS[name])
    graph = lower(capture_module(module, SHAPE, "net"))
    made = quantize(graph, calibrate(graph, [inputs(16)], Method.MINMAX))
    design = design_of_int8(made, PLAIN, "net")
    x = to_int8(inputs(4), made.tensor(made.inputs[0]).quant)
    [found] = run_sanitized([case_of(design, x)], tmp_path)
    [expected] = integer.outputs_batch(made, x).values()
    assert np.array_equal(found, expected)
    # and is what torch computes, as far as eight bits go
    scale, zero = made.tensor(made.outputs[0]).quant.scale, made.tensor(made.outputs[0]).quant.zero_point
    with torch.no_grad():
        wanted = module(torch.from_numpy(inputs(4))).numpy()
    noise = np.sqrt(np.mean((scale * (found.astype(np.float64) - zero) - wanted) ** 2))
    assert noise < 0.05 * wanted.std()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_maximum_is_of_the_functions_values(name: str) -> None:
    graph = lower(capture_module(network(FUNCTIONS[name]), SHAPE, "net"))
    made = quantize(graph, calibrate(graph, [inputs(4)], Method.MINMAX))
    ops = [node.op for node in made.nodes]
    apart = any(isinstance(op, MaxPool2d) for op in ops)
    function = next(op for op in ops if isinstance(op, Activation))
    assert apart == (not function.monotone)
    assert function.monotone == (name not in ("hardswish", "silu", "gelu", "gelu_tanh", "elu_falling"))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_tables_are_torchs_values_rounded(name: str) -> None:
    before, after = QuantParams(np.float32(0.06), -7), QuantParams(np.float32(0.05), -90)
    graph = lower(capture_module(nn.Sequential(FUNCTIONS[name]), SHAPE, "net"))
    table = activation_table(graph.nodes[0].op, before, after)
    real = torch.from_numpy((BYTES.astype(np.float64) + 7) * np.float64(before.scale))
    steps = FUNCTIONS[name](real).numpy() / np.float64(after.scale)
    wanted = np.clip(np.floor(np.abs(steps) + 0.5) * np.sign(steps) - 90, -128, 127)
    assert np.abs(table - wanted).max() <= (np.abs(np.abs(steps % 1) - 0.5) < 1e-6).any()
