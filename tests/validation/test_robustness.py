"""The example's network behind a spoiled view: the figures of docs/virtual-board.md, a few of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.validation.measure_robustness import DIGITS, SPEC, STRENGTHS, accuracy, frames
from uc_nn_pio.converter import convert
from uc_nn_pio.validation.host import HostModel
from uc_nn_pio.virtual.scene import Effects, fit_picture

MANUAL = Path(__file__).parents[2] / "docs" / "virtual-board.md"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> HostModel:
    return HostModel(convert(SPEC).files, "lenet5", ((1, 32, 32), (10,)), tmp_path_factory.mktemp("host"))


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    with np.load(DIGITS, allow_pickle=False) as data:
        return data["images"][:200], data["labels"][:200]


def test_without_effects_the_frames_are_those_of_the_camera_path(digits) -> None:
    expected = np.stack([fit_picture(255 - image, 64, 64)[::2, ::2] for image in digits[0]])[:, None]
    assert np.array_equal(frames(digits[0], Effects()), expected)


@pytest.mark.parametrize(
    ("name", "strength"), [("tilt", 20), ("shift", (0.1, 0.0)), ("scale", 0.7), ("contrast", 0.5), ("noise", 0.2)]
)
def test_the_manual_has_the_measured_figure(host: HostModel, digits, name, strength) -> None:
    """Within a digit of 200: another compiler's sums may round another way."""
    assert strength in STRENGTHS[name]
    found = accuracy(host, *digits, Effects(**{name: strength}))
    row = next(
        line for line in MANUAL.read_text().splitlines() if line.startswith(f"| `--scene-{name}` | ") and "%" in line
    )
    shown = ",".join(map(str, strength)) if isinstance(strength, tuple) else str(strength)
    cells = dict(cell.strip().split(": ") for cell in row.split("|")[2].split("·"))
    assert abs(found - float(cells[shown].removesuffix(" %")) / 100) <= 0.0051
