"""Fitting finds the costs that measured figures were made of."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from uc_nn_pio.bench.fit import Sample, errors_of, fit
from uc_nn_pio.bench.micro_kernels import cost_model_of
from uc_nn_pio.boards import load_board
from uc_nn_pio.cost.parameters import Stream, cost_model, counts, load_model, weighted
from uc_nn_pio.cost.prediction import Cost
from uc_nn_pio.cost.work import Work
from uc_nn_pio.errors import BoardError

COSTS = {"load1": 1.5, "store1": 1.0, "turn": 2.5, "multiply": 1.0}


def samples(noise: float = 0.0, count: int = 60) -> list[Sample]:
    rng = random.Random(5)
    found = []
    for _ in range(count):
        done = Counter({kind: rng.randint(50, 5000) for kind in COSTS})
        true = sum(done[kind] * cost for kind, cost in COSTS.items()) * (1 + noise * rng.uniform(-1, 1))
        words = rng.randint(100, 400)
        channels, known = rng.randint(1, 30), rng.randint(0, 1)
        flash = words * (268 - 7) - 900 * known + 50 * channels
        costs = Cost(instructions=round(true), core=round(2 * true), flash=flash)
        work = Work(done, Counter({kind: rng.randint(1, 30) for kind in COSTS}), {}, calls=0)
        code = 100 + 3 * sum(work.written.values())
        found.append(
            Sample("Kernel", "int8", "a kernel", work, costs, Stream(words * 268, words, channels, known), code)
        )
    return found


def test_planted_costs_are_found() -> None:
    cost = fit(samples())
    for kind, wanted in COSTS.items():
        assert cost.instructions[kind] == pytest.approx(wanted, rel=0.03)
        assert cost.cycles[kind] == pytest.approx(2 * wanted, rel=0.06)
    assert (cost.hidden, cost.folded, cost.begun) == (pytest.approx(7), pytest.approx(900), pytest.approx(50))
    assert cost.routine == pytest.approx(0, abs=1e-6)


def test_the_errors_are_those_of_samples_that_were_left_out() -> None:
    exact, noisy = errors_of(samples()), errors_of(samples(noise=0.1))
    assert exact["instructions"].largest < 0.02
    assert 0.03 < noisy["instructions"].root_mean_square < 0.1
    assert noisy["waits for constants"].largest < 1e-6
    # a sample that the others know nothing of: in-sample it would be fitted better
    odd = [*samples(count=12), replace(samples(count=1)[0], costs=Cost(instructions=10, core=10, flash=10))]
    assert errors_of(odd)["instructions"].largest > 10


def test_a_model_is_read_as_it_was_written(tmp_path: Path) -> None:
    model = cost_model_of(samples())
    model.write(tmp_path / "model.json")
    found = load_model(tmp_path / "model.json")
    work = samples()[0]
    for name in ("Kernel", "int8"):
        wanted = weighted(counts(work.work), model.kernels[name].cycles)
        assert weighted(counts(work.work), found.kernels[name].cycles) == pytest.approx(wanted, rel=1e-3)
    assert found.of("unheard of", "int8") == found.kernels["int8"]


def test_a_board_without_a_model_or_with_one_that_there_is_not() -> None:
    board = load_board("hifive1")
    assert cost_model(None) is None
    assert cost_model(replace(board, details={**board.details, "cost_model": None})) is None
    with pytest.raises(BoardError, match="no cost model 'z80'") as error:
        cost_model(replace(board, details={**board.details, "cost_model": "z80"}))
    assert "fe310" in str(error.value)
    details = {key: value for key, value in board.details.items() if key != "icache"}
    with pytest.raises(BoardError, match="needs the board's icache"):
        cost_model(replace(board, details={**details, "cost_model": "fe310"}))
    flash = replace(board.flash, random_word_cycles=None)
    with pytest.raises(BoardError, match="needs the board's read_cycles of flash"):
        cost_model(replace(board, regions={**board.regions, "flash": flash}))


def test_tables_in_ram_are_not_waited_for() -> None:
    cost, sample = fit(samples()), samples()[0]
    assert cost.wait(sample.stream, sample.work) > 0
    assert cost.wait(Stream(0, 0, sample.stream.channels, sample.stream.known), sample.work) == 0
