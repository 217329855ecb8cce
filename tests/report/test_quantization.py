"""The table of what int8 costs each layer."""

from __future__ import annotations

import math

from uc_nn_pio.quantize import LayerNoise, Range
from uc_nn_pio.report import noise_data, noise_text, ranges_text

NOISE = (LayerNoise("a", "conv2d", 45.04), LayerNoise("b", "linear", 31.0), LayerNoise("c", "softmax", math.inf))


def test_the_largest_drop_is_marked() -> None:
    rows = noise_data(NOISE)
    assert [row["db"] for row in rows] == [45.0, 31.0, None]
    assert [row["drop_db"] for row in rows] == [None, 14.0, None]
    assert [row["worst"] for row in rows] == [False, True, False]
    assert [row["exact"] for row in rows] == [False, False, True]
    lines = noise_text(NOISE).splitlines()
    assert lines[2].endswith("31.0 dB  <- largest drop, 14.0 dB") and lines[3].endswith("exact")


def test_no_samples_is_said() -> None:
    assert "not measured" in noise_text(())


def test_ranges_by_tensor() -> None:
    assert ranges_text({"x": Range(-1.5, 2.0)}).splitlines()[1].split() == ["x", "-1.5", "2"]
