"""Multipliers, scales and zero points against exact fractions."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from uc_nn_pio.errors import ModelError
from uc_nn_pio.graph.quant import QuantParams, round_half_away, to_int8, to_real
from uc_nn_pio.quantize import IntegerWeights, Range, accumulator_bounds, activation_params
from uc_nn_pio.quantize.multiplier import multipliers
from uc_nn_pio.quantize.params import quantized_weights


def test_a_multiplier_is_the_factor_to_31_bits() -> None:
    rng = random.Random(1)
    factors = np.array([2.0 ** rng.uniform(-31, 29.9) for _ in range(3000)] + [0.5, 1.0, 2.0**29, 2.0**-31])
    q, e = multipliers(factors, "layer")
    assert q.dtype == e.dtype == np.int32
    assert (q >= 2**30).all()
    for factor, m, s in zip(factors.tolist(), q.tolist(), e.tolist(), strict=True):
        made = Fraction(m) * Fraction(2) ** (s - 31)
        assert abs(made - Fraction(factor)) <= Fraction(2) ** (s - 32)


def test_multipliers_at_the_edges() -> None:
    below_one = float(np.nextafter(1.0, 0.0))
    q, e = multipliers(np.array([below_one, 2.0**-32, 2.0**-33, 0.0, -0.75]), "layer")
    assert q.tolist() == [2**30, 2**30, 0, 0, -3 * 2**29]
    assert e.tolist() == [1, -31, 0, 0, 0]
    with pytest.raises(ModelError, match=r"conv7.*output scale is too small"):
        multipliers(np.array([1.0, 2.0**30]), "conv7")


def test_a_range_gets_all_of_int8_and_holds_zero_exactly() -> None:
    assert activation_params(Range(0, 1)) == QuantParams(np.float32(1 / 255), -128)
    assert activation_params(Range(-1, 3)) == QuantParams(np.float32(4 / 255), -64)
    assert activation_params(Range(2, 10)) == QuantParams(np.float32(10 / 255), -128)
    assert activation_params(Range(-10, -2)) == QuantParams(np.float32(10 / 255), 127)
    assert activation_params(Range(0, 0)) == QuantParams(np.float32(1), -128)
    rng = random.Random(3)
    for _ in range(500):
        low, high = sorted(rng.uniform(-1, 1) * 10 ** rng.uniform(-6, 6) for _ in range(2))
        params = activation_params(Range(low, high))
        assert type(params.scale) is np.float32 and type(params.zero_point) is int
        real = to_real(np.array([-128, params.zero_point, 127], np.int8), params)
        step = float(params.scale)
        assert real[1] == 0
        assert abs(real[0] - min(low, 0)) <= 0.51 * step and abs(real[2] - max(high, 0)) <= 0.51 * step
    with pytest.raises(ModelError, match="cannot be quantized"):
        activation_params(Range(0, 1e39 * 255))


def test_bytes_over_255_are_the_byte_less_128() -> None:
    pixels = np.arange(256).astype(np.float32) / np.float32(255)
    assert to_int8(pixels, activation_params(Range(0, 1))).tolist() == list(range(-128, 128))


def test_rounding_is_that_of_c() -> None:
    below_half = float(np.nextafter(0.5, 0.0))
    given = [0.5, -0.5, 1.5, -2.5, 2.4, below_half, -below_half, 2.0**52 + 1]
    assert round_half_away(np.array(given)).tolist() == [1, -1, 2, -3, 2, 0, 0, 2.0**52 + 1]


@pytest.mark.parametrize("scale", [0, -1, np.inf, np.nan, 1e-50])
def test_what_is_no_scale(scale: float) -> None:
    with pytest.raises(ModelError, match="is no scale"):
        QuantParams(np.float32(scale), 0)


def test_weights_are_symmetric_and_within_half_a_step() -> None:
    rng = np.random.default_rng(4)
    weight = (rng.normal(size=(5, 3, 2, 2)) * [[[[0.001]]], [[[1]]], [[[30]]], [[[0]]], [[[2]]]]).astype(np.float32)
    bias = np.array([0.5, -3, 100, 0, 1e-4], np.float32)
    for per_channel in (True, False):
        made = quantized_weights(weight, bias, np.float32(0.02), per_channel)
        assert (made.weight.dtype, made.scale.dtype, made.bias.dtype) == (np.int8, np.float32, np.int32)
        assert made.scale.shape == ((5,) if per_channel else (1,))
        scale = made.scale.astype(np.float64).reshape(-1, 1, 1, 1)
        assert made.weight.min() >= -127
        assert (np.abs(made.weight * scale - weight) <= 0.5001 * scale).all()
        real = made.bias * scale.ravel() * np.float64(np.float32(0.02))
        assert (np.abs(real - bias) <= 0.5001 * scale.ravel() * 0.02).all()
    assert (np.abs(quantized_weights(weight, bias, np.float32(1), True).weight).max(axis=(1, 2, 3)) == 127)[
        [0, 1, 2, 4]
    ].all()


def test_a_bias_far_above_its_weights_keeps_its_value() -> None:
    """As a batch norm leaves it that has shut a channel: the weights give way, the bias does not saturate."""
    weight = np.array([[1e-12, 1e-13], [0, 0], [0, 0]], np.float32)
    bias = np.array([0.7, -0.3, 0], np.float32)
    made = quantized_weights(weight, bias, np.float32(0.01), per_channel=True)
    real = made.bias.astype(np.float64) * made.scale * np.float64(np.float32(0.01))
    np.testing.assert_allclose(real, bias, rtol=1e-6)
    assert made.scale[2] == 1 and max(accumulator_bounds(made)) < 2**31


def test_the_bound_covers_the_worst_input_and_the_folded_bias() -> None:
    rng = np.random.default_rng(8)
    weights = IntegerWeights(rng.integers(-128, 128, (6, 40)).astype(np.int8), np.ones(1, np.float32),
                             rng.integers(-9999, 9999, 6).astype(np.int32))  # fmt: skip
    w, b = weights.weight.astype(int), weights.bias.astype(int)
    bounds = np.array(accumulator_bounds(weights))
    for z in (-128, 0, 127):
        inputs = np.where(np.sign(w) * np.sign(b)[:, None] > 0, 127, -128)
        assert (np.abs(b - z * w.sum(axis=1)) <= bounds).all()
        assert (np.abs(b + ((inputs - z) * w).sum(axis=1)) <= bounds).all()
