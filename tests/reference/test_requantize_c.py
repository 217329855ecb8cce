"""Requantization in C, as generated, against the reference and against a third statement of the formula.

That one has neither shifts nor masks: it is made of floor divisions, in integers without bound for a part of the cases
and in 64-bit integers for all of them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from fractions import Fraction
from math import floor
from pathlib import Path

import jinja2
import numpy as np
import pytest

from tests.emit.harness import case_of, run_sanitized
from tests.emit.int8_networks import design_of_int8
from uc_nn_pio.emit.kernels.tuning import Tuning
from uc_nn_pio.graph.build import GraphBuilder
from uc_nn_pio.graph.ops import Conv2d
from uc_nn_pio.graph.quant import QuantParams
from uc_nn_pio.quantize import IntegerWeights, with_integers
from uc_nn_pio.reference.integer import requantize

LOWEST, HIGHEST = -(2**31), 2**31 - 1
COUNT = 1_500_000
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror", "-O1")
SANITIZE = {"gcc": "-fno-sanitize-recover=all", "clang": "-fsanitize-trap=undefined"}
"""How undefined behaviour ends the program; clang's messages would take a library that may not be there."""

_MAIN = """
#include <stdint.h>
#include <stdio.h>
{functions}
int main(int argc, char **argv)
{{
    int32_t range[3]; /* zero point, lowest, highest */
    int32_t one[3];   /* accumulator, multiplier, shift */

    if (argc != 2 || fread(range, sizeof range, 1, stdin) != 1) return 2;
    while (fread(one, sizeof one, 1, stdin) == 1) {{
        (void)putchar(argv[1][0] == 'a' ? net_requantize_any(one[0], one[1], one[2], range[0], range[1], range[2])
                                        : net_requantize(one[0], one[1], one[2], range[0], range[1], range[2]));
    }}
    return 0;
}}
"""

Function = Callable[..., np.ndarray]
"""``(acc, q, e, z, lo, hi)`` -> int8, as the reference's."""


@pytest.fixture(scope="module", params=["gcc", "clang"])
def functions(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Function]:
    """The generated functions by name, as native code of this compiler that ends at undefined behaviour."""
    folder = tmp_path_factory.mktemp("requantize")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("uc_nn_pio.emit", "templates"), trim_blocks=True, lstrip_blocks=True
    )
    helpers = frozenset({"requantize", "requantize_any"})
    text = environment.get_template("math_int8.c.j2").render(prefix="net", helpers=helpers)
    (folder / "main.c").write_text(_MAIN.format(functions=text))
    sanitize = ["-fsanitize=undefined", SANITIZE[request.param]]
    subprocess.run([request.param, *FLAGS, *sanitize, "main.c", "-o", "program"], cwd=folder, check=True)

    def function(which: str) -> Function:
        def call(acc: np.ndarray, q: np.ndarray, e: np.ndarray, z: int, lo: int, hi: int) -> np.ndarray:
            given = (
                np.array([z, lo, hi], np.int32).tobytes() + np.stack([acc, q, -e], axis=1).astype(np.int32).tobytes()
            )
            done = subprocess.run([folder / "program", which], input=given, capture_output=True, check=False)
            assert done.returncode == 0, (done.returncode, done.stderr.decode()[:500])
            return np.frombuffer(done.stdout, np.int8)

        return call

    return {"requantize": function("simple"), "requantize_any": function("any")}


def by_fractions(acc: int, q: int, e: int, z: int, lo: int, hi: int) -> int:
    """From the formula: nearest to ``acc * 2^max(e, 0) * q / 2^31``, halves up; nearest to that over ``2^max(-e, 0)``,
    halves away from zero; what the accumulator's saturation changes is out of int8 by far."""
    first = floor(Fraction(acc * 2 ** max(e, 0) * q, 2**31) + Fraction(1, 2))
    second = Fraction(abs(first), 2 ** max(-e, 0)) + Fraction(1, 2)
    rounded = floor(second) if first >= 0 else -floor(second)
    return min(max(rounded + z, lo), hi)


