"""Board data: what placement, reports, the linker script and the virtual board know of a chip.

A board is one JSON file in ``boards/``: a PlatformIO board manifest with a ``uc_nn`` section (memory regions with read
costs, core costs, clocks, pins). Numbers carry their source beside them. One :class:`Board` is loaded at the edge
(command line, extra script) and passed along; nothing else opens these files.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uc_nn_pio.errors import BoardError
from uc_nn_pio.resources import resources


@dataclass(frozen=True)
class Region:
    """A span of memory. ``origin`` and ``size`` are what user code may use; sizes in bytes, costs in core cycles.

    ``device_origin`` and ``device_size`` span the whole part where that is more (a flash with a bootloader in front).
    Costs are ``None`` where they are not known.
    """

    name: str
    origin: int
    size: int
    kind: str
    random_word_cycles: int | None = None
    sequential_word_cycles: int | None = None
    device_origin: int | None = None
    device_size: int | None = None

    @property
    def end(self) -> int:
        return self.origin + self.size


@dataclass(frozen=True)
class Board:
    """One board. ``details`` is the rest of its ``uc_nn`` section: core, icache, clocks, pins.

    ``march``, ``mabi`` and ``mcmodel`` are GCC's for a RISC-V core, ``cpu`` is its ``-mcpu`` for an Arm core; what is
    not the board's is empty.
    """

    id: str
    name: str
    chip: str
    march: str
    mabi: str
    mcmodel: str
    regions: Mapping[str, Region]
    details: Mapping[str, Any]
    virtual: bool = False
    cpu: str = ""

    @property
    def arch(self) -> str:
        """``riscv`` or ``arm``: which compiler, start-up code and linker script."""
        return "arm" if self.cpu.startswith("cortex-m") else "riscv"

    @property
    def ram(self) -> Region:
        return self.regions["ram"]

    @property
    def flash(self) -> Region:
        return self.regions["flash"]

    @property
    def pins(self) -> Mapping[str, int]:
        return {name: pin for name, pin in self.details["pins"].items() if name != "source"}

    @property
    def clocks(self) -> Mapping[str, Any]:
        return self.details["clocks"]


def board_ids() -> list[str]:
    """Names of the boards that this installation knows, sorted."""
    return sorted(path.stem for path in resources("boards").glob("*.json"))


def load_board(board_id: str, *, manifest: Path | None = None) -> Board:
    """Load a board by name, or from ``manifest``, a board file anywhere.

    Raises:
        BoardError: no such board, broken JSON, or a ``uc_nn`` section that lacks something.
    """
    path = manifest or resources("boards") / f"{board_id}.json"
    data = _read(path, board_id)
    section = data.get("uc_nn")
    if not isinstance(section, dict):
        raise BoardError(
            f"board {board_id!r} has no data of uc_nn_pio",
            where=str(path),
            why="its manifest has no section 'uc_nn', so memory regions and pins are unknown",
            next_step=f"use one of {', '.join(board_ids())}, or add the section (docs/boards.md)",
        )
    virtual = bool(section.get("virtual", False))
    if "same_as" in section:
        twin = _read(resources("boards") / f"{section['same_as']}.json", section["same_as"])
        section = twin["uc_nn"]
    try:
        build = data["build"]
        cpu = build.get("cpu", "")
        return Board(
            id=board_id,
            name=data["name"],
            chip=section["chip"],
            march=build["march"] if not cpu else "",
            mabi=build["mabi"] if not cpu else "",
            mcmodel=build["mcmodel"] if not cpu else "",
            regions={name: _region(name, item) for name, item in section["regions"].items()},
            details={key: value for key, value in section.items() if key not in ("regions", "chip", "version")},
            virtual=virtual,
            cpu=cpu,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BoardError(
            f"board data of {board_id!r} are incomplete: {error!s}",
            where=str(path),
            next_step="compare with boards/hifive1.json and docs/boards.md",
        ) from error


def _region(name: str, item: Mapping[str, Any]) -> Region:
    costs = item.get("read_cycles", {})
    return Region(
        name=name,
        origin=int(str(item["origin"]), 0),
        size=int(item["size"]),
        kind=item["kind"],
        random_word_cycles=costs.get("random_word"),
        sequential_word_cycles=costs.get("sequential_word"),
        device_origin=int(str(item["device_origin"]), 0) if "device_origin" in item else None,
        device_size=item.get("device_size"),
    )


def _read(path: Path, board_id: str) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        near = difflib.get_close_matches(board_id, board_ids(), n=1)
        raise BoardError(
            f"board {board_id!r} is not known",
            where=str(path.parent),
            why=f"known boards: {', '.join(board_ids())}",
            next_step=f"did you mean {near[0]!r}?" if near else "see docs/boards.md for how to add one",
        ) from error
    except json.JSONDecodeError as error:
        raise BoardError(
            f"board file is not JSON: {error.msg}", where=f"{path}:{error.lineno}:{error.colno}"
        ) from error
