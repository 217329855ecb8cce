"""Preprocessing against torch's own arithmetic, exact decimals and a C program."""

from __future__ import annotations

import subprocess
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uc_nn_pio.errors import ModelError
from uc_nn_pio.graph.quant import QuantParams
from uc_nn_pio.preprocess import int8_table, line_through, preprocess, quotient, stage_bytes, table
from uc_nn_pio.spec import Preprocess

PAPER = Preprocess(invert=True, threshold=100, scale=Fraction(1, 255))
"""The demo's: dark on bright paper becomes bright on black, what is below 100 is paper."""


def test_the_papers_demo_by_hand() -> None:
    raw = np.array([[[0, 255, 155, 156, 100, 99]]], dtype=np.uint8)
    seen = preprocess(raw, PAPER, "camera")
    assert seen.dtype == np.float32
    assert (
        seen.tolist()
        == np.array([[[255, 0, 100, 0, 155, 156]]], dtype=np.float32).__truediv__(np.float32(255)).tolist()
    )


def test_network_data_skip_invert_and_threshold() -> None:
    raw = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    seen = preprocess(raw, PAPER, "network").ravel()
    assert np.array_equal(seen, np.arange(256, dtype=np.float32) / np.float32(255))


def test_nothing_asked_is_the_byte_itself() -> None:
    assert np.array_equal(table(Preprocess(), 0), np.arange(256, dtype=np.float32))


def test_it_is_torchvisions_normalize() -> None:
    """ToTensor and Normalize by torch in double, on pictures with C, H and W pairwise different."""
    import torch

    mean, std = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
    raw = np.random.default_rng(1).integers(0, 256, (4, 3, 5, 7), dtype=np.uint8)
    ours = preprocess(raw, Preprocess(scale=Fraction(1, 255), mean=mean, std=std), "camera")
    torchs = torch.from_numpy(raw).double().div(255)
    torchs = torchs.sub(torch.tensor(mean).double()[:, None, None]).div(torch.tensor(std).double()[:, None, None])
    assert ours.shape == raw.shape
    assert np.allclose(ours, torchs.numpy(), rtol=0, atol=1e-6)
    one = preprocess(raw[2], Preprocess(scale=Fraction(1, 255), mean=mean, std=std), "camera")
    assert np.array_equal(one, ours[2])


_FINITE = st.floats(-1e6, 1e6, allow_nan=False)
_SCALES = st.builds(Fraction, st.integers(1, 10**9), st.integers(1, 10**9))


@settings(max_examples=40, deadline=None)
@given(scale=_SCALES, mean=_FINITE, std=_FINITE.filter(lambda x: abs(x) > 1e-6), byte=st.integers(0, 255))
def test_each_entry_is_rounded_once(scale: Fraction, mean: float, std: float, byte: int) -> None:
    """The exact value, in decimals of 700 digits, is no nearer to a neighbour than to the entry."""
    entry = table(Preprocess(scale=scale, mean=(mean,), std=(std,)), 0)[byte]
    with localcontext() as context:
        context.prec = 700
        exact = (Decimal(scale.numerator) * byte / Decimal(scale.denominator) - Decimal(mean)) / Decimal(std)
        off = abs(Decimal(float(entry)) - exact)
        for way in (-np.inf, np.inf):
            assert off <= abs(Decimal(float(np.nextafter(entry, np.float32(way)))) - exact)


def test_a_case_where_rounding_twice_would_be_wrong() -> None:
    """1 + 2^-24 + 2^-60 lies above the middle of two floats; through double it would round down, to 1."""
    value = 1 + Fraction(1, 2**24) + Fraction(1, 2**60)
    assert np.float32(float(value)) == np.float32(1)
    assert table(Preprocess(scale=value), 0)[1] == np.float32(1 + 2**-23)


def test_ties_go_to_even() -> None:
    assert table(Preprocess(scale=1 + Fraction(1, 2**24)), 0)[1] == np.float32(1)
    assert table(Preprocess(scale=1 + Fraction(3, 2**24)), 0)[1] == np.float32(1 + 2**-22)


def test_a_c_program_computes_the_quotient_to_the_bit(tmp_path: Path) -> None:
    hows = [
        PAPER,
        Preprocess(),
        Preprocess(scale=Fraction(1, 128), threshold=1),
        Preprocess(scale=Fraction(2, 255), invert=True),
        Preprocess(scale=Fraction(65793, 16777213), threshold=255),
        Preprocess(scale=Fraction(1, 10)),
    ]
    lines = ["#include <stdio.h>", "int main(void) {"]
    for how in hows:
        pair = quotient(how)
        assert pair is not None
        invert, threshold = int(how.invert), how.threshold or 0
        lines += [
            "for (int p = 0; p < 256; p++) {",
            f"int b = {invert} ? 255 - p : p; if (b < {threshold}) b = 0;",
            f"float v = (float)({pair[0]} * b) / (float){pair[1]}; fwrite(&v, sizeof v, 1, stdout); }}",
        ]
    source = tmp_path / "x.c"
    source.write_text("\n".join([*lines, "return 0; }"]))
    subprocess.run(["gcc", "-O2", "-o", str(tmp_path / "x"), str(source)], check=True, timeout=60)
    out = subprocess.run([str(tmp_path / "x")], check=True, capture_output=True, timeout=60).stdout
    got = np.frombuffer(out, dtype=np.float32).reshape(len(hows), 256)
    for how, row in zip(hows, got, strict=True):
        assert row.tobytes() == table(how, 0).tobytes()


