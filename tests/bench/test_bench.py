"""The measured figures: within their goals, not worse than the record, and where the linker put the weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.table1 import EXAMPLE
from uc_nn_pio.bench import KEYS, parts, peers
from uc_nn_pio.bench.measure import build, measure, write_sources
from uc_nn_pio.bench.networks import NETWORKS, board_of
from uc_nn_pio.bench.record import recorded, worse
from uc_nn_pio.bench.rows import row
from uc_nn_pio.bench.toolchain import compile_model, object_sizes, version
from uc_nn_pio.boards import load_board
from uc_nn_pio.converter import Conversion, convert

GRAY = np.full((1, 1, 32, 32), 128, np.uint8)


@pytest.fixture(scope="module")
def conversion() -> Conversion:
    return convert(NETWORKS["lenet5"].load("float32"), load_board("hifive1"))


@pytest.fixture(scope="module")
def lenet5() -> dict[str, Any]:
    return row("lenet5", "int8", accuracy=False)


@pytest.fixture(scope="module")
def cifar10() -> dict[str, Any]:
    return row("cifar10", "int8", only=("gray", "noise"), accuracy=False)


@pytest.fixture(scope="module")
def lenet5_small() -> dict[str, Any]:
    return row("lenet5", "int8", "streamed_small", accuracy=False)


@pytest.fixture(scope="module")
def cifar10_small() -> dict[str, Any]:
    return row("cifar10", "int8", "streamed_small", only=("gray", "noise"), accuracy=False)


@pytest.fixture(scope="module")
def lenet5_float32() -> dict[str, Any]:
    return row("lenet5", "float32", only=("noise",), accuracy=False)


def test_lenet5_in_int8_reaches_its_goals(lenet5: dict[str, Any]) -> None:
    """Inferences a second at 352 MHz with reset flash settings and in dual I/O, instructions, bytes."""
    assert lenet5["right"] == lenet5["labelled"] == 10
    assert len(lenet5["pictures"]) == 12
    assert lenet5["activation_bytes"] == 2200 and lenet5["scratch_bytes"] <= 200
    assert lenet5["inferences_per_second"]["352000000"] >= 60
    assert lenet5["dual_io"]["inferences_per_second"]["352000000"] >= 90
    assert lenet5["instructions"] <= 1_200_000
    assert lenet5["code_bytes"] <= 4608 and lenet5["stack_bytes"] <= 200
    assert lenet5["ram_bytes"] < min(item["ram"] for item in peers()["lenet5"])


def test_cifar10_in_int8_reaches_its_goals(cifar10: dict[str, Any]) -> None:
    assert cifar10["activation_bytes"] == 11264 and cifar10["context_bytes"] <= 12_000
    assert cifar10["board_ram_bytes"] == 16384 and cifar10["note"] is None
    assert cifar10["inferences_per_second"]["352000000"] >= 14
    assert cifar10["instructions"] <= 17_000_000
    assert cifar10["stack_bytes"] <= 256
    integer = [item["ram"] for item in peers()["cifar10"] if item["table"] != "paper" and item["arithmetic"] == "int8"]
    assert len(integer) > 5 and min(integer) > 16384 > cifar10["ram_bytes"]


def test_streamed_networks_reach_their_goals(
    cifar10: dict[str, Any], lenet5_small: dict[str, Any], cifar10_small: dict[str, Any]
) -> None:
    """RAM of context and stack, and inferences a second at 352 MHz; the CIFAR-10 network takes less than 10 % more
    instructions than with pingpong, LeNet-5 with its small maps 15 %."""
    assert lenet5_small["right"] == 10 and lenet5_small["ram_bytes"] <= 1_600
    assert lenet5_small["inferences_per_second"]["352000000"] >= 48
    assert cifar10_small["ram_bytes"] <= 5_200
    assert cifar10_small["inferences_per_second"]["352000000"] >= 8.5
    assert cifar10_small["instructions"] <= 1.1 * cifar10["instructions"]


def test_the_least_ram_is_below_what_must_be_reached() -> None:
    """By the record: 1,700 B at 40 a second, 5,700 B at 6 a second."""
    rows = recorded()["rows"]
    for network, most, speed in (("lenet5", 1_700, 40), ("cifar10", 5_700, 6)):
        least = rows[f"{network}-int8-streamed_least"]
        small = rows[f"{network}-int8-streamed_small"]
        assert least["ram_bytes"] < small["ram_bytes"] <= most
        assert least["inferences_per_second"]["352000000"] >= speed


def test_lenet5_in_float32_is_as_fast_as_it_must_be(lenet5_float32: dict[str, Any]) -> None:
    """The bound is that of the design, 3.3 a second; its goal of 3.6 is missed by less than 1 %."""
    assert (lenet5_float32["activation_bytes"], lenet5_float32["scratch_bytes"]) == (8800, 100)
    assert lenet5_float32["weight_bytes"] == 246824
    assert lenet5_float32["inferences_per_second"]["352000000"] >= 3.3
    (author,) = (item for item in peers()["lenet5"] if item["name"] == "paper's author's code")
    assert lenet5_float32["ram_bytes"] < author["ram"]
    assert lenet5_float32["instructions"] < author["instructions_m"] * 1e6


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("lenet5", "lenet5-int8"),
        ("lenet5_small", "lenet5-int8-streamed_small"),
        ("lenet5_float32", "lenet5-float32"),
        ("cifar10", "cifar10-int8"),
        ("cifar10_small", "cifar10-int8-streamed_small"),
    ],
)
def test_nothing_is_worse_than_the_record(name: str, key: str, request: pytest.FixtureRequest) -> None:
    """Where figures are meant to change: ``python3 dev.py bench --record "why"``."""
    assert worse(request.getfixturevalue(name), recorded()["rows"][key]) == []


def test_the_record_is_of_these_networks() -> None:
    rows = recorded()["rows"]
    assert tuple(rows) == KEYS
    for key in KEYS:
        network, precision, way = parts(key)
        board, _ = board_of(precision, NETWORKS[network])
        plan = convert(NETWORKS[network].load(precision, way), board).design.plan
        assert rows[key]["context_bytes"] == plan.total_bytes, key


def test_the_network_that_takes_too_long_to_run_here_has_the_bytes_on_record(tmp_path: Path) -> None:
    """An inference of the CIFAR-10 network in float32 takes a billion instructions: only its size is looked at."""
    network, before = NETWORKS["cifar10"], recorded()["rows"]["cifar10-float32"]
    board, note = board_of("float32", network)
    conversion = convert(network.load("float32"), board)
    for file, content in conversion.files.items():
        (tmp_path / file).write_text(content, encoding="utf-8")
    compile_model(tmp_path, conversion, board)
    code, const = object_sizes(tmp_path / "model.o")
    assert note == before["note"] and conversion.design.plan.total_bytes == before["context_bytes"] > 16384
    assert before["compiler"] == f"gcc {version()}"
    assert code <= 1.02 * before["code_bytes"] and const <= 1.02 * before["const_bytes"]


@pytest.mark.parametrize("name", ["lenet5", "cifar10", "lenet5_float32"])
def test_each_word_of_weights_is_read_from_flash_once(name: str, request: pytest.FixtureRequest) -> None:
    found = request.getfixturevalue(name)
    flash = found["flash"]
    assert flash["most_reads_of_a_word"] == 1
    # a strip that ends within its last words leaves those out
    assert 0.99 * flash["weight_words"] < flash["weight_words_read"] <= flash["weight_words"]
    assert flash["bytes"] >= 4 * flash["weight_words_read"]


@pytest.mark.parametrize("name", ["lenet5", "lenet5_small", "cifar10", "cifar10_small", "lenet5_float32"])
def test_the_split_adds_up(name: str, request: pytest.FixtureRequest) -> None:
    found = request.getfixturevalue(name)
    split = found["split"]
    assert sum(split.values()) == found["cycles"] and min(split.values()) >= 0
    # the FE310's core does at most an instruction a cycle
    assert split["compute"] >= found["instructions"]


def test_counts_repeat() -> None:
    board = load_board("hifive1_virtual")
    conversion = convert(NETWORKS["lenet5"].load("int8"), board)
    first, second = (measure(conversion, GRAY, board, 320_000_000) for _ in range(2))
    assert first == second


def test_the_map_file_shows_every_weight_in_flash(conversion: Conversion, tmp_path: Path) -> None:
    board = load_board("hifive1")
    write_sources(tmp_path, conversion, GRAY, board, 320_000_000)
    build(tmp_path, conversion, board)
    found: dict[str, tuple[int, int]] = {}
    section = re.compile(r"^ \.(?:s?rodata|s?data|s?bss)\.(lenet5_\w+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)", re.M)
    for name, address, size in section.findall((tmp_path / "bench.map").read_text()):
        if int(size, 16):
            found[name] = (int(address, 16), int(size, 16))
    weights = {name: at for name, at in found.items() if name.endswith("_weights")}
    assert sum(size for _, size in weights.values()) == 4 * 61706
    assert all(board.flash.origin <= address < board.flash.end for address, _ in weights.values())
    assert not [name for name, (address, _) in found.items() if address >= board.ram.origin]


def test_the_paths_of_both_examples_are_those_of_the_networks() -> None:
    assert all(network.exists for network in NETWORKS.values())
    assert (EXAMPLE / "models" / "cifar10.yaml").samefile(Path(EXAMPLE.parent, NETWORKS["cifar10"].spec))
