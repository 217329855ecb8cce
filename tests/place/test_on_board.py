"""Tables in RAM on the virtual board: never read from flash, and as much faster as predicted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from uc_nn_pio.bench.measure import Measurement, measure
from uc_nn_pio.bench.networks import NETWORKS, pictures
from uc_nn_pio.boards import Board, load_board
from uc_nn_pio.converter import Conversion, convert
from uc_nn_pio.report import report, report_text


@pytest.fixture(scope="module")
def board() -> Board:
    return load_board("hifive1_virtual")


def converted(board: Board, ram_weights: str | int, ram_budget: int | None = None) -> Conversion:
    spec = NETWORKS["lenet5"].load("int8")
    return convert(replace(spec, memory=replace(spec.memory, ram_weights=ram_weights, ram_budget=ram_budget)), board)


def measured(conversion: Conversion, board: Board) -> Measurement:
    shown = pictures(conversion.design.spec).only("gray")
    return measure(conversion, shown.raw, board, 320_000_000)


def test_the_gain_on_lenet5_is_the_predicted_one(board: Board) -> None:
    """All that fits, and the first layer's table alone."""
    before = measured(converted(board, "none"), board)
    for asked, tables in (("auto", {"conv1_weights", "conv2_weights", "fc3_weights"}), (600, {"conv1_weights"})):
        conversion = converted(board, asked)
        placement = conversion.design.placement
        assert set(placement.saved_cycles) == tables
        after = measured(conversion, board)
        gain = before.worst.cycles - after.worst.cycles
        assert gain == pytest.approx(sum(placement.saved_cycles.values()), rel=0.03)
        assert after.worst.instructions == before.worst.instructions
        for name, reads in after.tables.items():
            in_ram = placement.in_ram(name.removeprefix("lenet5_"))
            assert (reads.words_read == 0) == in_ram, name
            assert reads.most <= 1


def test_the_budget_holds_context_and_tables(board: Board) -> None:
    context = converted(board, "none").design.plan.total_bytes
    for spare in (0, 215, 216, 2560, 2776, 4000):
        design = converted(board, "auto", context + spare).design
        assert design.plan.total_bytes == context and design.placement.ram_bytes <= spare
        assert bool(design.placement.ram_bytes) == (spare >= 216)


def test_where_no_table_is_in_ram_the_c_does_not_name_the_section(board: Board) -> None:
    assert "uc_nn_ram" not in "".join(converted(board, "none").files.values())
    assert converted(board, "auto").files["lenet5.c"].count('LENET5_IN_RAM("lenet5_') == 3


def test_without_read_costs_nothing_is_placed(board: Board) -> None:
    flash = replace(board.flash, random_word_cycles=None, sequential_word_cycles=None)
    details = {key: value for key, value in board.details.items() if key != "cost_model"}
    unknown = replace(board, regions={**board.regions, "flash": flash}, details=details)
    assert converted(unknown, "auto").design.placement.ram_bytes == 0


def test_the_report_says_where_each_table_lies(board: Board) -> None:
    design = converted(board, 600).design
    rows = {row["name"]: row for row in report(design)["tables"]}
    assert rows["conv1_weights"] == {
        "name": "conv1_weights", "layer": "conv1", "bytes": 216, "region": "ram", "reads_per_word": 1.0,
        "saved_cycles": 53 * (268 - 2) + 550 - 2,
    }  # fmt: skip
    assert rows["fc1_weights"]["region"] == "flash" and rows["fc1_weights"]["saved_cycles"] is None
    assert "216 B tables copied from flash at start-up (conv1_weights 216 B)" in report_text(design)