def test_no_quotient_where_it_would_not_be_exact() -> None:
    assert quotient(Preprocess(mean=(0.0,))) is None
    assert quotient(Preprocess(std=(2.0,))) is None
    assert quotient(Preprocess(scale=Fraction(1, 2**24 + 1))) is None
    assert quotient(Preprocess(scale=Fraction(65794, 3))) is None


def test_stage_bytes() -> None:
    seen = stage_bytes(Preprocess(invert=True, threshold=200))
    assert seen[:57] == [*range(255, 199, -1), 0]
    assert set(seen[56:]) == {0}
    assert stage_bytes(PAPER, "network") == list(range(256))


def test_vectors_have_one_channel() -> None:
    how = Preprocess(mean=(1.0,), std=(2.0,))
    assert preprocess(np.array([1, 3], dtype=np.uint8), how, "network").tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("raw", "how", "stage", "says"),
    [
        (np.zeros((1, 2, 3), np.float32), Preprocess(), "camera", "must be uint8, not float32"),
        (np.zeros((2, 3), np.uint8), Preprocess(), "camera", "shape"),
        (np.zeros((2, 3, 3), np.uint8), Preprocess(mean=(1.0,)), "camera", "2 channels"),
        (np.zeros((1, 3, 3), np.uint8), Preprocess(std=(1.0, 1.0)), "camera", "1 channels"),
        (np.zeros((1, 3, 3), np.uint8), Preprocess(std=(0.0,)), "camera", "std"),
        (np.zeros((1, 3, 3), np.uint8), Preprocess(std=(1e-40,)), "camera", "float32 cannot hold"),
        (np.zeros((1, 3, 3), np.uint8), Preprocess(), "sensor", "no stage 'sensor'"),
    ],
)
def test_what_does_not_fit_is_refused(raw: np.ndarray, how: Preprocess, stage: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        preprocess(raw, how, stage)


def test_the_input_of_an_int8_network() -> None:
    """The paper's demo: the byte past invert and threshold, less 128. Normalized pixels: exact decimals decide."""
    unit = QuantParams(np.float32(1 / 255), -128)
    assert int8_table(PAPER, 0, unit).tolist() == [byte - 128 for byte in stage_bytes(PAPER)]
    how = Preprocess(scale=Fraction(1, 255), mean=(0.25,), std=(0.5,))
    params = QuantParams(np.float32(0.0078125), -64)
    exact = [(Fraction(byte, 255) - Fraction(1, 4)) * 2 * 128 for byte in range(256)]
    expected = [max(-128, min(127, int(abs(v) + Fraction(1, 2)) * (1 if v > 0 else -1) - 64)) for v in exact]
    assert int8_table(how, 0, params, "network").tolist() == expected


@pytest.mark.parametrize("seed", range(12))
def test_a_line_through_quantized_pixels_is_exact_for_every_byte(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mean, std = float(rng.uniform(-0.5, 1)), float(rng.uniform(0.05, 2) * rng.choice([-1, 1]))
    how = Preprocess(scale=Fraction(1, 255), mean=(mean,), std=(std,))
    values = np.sort([(-mean) / std, (1 - mean) / std]) * rng.uniform(0.7, 1.3)
    low, high = min(values[0], 0.0), max(values[1], 0.0)
    scale = np.float32((high - low) / 255)
    params = QuantParams(scale, int(np.clip(round(-128 - low / float(scale)), -128, 127)))
    table = int8_table(how, 0, params, "network")
    line = line_through(table)
    assert line is not None
    raw = (np.arange(256) * line.factor + line.offset) >> line.shift
    assert np.array_equal(np.clip(raw, -128, 127), table)
    assert line.clamps == bool((raw < -128).any() or (raw > 127).any())
    assert max(abs(int(raw.min())), abs(int(raw.max()))) < 2**31


def test_the_plain_picture_is_a_subtraction_and_a_crooked_table_no_line() -> None:
    line = line_through(np.arange(-128, 128).astype(np.int8))
    assert line is not None and (line.factor, line.offset, line.shift, line.clamps) == (1, -128, 0, False)
    assert line.text("v") == "v - 128"
    assert line_through((np.arange(256) % 7).astype(np.int8)) is None
