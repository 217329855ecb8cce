"""The measured figures of LeNet-5, and where the linker put its weights."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from uc_nn_pio.bench import bench, peers
from uc_nn_pio.bench.measure import build, measure, write_sources
from uc_nn_pio.boards import load_board
from uc_nn_pio.convert import Conversion, convert
from uc_nn_pio.pio.packages import compiler_prefix

SPEC = Path(__file__).parents[2] / "examples" / "lenet5_camera" / "models" / "lenet5.yaml"
GRAY = np.full((1, 1, 32, 32), 128, np.uint8)


@pytest.fixture(scope="module")
def conversion() -> Conversion:
    return convert(SPEC)


def test_lenet5_on_the_virtual_board_is_right_and_within_its_declared_bytes() -> None:
    (row,) = bench()
    assert row["right"] == 10
    assert (row["activation_bytes"], row["scratch_bytes"], row["weight_bytes"]) == (8800, 100, 246824)
    assert row["weight_bytes"] <= row["const_bytes"] <= row["weight_bytes"] + 256
    assert 0 < row["stack_bytes"] <= 1024
    # the paper's author's own code takes more RAM and more instructions on the same compiler
    (author,) = (item for item in peers()["lenet5"] if item["name"] == "paper's author's code")
    assert row["ram_bytes"] < author["ram"] and row["instructions"] < author["instructions_m"] * 1e6


def test_counts_repeat(conversion: Conversion) -> None:
    board = load_board("hifive1_virtual")
    first, second = (measure(conversion.files, "lenet5", GRAY, board, 320_000_000) for _ in range(2))
    assert first == second


def test_the_map_file_shows_every_weight_in_flash(conversion: Conversion, tmp_path: Path) -> None:
    board = load_board("hifive1")
    write_sources(tmp_path, conversion.files, "lenet5", GRAY, board, 320_000_000)
    build(compiler_prefix() + "gcc", tmp_path, "lenet5", board)
    found: dict[str, tuple[int, int]] = {}
    section = re.compile(r"^ \.(?:s?rodata|s?data|s?bss)\.(lenet5_\w+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)", re.M)
    for name, address, size in section.findall((tmp_path / "bench.map").read_text()):
        if int(size, 16):
            found[name] = (int(address, 16), int(size, 16))
    weights = {name: at for name, at in found.items() if name.endswith("_weights")}
    assert sum(size for _, size in weights.values()) == 4 * 61706
    assert all(board.flash.origin <= address < board.flash.end for address, _ in weights.values())
    assert not [name for name, (address, _) in found.items() if address >= board.ram.origin]
