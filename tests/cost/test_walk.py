"""Counts of operations in pieces of C that are small enough to count by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest

from uc_nn_pio.cost.walk import Source, executed, written


def counted(
    body: str, known: Mapping[str, int] | None = None, parameters: str = "const int8_t *x, int8_t *y"
) -> Counter:
    source = Source(f"static void f({parameters})\n{{\n{body}\n}}\n", {"w": "uint32_t"})
    return executed(source.tally("f", known or {}))


def test_loops_multiply_what_is_in_them() -> None:
    found = counted(
        """for (int32_t i = 0; i < 6; i++) {
               for (int32_t j = 2; j < 12; j += 2) {
                   y[i * 5 + j] = x[j];
               }
           }"""
    )
    assert (found["load1"], found["store1"]) == (30, 30)
    assert (found["enter"], found["turn"]) == (1 + 6, 6 + 30)


def test_a_bound_that_depends_on_an_outer_counter_is_followed_turn_by_turn() -> None:
    found = counted(
        """for (int32_t i = 0; i < 5; i++) {
               for (int32_t j = i; j < 5; j++) {
                   *y++ = x[j];
               }
           }"""
    )
    assert found["load1"] == 5 + 4 + 3 + 2 + 1


def test_a_loop_of_one_turn_is_none() -> None:
    found = counted("for (int32_t i = 0; i < 1; i++) {\n*y = x[i];\n}")
    assert (found["load1"], found["enter"], found["turn"]) == (1, 0, 0)


def test_only_the_side_that_is_taken_counts() -> None:
    found = counted(
        """for (int32_t i = 0; i < 8; i++) {
               if (i < 3) {
                   y[i] = (int8_t)(x[i] * 3);
               } else {
                   y[i] = x[i];
               }
           }"""
    )
    assert found["load1"] == 8
    assert found["multiply"] + found["scale"] == 3


def test_half_of_what_data_decide() -> None:
    found = counted(
        """for (int32_t i = 0; i < 8; i++) {
               const int32_t v = x[i];
               if (v > 0) {
                   *y = (int8_t)v;
               }
           }"""
    )
    assert (found["load1"], found["store1"], found["branch"]) == (8, 4, 8)


def test_parameters_decide_too() -> None:
    body = "for (int32_t i = py > 0 ? 0 : 2; i < 4; i++) {\n*y = x[i];\n}"
    parameters = "const int8_t *x, int8_t *y, int32_t py"
    assert counted(body, {"py": 0}, parameters)["load1"] == 2
    assert counted(body, {"py": 7}, parameters)["load1"] == 4


def test_a_continue_ends_the_turn() -> None:
    found = counted(
        """for (int32_t i = 0; i < 10; i++) {
               if (i < 4) {
                   continue;
               }
               *y = x[i];
           }"""
    )
    assert found["load1"] == 6


def test_floats_and_words_are_kinds_of_their_own() -> None:
    found = counted(
        "float sum = 0.0f;\nfor (int32_t i = 0; i < 7; i++) {\nsum += x[i] * 2.0f;\n}\n*y = sum;",
        parameters="const float *x, float *y",
    )
    assert (found["fmul"], found["fadd"], found["load4"], found["store4"]) == (7, 7, 7, 1)


def test_calls_count_what_they_call() -> None:
    source = Source(
        """static int32_t g(const int8_t *x, int32_t n)
           {
               int32_t sum = 0;
               for (int32_t i = 0; i < n; i++) {
                   sum += x[i];
               }
               return sum;
           }
           static void f(const int8_t *x, int32_t *y)
           {
               y[0] = g(x, 3) + g(x, 4);
           }""",
        {},
    )
    found = executed(source.tally("f", {}))
    assert (found["call"], found["load1"]) == (2, 7)
    assert written(source.tally("f", {}), source)["g"]["load1"] == 1


def test_written_is_what_is_reached_however_often_it_runs() -> None:
    source = Source(
        """static void f(const int8_t *x, int8_t *y)
           {
               for (int32_t i = 0; i < 100; i++) {
                   y[i] = x[i];
               }
               if (0 > 1) {
                   y[5] = x[6];
               }
           }""",
        {},
    )
    tally = source.tally("f", {})
    assert (written(tally, source)["f"]["load1"], executed(tally)["load1"]) == (1, 100)


def test_what_it_does_not_know_is_an_error() -> None:
    with pytest.raises(NotImplementedError):
        counted("switch (x[0]) {\ncase 1:\n*y = 1;\n}")