def by_divisions(acc: np.ndarray, q: np.ndarray, e: np.ndarray, z: int, lo: int, hi: int) -> np.ndarray:
    """The same in 64-bit integers. ``2^e`` above 1 is multiplied in a factor of 2 at a time, until int32 is left."""
    x = acc.astype(np.int64)
    for done in range(int(e.max())):
        x = np.where((e > done) & (np.abs(x) < 2**31), 2 * x, x)
    x = np.minimum(np.maximum(x, LOWEST), HIGHEST)
    first = (x * q + 2**30) // 2**31
    step = np.int64(2) ** np.maximum(-e, 0)
    rounded = np.sign(first) * ((2 * np.abs(first) + step) // (2 * step))
    return np.clip(rounded + z, lo, hi).astype(np.int8)


def agree(function: Function, acc: np.ndarray, q: np.ndarray, e: np.ndarray, z: int, lo: int, hi: int) -> None:
    """The C, the reference and the divisions on all of the cases; the fractions on 1,000 of them."""
    acc, q, e = (np.asarray(array, np.int64) for array in (acc, q, e))
    found = function(acc, q, e, z, lo, hi)
    assert found.shape == acc.shape
    for expected in (requantize(acc, q, e, z, lo, hi), by_divisions(acc, q, e, z, lo, hi)):
        wrong = np.flatnonzero(found != expected)
        assert not wrong.size, [(acc[i], q[i], e[i], z, lo, hi, found[i], expected[i]) for i in wrong[:5]]
    for i in range(0, len(acc), max(len(acc) // 1000, 1)):
        case = (*(int(array[i]) for array in (acc, q, e)), z, lo, hi)
        assert found[i] == by_fractions(*case), case


def draw(rng: np.random.Generator, count: int, lowest: int, highest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Accumulators of every length, multipliers with their ends among them, exponents from ``lowest`` to ``highest``:
    three quarters such that the result is about as long as an int8, the rest any."""
    bits = rng.integers(1, 32, count)
    acc = rng.integers(LOWEST, HIGHEST, count, endpoint=True) >> (31 - bits)
    q = rng.integers(2**30, HIGHEST, count, endpoint=True)
    special = rng.random(count) < 0.2
    q[special] = rng.choice([2**30, 2**30 + 1, 3 * 2**29, HIGHEST - 1, HIGHEST, 0], special.sum())
    q *= rng.choice([1, 1, 1, -1], count)  # negative ones: leaky_relu with a negative slope
    fitting = np.clip(8 - bits + rng.integers(-1, 2, count), lowest, highest)
    return acc, q, np.where(rng.random(count) < 0.75, fitting, rng.integers(lowest, highest, count, endpoint=True))


def shorter_formula_holds(acc: np.ndarray, e: np.ndarray) -> np.ndarray:
    """Where conversion chooses ``requantize``: shifts to the right, and rounding that cannot leave int32."""
    return (e < 0) & (np.abs(acc) + (np.int64(1) << np.maximum(-e - 1, 0)) < 2**31)


RANGES = [(0, -128, 127), (-128, -128, 127), (127, -128, 127), (-128, -128, -77), (5, 5, 127), (-9, -9, 41)]
"""Zero point and clamps: as without an activation, and behind relu and relu6."""


@pytest.mark.parametrize("seed", [1, 2])
def test_any_shift_at_random(functions: dict[str, Function], seed: int) -> None:
    rng = np.random.default_rng(seed)
    for z, lo, hi in RANGES:
        agree(functions["requantize_any"], *draw(rng, COUNT // len(RANGES), -31, 30), z, lo, hi)


def test_shifts_to_the_right_at_random(functions: dict[str, Function]) -> None:
    rng = np.random.default_rng(3)
    for z, lo, hi in RANGES:
        acc, q, e = draw(rng, COUNT // len(RANGES), -31, -1)
        holds = shorter_formula_holds(acc, e)
        assert holds.mean() > 0.8
        agree(functions["requantize"], acc[holds], q[holds], e[holds], z, lo, hi)


def test_ends_and_ties(functions: dict[str, Function]) -> None:
    """Accumulators at the ends of int32, around every power of two and at every odd number of halves, with every
    exponent; multipliers that are powers of two meet halves exactly."""
    powers = {sign * 2**k + d for k in range(32) for sign in (-1, 1) for d in (-2, -1, 0, 1, 2)}
    halves = {sign * (2 * n + 1) * 2**k for n in range(130) for k in range(0, 24, 3) for sign in (-1, 1)}
    values = np.array(sorted(v for v in powers | halves | {LOWEST, HIGHEST} if LOWEST <= v <= HIGHEST))
    for q in (2**30, 2**30 + 1, HIGHEST, -(2**30), -HIGHEST, LOWEST, 0):
        acc, e = (array.ravel() for array in np.meshgrid(values, np.arange(-31, 31)))
        holds = shorter_formula_holds(acc, e)
        for z, lo, hi in RANGES[:3]:
            agree(functions["requantize_any"], acc, np.full(len(acc), q), e, z, lo, hi)
            agree(functions["requantize"], acc[holds], np.full(holds.sum(), q), e[holds], z, lo, hi)


def test_the_formula_of_depthwise_convolutions_at_random(tmp_path: Path) -> None:
    """They take one upper half of a product where that gives the same. A kernel of one tap on each of the 256 inputs,
    with another bias, weight and multiplier in every channel: 614,400 cases, most of them near the output's range."""
    rng = np.random.default_rng(4)
    shape = (600, 16, 16)
    inputs = np.array([rng.permutation(256) - 128 for _ in range(2 * shape[0])], np.int8).reshape(2, *shape)
    cases, expected = [], []
    for number, (z, zero_point) in enumerate([(3, -5), (-128, -128)]):
        bits = rng.integers(10, 27, shape[0])  # of the accumulator; a multiplier to match
        bias = rng.integers(-(2**bits), 2**bits, endpoint=True).astype(np.int32)
        weight = rng.integers(-127, 128, (shape[0], 1, 1, 1)).astype(np.int8)
        scale = (np.exp2(7.0 - bits) * rng.uniform(0.3, 1.6, shape[0])).astype(np.float32)
        build = GraphBuilder("net")
        op = Conv2d(groups=shape[0])
        build.add("layer", op, build.input("x", shape), weight=weight, bias=bias)
        params = {name: QuantParams(np.float32(1), zero) for name, zero in (("x", z), ("layer", zero_point))}
        graph = with_integers(build.graph("layer"), params, {"layer": IntegerWeights(weight, scale, bias)})
        design = design_of_int8(graph, Tuning(packed=bool(number)), f"net{number}")
        assert design.kernels[0].narrow
        cases.append(case_of(design, inputs))
        q, e = (graph.constant(graph.nodes[0], role).reshape(-1, 1, 1) for role in ("multiplier", "exponent"))
        acc = bias.reshape(-1, 1, 1) + weight[:, 0].astype(np.int64) * (inputs.astype(np.int64) - z)
        expected.append(by_divisions(acc, q.astype(np.int64), e.astype(np.int64), zero_point, -128, 127))
    for found, wanted in zip(run_sanitized(cases, tmp_path), expected, strict=True):
        assert np.array_equal(found, wanted)
        assert (np.abs(wanted.astype(int)) < 120).mean() > 0.2, "not all of them saturate"
