"""How well the example's network reads digits when the camera's view is spoiled: the table of docs/virtual-board.md.

``python tests/validation/measure_robustness.py [DIGITS]``: each digit is ink on paper in front of the virtual camera,
seen through the square window that the firmware sets, with one effect at a time; every second pixel of every second row
goes through the generated C, compiled for this machine.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from uc_nn_pio.converter import convert
from uc_nn_pio.validation.host import HostModel
from uc_nn_pio.virtual.scene import SQUARE, Effects, Scene

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "examples" / "lenet5_camera" / "models" / "lenet5.yaml"
DIGITS = ROOT / "tests" / "data" / "mnist_test_1000.npz"

STRENGTHS: dict[str, tuple[object, ...]] = {
    "scale": (0.6, 0.7, 0.8, 0.9, 1.1, 1.2, 1.4),
    "tilt": (-30, -20, -10, 10, 20, 30),
    "shift": ((0.05, 0.0), (0.1, 0.0), (0.15, 0.0), (0.0, 0.05), (0.0, 0.1), (0.0, 0.15)),
    "blur": (0.01, 0.02, 0.03, 0.05),
    "contrast": (0.9, 0.75, 0.5, 0.3, 0.2),
    "brightness": (-0.4, -0.2, -0.1, 0.1, 0.2, 0.4),
    "noise": (0.02, 0.05, 0.1, 0.2, 0.3),
}


def frames(images: np.ndarray, effects: Effects) -> np.ndarray:
    """What the firmware hands to the network: (N, 1, 32, 32) uint8, of bright-on-black (N, 28, 28) digits."""
    scene = Scene.of(255 - images, effects=effects)
    seen = [scene.see(item, SQUARE, (64, 64), number)[::2, ::2] for number, item in enumerate(scene.items)]
    return np.stack(seen)[:, None]


def accuracy(host: HostModel, images: np.ndarray, labels: np.ndarray, effects: Effects) -> float:
    """The share of digits that the C names rightly."""
    return float((host.run_pixels(frames(images, effects)).argmax(axis=1) == labels).mean())


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with np.load(DIGITS, allow_pickle=False) as data:
        images, labels = data["images"][:count], data["labels"][:count]
    with tempfile.TemporaryDirectory() as folder:
        host = HostModel(convert(SPEC).files, "lenet5", ((1, 32, 32), (10,)), Path(folder))
        print(f"{len(labels)} digits; no effect: {100 * accuracy(host, images, labels, Effects()):.1f} %\n")
        print("| effect | strength: digits read |\n|---|---|")
        for name, strengths in STRENGTHS.items():
            found = [(s, accuracy(host, images, labels, Effects(**{name: s}))) for s in strengths]  # type: ignore[arg-type]
            cells = [f"{','.join(map(str, s)) if isinstance(s, tuple) else s}: {100 * a:.1f} %" for s, a in found]
            print(f"| `--scene-{name}` | {' · '.join(cells)} |")


if __name__ == "__main__":
    main()
