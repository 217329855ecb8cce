"""How int8 kernels of other shapes do on the virtual board: ``python -m uc_nn_pio.bench.search``.

The best ones are board data (``uc_nn.kernels`` in ``boards/*.json``). One number is varied at a time, the others stay
as the board has them; a network's row is one inference of a gray picture.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from uc_nn_pio.bench.measure import measure
from uc_nn_pio.bench.networks import NETWORKS, pictures
from uc_nn_pio.bench.rows import CLOCKS_HZ
from uc_nn_pio.boards import Board, load_board
from uc_nn_pio.converter import convert
from uc_nn_pio.errors import UcNnError

VARIED: Mapping[str, tuple[Any, ...]] = {
    "packed": (False,),
    "compact": (True,),
    "conv_taps": (5, 10, 15, 25),
    "linear_inputs": (2, 3, 4, 6, 8),
}


def shapes(board: Board) -> Iterator[tuple[str, Board]]:
    """The board as it is, and copies with one number changed."""
    own = board.details["kernels"]
    yield "as the board has it", board
    for key, values in VARIED.items():
        for value in values:
            if own.get(key, False) != value:
                details = {**board.details, "kernels": {**own, key: value}}
                yield f"{key} {value}", replace(board, details=details)


def main() -> int:
    """Print a line a network and shape; 0 if all could be measured."""
    parser = argparse.ArgumentParser(prog="python -m uc_nn_pio.bench.search", description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), help=f"of {', '.join(NETWORKS)}")
    args = parser.parse_args()
    print(f"{'network':10}{'shape':22}{'instructions':>14}{'cycles':>14}{'scratch B':>11}{'stack B':>9}{'code B':>9}")
    try:
        for network in args.networks:
            spec = NETWORKS[network].load("int8")
            for name, board in shapes(load_board("hifive1_virtual")):
                conversion = convert(spec, board)
                found = measure(conversion, pictures(spec).only("gray").raw, board, CLOCKS_HZ[0])
                (run,) = found.runs
                scratch = conversion.design.plan.scratch_bytes
                print(
                    f"{network:10}{name:22}{run.instructions:14,}{run.cycles:14,}{scratch:11,}{run.stack:9,}"
                    f"{found.code_bytes:9,}",
                    flush=True,
                )
    except UcNnError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
