"""Prints how many instructions a second the virtual board executes: ``python tests/virtual/measure_speed.py``."""

import subprocess
import tempfile
import time
from pathlib import Path

from conftest import FIRMWARE, FLAGS

from uc_nn_pio.virtual import VirtualBoard

ROUNDS = 5000


def main() -> None:
    """Build the numeric loop, run it once, print the rate."""
    with tempfile.TemporaryDirectory() as folder:
        elf = Path(folder) / "numeric.elf"
        sources = [str(FIRMWARE / "start.S"), str(FIRMWARE / "numeric.c")]
        options = ["-O2", f"-DROUNDS={ROUNDS}", f"-I{FIRMWARE}", f"-T{FIRMWARE / 'link.ld'}"]
        subprocess.run(
            ["riscv64-unknown-elf-gcc", *FLAGS, *options, *sources, "-lgcc", "-o", str(elf)],
            check=True,
        )
        board = VirtualBoard(elf)
        begun = time.perf_counter()
        result = board.run(until="done\n")
        seconds = time.perf_counter() - begun
    millions = result.instructions / 1e6
    print(f"{millions:.0f} M instructions in {seconds:.2f} s: {millions / seconds:.0f} M/s")


if __name__ == "__main__":
    main()
