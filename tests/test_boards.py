"""Board data: complete, consistent with PlatformIO's part of the manifest, and with the published facts."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from uc_nn_pio.boards import board_ids, load_board
from uc_nn_pio.errors import BoardError
from uc_nn_pio.resources import resources


@pytest.mark.parametrize("name", board_ids())
def test_each_board_is_complete_and_agrees_with_its_manifest(name: str) -> None:
    board = load_board(name)
    manifest = json.loads((resources("boards") / f"{name}.json").read_text())
    assert {"name", "url", "vendor"} <= set(manifest)
    assert manifest["upload"]["maximum_ram_size"] == board.ram.size
    assert manifest["upload"]["maximum_size"] == board.flash.size
    assert board.flash.end <= board.flash.device_origin + board.flash.device_size
    assert manifest["build"]["f_cpu"] == f"{board.clocks['core_default_hz']}L"
    spans = sorted((region.origin, region.end) for region in board.regions.values())
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert board.clocks["core_default_hz"] in board.clocks["core_choices_hz"]


def test_the_facts_of_the_hifive1() -> None:
    board = load_board("hifive1")
    assert (board.ram.origin, board.ram.size) == (0x80000000, 16 * 1024)
    assert board.flash.origin == 0x20400000
    assert load_board("hifive1-revb").flash.origin == 0x20010000
    assert board.pins["uart0_tx"] == 17 and board.pins["sccb_sda"] == 12 and board.pins["camera_sck"] == 5


def test_the_virtual_board_is_the_hifive1() -> None:
    real, virtual = load_board("hifive1"), load_board("hifive1_virtual")
    assert virtual.virtual and not real.virtual
    assert (virtual.regions, virtual.details) == (real.regions, real.details)


def test_an_unknown_board_suggests_the_nearest() -> None:
    with pytest.raises(BoardError) as caught:
        load_board("hifive")
    assert "hifive1" in str(caught.value) and caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ('{"name": "x", "build": {}}', "no data of uc_nn_pio"),
        ('{"name": "x", "build": {}, "uc_nn": {"chip": "c"}}', "incomplete"),
    ],
)
def test_a_broken_board_file_is_a_clear_error(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(BoardError, match=said):
        load_board("x", manifest=path)
