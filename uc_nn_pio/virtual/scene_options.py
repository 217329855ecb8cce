"""Options of the command line that say what the camera sees; help needs none of the libraries."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from uc_nn_pio.errors import VirtualBoardError

if TYPE_CHECKING:
    from uc_nn_pio.virtual.scene import Scene

EFFECTS = (
    ("scale", "FACTOR", "size of the picture in the field of view (1: as high or wide as it)"),
    ("tilt", "DEGREES", "turned counter-clockwise"),
    ("shift", "DX,DY", "moved right and down, in heights of the field of view; with a minus: --scene-shift=-0.1,0"),
    ("blur", "SIGMA", "Gaussian, in heights of the field of view"),
    ("contrast", "FACTOR", "about mid-gray"),
    ("brightness", "B", "added, in parts of full scale: -1 to 1"),
    ("noise", "SIGMA", "Gaussian, in parts of full scale, new in every frame; --seed gives another"),
)


def add_scene_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--scene`` and all that belongs to it."""
    group = parser.add_argument_group("scene")
    group.add_argument(
        "--scene",
        type=Path,
        action="append",
        metavar="FILE|FOLDER",
        help="PNG, npz, MNIST idx files, a folder of them, or a .txt list of them; repeatable",
    )
    group.add_argument("--polarity", choices=("paper", "screen"), help="MNIST as ink on paper, or bright on black")
    group.add_argument("--scene-end", choices=("loop", "hold", "stop"), default="loop", help="after the last picture")
    group.add_argument("--scene-hold", metavar="N|Ss", help="each picture for N frames read, or S seconds (0.5s)")
    group.add_argument(
        "--scene-border", type=int, metavar="0..255", help="gray beside pictures that are not 4:3 (default: their edge)"
    )
    for name, unit, text in EFFECTS:
        group.add_argument(
            f"--scene-{name}", type=_pair if name == "shift" else float, metavar=unit, help=f"effect: {text}"
        )


def scene_of(arguments: argparse.Namespace) -> Scene | None:
    """The scene that parsed arguments describe; ``None`` without ``--scene``.

    Raises:
        VirtualBoardError: files that are no scene, strengths out of range, or effects on nothing.
    """
    from uc_nn_pio.virtual.scene import Effects, Hold, Scene

    named = {f"--scene-{name}": getattr(arguments, f"scene_{name}") for name, *_ in EFFECTS}
    given = {name: value for name, value in named.items() if value is not None}
    if not arguments.scene:
        if given:
            raise VirtualBoardError(
                f"{', '.join(given)} without a scene", next_step="say with --scene what the camera looks at"
            )
        return None
    strengths = {name.removeprefix("--scene-"): value for name, value in given.items()}
    return Scene.load(
        arguments.scene,
        polarity=arguments.polarity,
        end=arguments.scene_end,
        hold=Hold.parse(arguments.scene_hold) if arguments.scene_hold is not None else None,
        border=arguments.scene_border,
        effects=Effects(**strengths, seed=arguments.seed),
    )


def _pair(text: str) -> tuple[float, float]:
    across, _, down = text.partition(",")
    try:
        return float(across), float(down)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not DX,DY, like 0.1,-0.05") from error
