"""Why no code goes to RAM (docs/schedules.md): the cache holds it, or its RAM is worth more with weights in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from uc_nn_pio.boards import load_board
from uc_nn_pio.converter import convert
from uc_nn_pio.resources import resources
from uc_nn_pio.spec import LEAST, load_spec

BOARD = load_board("hifive1_virtual")
SPECS = {
    "lenet5": resources("examples") / "lenet5_camera" / "models" / "lenet5.yaml",
    "cifar10": resources("examples") / "cifar10_table1" / "models" / "cifar10.yaml",
}


def report_of(network: str, precision: str, **memory: Any) -> Any:
    spec = load_spec(SPECS[network])
    memory = {"ram_budget": None, **memory}
    return convert(replace(spec, precision=precision, memory=replace(spec.memory, **memory)), BOARD).report


@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("schedule", ["pingpong", "streamed"])
def test_lenet5_does_not_wait_for_code(schedule: str, precision: str) -> None:
    predicted = report_of("lenet5", precision, schedule=schedule)["predicted"]
    assert predicted["code_wait_cycles"] == 0 and predicted["flash_wait_cycles"] > 0


def test_what_is_larger_than_the_cache_waits_and_weights_are_worth_more() -> None:
    found = report_of("cifar10", "int8", schedule="streamed", ram_weights="auto")
    cache = BOARD.details["icache"]["size"]
    predicted = found["predicted"]
    assert predicted["code_bytes"] > cache and predicted["code_wait_cycles"] > 0
    at_best = predicted["code_wait_cycles"] / (predicted["code_bytes"] - cache)
    placed = [table for table in found["tables"] if table["region"] == "ram"]
    assert placed
    assert sum(t["saved_cycles"] for t in placed) / sum(t["bytes"] for t in placed) > 1.5 * at_best
    least = report_of("cifar10", "int8", schedule="streamed", ram_budget=LEAST)
    assert least["predicted"]["code_bytes"] < cache and least["predicted"]["code_wait_cycles"] == 0
