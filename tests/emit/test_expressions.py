"""Float literals must read back to the same bits."""

from __future__ import annotations

import numpy as np

from uc_nn_pio.emit.expressions import affine, c_float, inside, times
from uc_nn_pio.emit.kernels.conv2d_f32 import Span


def test_every_exponent_and_random_mantissas_read_back_exactly() -> None:
    bits = np.random.default_rng(1).integers(0, 2**32, 20000, dtype=np.uint32)
    values = bits.view(np.float32)
    for value in values[np.isfinite(values)]:
        text = c_float(value)
        assert text.endswith("f") and ("." in text)
        assert np.float32(text[:-1]).view(np.uint32) == value.view(np.uint32)


def test_literals_are_short_where_they_can_be() -> None:
    assert [c_float(v) for v in (0.0, 1.0, -0.5, 0.1, 1e-20)] == ["0.0f", "1.0f", "-0.5f", "0.1f", "1.0e-20f"]


def test_expressions_leave_out_what_does_nothing() -> None:
    assert times("x", 1) == "x" and times("x", 0) == "0" and times("x", 3) == "x * 3"
    assert affine("py", 2, -1, "i", 1) == "py * 2 + i - 1"
    assert affine("py", 1, 0) == "py"
    assert inside("py", Span(1, 4), 5) == "py >= 1 && py < 4"
    assert inside("py", Span(0, 5), 5) == "1"
