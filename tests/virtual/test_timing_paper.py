"""The cycle model against the one published measurement: 0.26 frames/s of LeNet-5 in fp32 on the HiFive1 at 352 MHz.

Every parameter comes from data sheets and sources; none was set with this figure in mind. The firmware is written as
the paper's author writes his, with this machine's compiler and soft-float library.
"""

import re

import numpy as np
import pytest

from uc_nn_pio.virtual import VirtualBoard

LAYERS = (("conv1", 150, 6, 25), ("conv2", 2400, 16, 150), ("full1", 48000, 120, 400), ("full2", 10080, 84, 120))
LAYERS = (*LAYERS, ("full3", 840, 10, 84))
CORE_HZ = 352_000_000


def weights_header():
    """Weights as an untrained network has them, uniform within 1 / sqrt(inputs), and a ring as the picture."""
    noise = np.random.default_rng(1)
    lines = []
    for name, count, channels, inputs in LAYERS:
        for part, size in (("weights", count), ("bias", channels)):
            values = noise.uniform(-1, 1, size).astype(np.float32) / np.float32(inputs**0.5)
            lines.append(f"static const float {name}_{part}[] = {{{','.join(f'{v:.9e}f' for v in values)}}};")
    y, x = np.mgrid[:32, :32]
    distance = np.hypot(y - 15.5, x - 15.5)
    picture = np.where((distance > 6) & (distance < 10), 200, 0)
    lines.append(f"static const uint8_t picture[] = {{{','.join(map(str, picture.ravel()))}}};")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def board(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    (folder / "weights.h").write_text(weights_header())
    board = VirtualBoard(build("descriptors", flags=("-O0", f"-I{folder}")), camera=False)
    assert board.run(until="done\n", max_seconds=10).reason == "until"
    return board


def test_frames_a_second_are_those_of_the_paper(board):
    cycles = int(re.search(r"cycles=(\w+)", board.text)[1], 16)
    assert board.clock.core_hz == CORE_HZ
    assert 0.255 <= CORE_HZ / cycles <= 0.285


def test_most_of_the_time_waits_for_flash_data(board):
    """Not for code, as the paper supposes."""
    result = board.result()
    assert result.flash_read_cycles > 0.85 * result.cycles
    assert result.icache_cycles < 0.01 * result.cycles
