"""``docs/table1.md``: the paper's table 1 beside the same network as we build it, corrected the same way."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from uc_nn_pio.bench.measure import write_sources
from uc_nn_pio.bench.networks import NETWORKS
from uc_nn_pio.bench.toolchain import compile_model, link, object_sizes, section_sizes, version
from uc_nn_pio.boards import load_board
from uc_nn_pio.converter import Conversion, convert
from uc_nn_pio.errors import ToolError

EMPTY = "int main(void);\nint main(void)\n{\n    for (;;) {\n    }\n}\n"

# Copies and calls, nothing else: what the network adds to an empty project.
BARE = """\
#include "cifar10.h"

int main(void);
static cifar10_context network;
static uint8_t row[CIFAR10_INPUT_W * CIFAR10_INPUT_C];

int main(void)
{
    for (;;) {
        for (int32_t y = 0; y < CIFAR10_INPUT_H; y++) {
            cifar10_set_row(&network, y, row);
        }
        cifar10_run(&network);
        row[0] = (uint8_t)cifar10_argmax(&network);
    }
}
"""

ROW_BYTES = 96
"""``row`` above belongs to the caller, not to the network."""


def table1() -> str:
    """The page.

    Raises:
        ToolError: no compiler, or the linker script is not as it was.
    """
    network = NETWORKS["cifar10"]
    board = load_board("hifive1")
    conversion = convert(network.load("int8"), board)
    with tempfile.TemporaryDirectory(prefix="uc_nn_table1_") as temporary:
        folder = Path(temporary)
        write_sources(
            folder, conversion, np.zeros((1, *conversion.design.spec.input.shape), np.uint8), board, 320_000_000
        )
        (folder / "empty.c").write_text(EMPTY, encoding="utf-8")
        (folder / "bare.c").write_text(BARE, encoding="utf-8")
        compile_model(folder, conversion, board)
        link(folder, board, ["empty.c"], "empty")
        link(folder, board, ["bare.c", "model.o"], "bare")
        sizes = {name: section_sizes(folder / f"{name}.elf") for name in ("empty", "bare")}
        code, const = object_sizes(folder / "model.o")
    return _page(conversion, sizes, code, const)


def _page(conversion: Conversion, sizes: dict[str, tuple[int, int, int]], code: int, const: int) -> str:
    (empty_text, empty_data, empty_bss), (text, data, bss) = sizes["empty"], sizes["bare"]
    ram = data + bss - empty_data - empty_bss - ROW_BYTES
    plan = conversion.design.plan
    if ram != plan.total_bytes:
        why = f"the network adds {ram} B of .data and .bss, and its plan has {plan.total_bytes}"
        raise ToolError("the RAM of table 1 is not what the plan says", why=why)
    return f"""# The paper's table 1

RAM and ROM of its CIFAR-10 network (section 5): three convolutions of 5x5 with ReLU and max-pool, 3x32x32 in, ten
classes, 33,120 weights. This page is written by `python3 dev.py bench --table1 docs/table1.md`.

| region | CMSIS-NN, in the paper | the paper | uc_nn_pio, int8 |
|---|--:|--:|--:|
| ROM: weights | 36 KB | 36 KB | **{const:,} B** |
| RAM | 44 KB | 11.2 KB | **{ram:,} B** |
| of it activations | | 11,264 B (its formula) | {plan.activation_bytes:,} B |
| of it scratch | | | {plan.scratch_bytes:,} B |
| code of the network | 10,080 B | 4 KB | {code:,} B |

The paper corrects its figures: stack and heap that an empty project reserves do not count as RAM, and an empty
project's code does not count as ROM. So it is done here. `size` (GCC {version()}, board `hifive1`), without the stack's
region:

| program | .text | .data | .bss |
|---|--:|--:|--:|
| paper: test_network.elf | 66,678 | 2,764 | 14,500 |
| uc_nn_pio: empty `main` | {empty_text:,} | {empty_data:,} | {empty_bss:,} |
| uc_nn_pio: the network | {text:,} | {data:,} | {bss:,} |

The network adds {ram:,} B of RAM, besides the {ROW_BYTES} B of the program's own row of pixels, and
{text - empty_text:,} B of flash: its weights, biases and multipliers ({const:,} B) and its code. What the paper calls
ROM are its weights alone.

Ours computes in the integers of TensorFlow Lite ([numerics](numerics.md)). The scratch holds weights of a few output
channels, staged in RAM. The stack's RAM is not in this table, as it is not in the paper's: `python3 dev.py bench`
counts it. The network's code is larger than the paper's: each layer has a kernel of its own, with the border's and the
interior's loops apart.
"""
