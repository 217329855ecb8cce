"""The virtual HiFive1: a FE310 with its peripherals, and an ArduCAM Mini 2MP that looks at a scene.

``VirtualBoard(elf, scene=...).run(until=...)`` from Python, ``python -m uc_nn_pio.virtual run firmware.elf`` from a
shell. Imports nothing of the converter. Needs the extra ``virtual`` (unicorn, numba, pillow).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uc_nn_pio.virtual.board import RunResult, VirtualBoard
    from uc_nn_pio.virtual.scene import Scene

__all__ = ["RunResult", "Scene", "VirtualBoard"]


def __getattr__(name: str) -> Any:
    """Load on first use: the command line's help needs none of the libraries."""
    if name in ("VirtualBoard", "RunResult"):
        from uc_nn_pio.virtual import board

        return getattr(board, name)
    if name == "Scene":
        from uc_nn_pio.virtual.scene import Scene

        return Scene
    raise AttributeError(name)
