"""The guard against worse figures, on rows made up here."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from uc_nn_pio.bench.record import record, recorded, worse


@pytest.fixture
def row() -> dict[str, Any]:
    return copy.deepcopy(recorded()["rows"]["lenet5-int8"])


def test_the_record_is_not_worse_than_itself(row: dict[str, Any]) -> None:
    assert worse(row, row) == []


@pytest.mark.parametrize(("network", "most"), [("lenet5", 1164), ("cifar10", 4408)])
def test_at_the_least_ram_instructions_are_those_of_pingpong_within_a_tenth(network: str, most: int) -> None:
    rows = recorded()["rows"]
    least, whole = rows[f"{network}-int8-streamed_least"], rows[f"{network}-int8"]
    assert least["context_bytes"] <= most
    assert least["instructions"] <= 1.1 * whole["instructions"]


@pytest.mark.parametrize(
    "name", ["ram_bytes", "context_bytes", "scratch_bytes", "stack_bytes", "code_bytes", "const_bytes"]
)
def test_a_count_that_grows_by_more_than_two_percent_is_named(row: dict[str, Any], name: str) -> None:
    grown = {**row, name: int(row[name] * 1.02)}
    assert worse(grown, row) == []
    (found,) = worse({**row, name: int(row[name] * 1.03) + 1}, row)
    assert found.startswith(f"{name}: ") and "%" in found
    assert worse({**row, name: row[name] // 2}, row) == []


@pytest.mark.parametrize("count", ["instructions", "cycles"])
def test_a_picture_that_takes_longer_is_named(row: dict[str, Any], count: str) -> None:
    longer = copy.deepcopy(row)
    longer["pictures"]["gray"][count] = int(row["pictures"]["gray"][count] * 1.03)
    (found,) = worse(longer, row)
    assert found.startswith(f"{count} of gray: ")


def test_more_bytes_from_flash_are_named(row: dict[str, Any]) -> None:
    more = copy.deepcopy(row)
    more["flash"]["bytes"] *= 2
    (found,) = worse(more, row)
    assert "flash" in found and "+100.0%" in found


def test_what_cannot_be_compared_is_not_passed_over(row: dict[str, Any]) -> None:
    assert worse({**row, "compiler": "gcc 99.1"}, row) == ["compiler is 'gcc 99.1', on record 'gcc 12.2.0'"]
    assert worse({**row, "pictures": {}}, row) == ["no picture of the record was measured"]
    assert worse({**row, "pictures": {"another": {"cycles": 1}}}, row) == ["no picture of the record was measured"]


def test_a_record_needs_a_reason(row: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reason"):
        record({"lenet5-int8": row}, "  ", tmp_path / "recorded.json")
    assert not list(tmp_path.iterdir())


def test_a_record_keeps_other_rows_reasons_and_the_accuracy_of_the_same_graph(
    row: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "recorded.json"
    row["accuracy"] = {"percent": 98.0}
    record({"lenet5-int8": row, "lenet5-float32": row}, "first", path)
    record({"lenet5-int8": {**row, "accuracy": None, "cycles": 1}}, "second", path)
    found = json.loads(path.read_text())
    assert found["reasons"] == ["first", "second"] and set(found["rows"]) == {"lenet5-int8", "lenet5-float32"}
    assert found["rows"]["lenet5-int8"]["cycles"] == 1
    assert found["rows"]["lenet5-int8"]["accuracy"] == {"percent": 98.0}
    record({"lenet5-int8": {**row, "accuracy": None, "graph_sha256": "another"}}, "third", path)
    assert json.loads(path.read_text())["rows"]["lenet5-int8"]["accuracy"] is None
