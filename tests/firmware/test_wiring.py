"""docs/wiring.md against board data and drivers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from uc_nn_pio.boards import load_board

TEXT = (Path(__file__).parents[2] / "docs" / "wiring.md").read_text(encoding="utf-8")
PINS = {"CS": "camera_cs", "MOSI": "camera_mosi", "MISO": "camera_miso", "SCK": "camera_sck"}
PINS |= {"SDA": "sccb_sda", "SCL": "sccb_scl"}


@pytest.mark.parametrize("board", ["hifive1", "hifive1-revb"])
def test_pins_are_those_of_the_board_data(board):
    """In the table and in the drawing."""
    table = dict(re.findall(r"^\| (\w+) \| D\d+ \| (\d+) \|", TEXT, re.MULTILINE))
    drawing = dict(re.findall(r"(\w+) +o-[^\n]* D\d+ +GPIO (\d+)", TEXT))
    pins = {name: str(load_board(board).pins[pin]) for name, pin in PINS.items()}
    assert table == drawing == pins


def test_every_line_in_the_table_is_one_that_the_drivers_say(drivers):
    texts = (drivers.c.fe310_error_text, drivers.c.sccb_error_text, drivers.c.ov2640_error_text)
    texts += (drivers.c.arducam_error_text,)
    found = re.findall(r"`(?:no camera: |error: )?([^`]*) \((-\d+)[^`]*\)`", TEXT)
    assert {int(code) for _, code in found} == {-11, -12, -13, -21, -31, -32, -33, -34}
    for line, code in found:
        said = next(text(int(code)) for text in texts if text(int(code))).decode()
        for part in line.split(" ... "):
            assert part.removesuffix(" ...") in said
