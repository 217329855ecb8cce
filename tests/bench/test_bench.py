"""The measured figures of LeNet-5, and where the linker put its weights."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from uc_nn_pio.bench import lenet5, peers
from uc_nn_pio.bench.measure import build, measure, write_sources
from uc_nn_pio.boards import load_board
from uc_nn_pio.convert import Conversion, convert
from uc_nn_pio.pio.packages import compiler_prefix
from uc_nn_pio.spec import load_spec

SPEC = Path(__file__).parents[2] / "examples" / "lenet5_camera" / "models" / "lenet5.yaml"
GRAY = np.full((1, 1, 32, 32), 128, np.uint8)


@pytest.fixture(scope="module")
def conversion() -> Conversion:
    return convert(replace(load_spec(SPEC), precision="float32"))


def test_lenet5_on_the_virtual_board_is_right_and_within_its_declared_bytes() -> None:
    row = lenet5("float32")
    assert row["right"] == 10
    assert (row["activation_bytes"], row["scratch_bytes"], row["weight_bytes"]) == (8800, 100, 246824)
    assert row["weight_bytes"] <= row["const_bytes"] <= row["weight_bytes"] + 256
    assert 0 < row["stack_bytes"] <= 1024
    # the paper's author's own code takes more RAM and more instructions on the same compiler
    (author,) = (item for item in peers()["lenet5"] if item["name"] == "paper's author's code")
    assert row["ram_bytes"] < author["ram"] and row["instructions"] < author["instructions_m"] * 1e6


def test_lenet5_in_int8_reaches_the_figures_that_it_was_designed_for() -> None:
    """The bounds are the design's: inferences a second at 352 MHz with reset flash settings, instructions, bytes."""
    row = lenet5("int8")
    assert row["right"] == 10
    assert row["activation_bytes"] == 2200 and row["scratch_bytes"] <= 200
    assert row["inferences_per_second"]["352000000"] >= 60
    assert row["instructions"] <= 1_200_000
    assert row["code_bytes"] <= 6 * 1024 and row["stack_bytes"] <= 256
    assert row["ram_bytes"] < min(item["ram"] for item in peers()["lenet5"])


def test_counts_repeat(conversion: Conversion) -> None:
    board = load_board("hifive1_virtual")
    first, second = (measure(conversion, GRAY, board, 320_000_000) for _ in range(2))
    assert first == second


def test_the_map_file_shows_every_weight_in_flash(conversion: Conversion, tmp_path: Path) -> None:
    board = load_board("hifive1")
    write_sources(tmp_path, conversion, GRAY, board, 320_000_000)
    build(compiler_prefix() + "gcc", tmp_path, conversion, board)
    found: dict[str, tuple[int, int]] = {}
    section = re.compile(r"^ \.(?:s?rodata|s?data|s?bss)\.(lenet5_\w+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)", re.M)
    for name, address, size in section.findall((tmp_path / "bench.map").read_text()):
        if int(size, 16):
            found[name] = (int(address, 16), int(size, 16))
    weights = {name: at for name, at in found.items() if name.endswith("_weights")}
    assert sum(size for _, size in weights.values()) == 4 * 61706
    assert all(board.flash.origin <= address < board.flash.end for address, _ in weights.values())
    assert not [name for name, (address, _) in found.items() if address >= board.ram.origin]
