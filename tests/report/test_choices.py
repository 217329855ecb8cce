"""The report's table of ways to lay a network out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from uc_nn_pio.boards import load_board
from uc_nn_pio.converter import convert
from uc_nn_pio.design import Design
from uc_nn_pio.report import report, report_text
from uc_nn_pio.spec import LEAST, MemorySpec, load_spec

SPEC = Path(__file__).parents[2] / "examples" / "lenet5_camera" / "models" / "lenet5.yaml"


def _design(memory: MemorySpec) -> Design:
    return convert(replace(load_spec(SPEC), memory=memory), load_board("hifive1")).design


@pytest.mark.parametrize(
    ("memory", "schedule"),
    [
        (MemorySpec(), "pingpong"),
        (MemorySpec("streamed"), "streamed"),
        (MemorySpec(ram_budget=1900), "streamed"),
        (MemorySpec(ram_budget=LEAST), "streamed"),
    ],
)
def test_the_way_that_was_taken_is_marked_and_is_the_designs(memory: MemorySpec, schedule: str) -> None:
    design = _design(memory)
    choices = report(design)["choices"]
    (taken,) = (way for way in choices if way["taken"])
    assert taken["schedule"] == design.plan.schedule == schedule
    assert taken["context_bytes"] == design.plan.total_bytes
    assert taken["rows_held"] == [k.row_need.rows for k in design.kernels if k.rows_apart]
    sizes = [way["context_bytes"] for way in choices]
    assert sizes == sorted(sizes, reverse=True) and {"pingpong", "streamed"} <= {way["schedule"] for way in choices}
    assert len({(way["schedule"], way["context_bytes"]) for way in choices}) == len(choices)


def test_windows_of_the_kernels_height_read_weights_again() -> None:
    ways = {way["context_bytes"]: way for way in report(_design(MemorySpec("streamed")))["choices"]}
    assert ways[1724]["rows_held"] == [6, 6] and ways[1068]["rows_held"] == [5, 5]
    # conv1 has 54 words, read once for each of 14 or 28 rows; conv2 640 for each of 5 or 10
    once = 54 + 640 + 12122 + 2606 + 222
    assert ways[2320]["weight_words_read"] == once
    assert ways[1724]["weight_words_read"] == once + 54 * 13 + 640 * 4
    # where a kernel row of conv1 begins a word in scratch, it begins one in flash: 60 words for 25 taps a channel
    assert ways[1068]["weight_words_read"] == once - 54 + 60 * 28 + 640 * 9


def test_the_text_has_a_line_a_way() -> None:
    design = _design(MemorySpec("streamed"))
    text, speed = report_text(design), f"{report(design)['predicted']['inferences_per_second']:.3g}"
    begin = text.index("ways to lay it out")
    lines = text[begin:].splitlines()
    taken = next(line for line in lines if line.endswith("taken"))
    assert taken.split() == ["streamed", "2", "6", "6", "1,724", "-", speed, "<-", "taken"]
    assert max(map(len, lines)) <= 120
