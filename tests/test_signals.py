"""A signal of shape [C, L], from a spec with its layers and samples to C that agrees with torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from uc_nn_pio import convert, load_board, load_spec, validate

SPEC = """\
spec: 1
name: gestures
model:
  layers:
    - Conv1d: {name: conv1, out_channels: 8, kernel_size: 5, padding: same}
    - BatchNorm1d: {name: norm1}
    - SiLU
    - MaxPool1d: {kernel_size: 2}
    - Conv1d: {name: conv2, out_channels: 8, kernel_size: 3, groups: 8, padding: 1, stride: 2}
    - Hardswish
    - AdaptiveAvgPool1d: {output_size: 1}
    - Flatten
    - Linear: {name: fc, out_features: 4}
  weights: gestures.pt
input:
  shape: [3, 24]
  preprocess: {scale: 1/255, mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4]}
precision: PRECISION
calibration: {file: samples.npz, stage: network}
validate: {file: samples.npz, stage: network}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    shapes = {"conv1.weight": (8, 3, 5), "conv1.bias": (8,), "conv2.weight": (8, 1, 3), "conv2.bias": (8,)}
    shapes |= {f"norm1.{name}": (8,) for name in ("weight", "bias", "running_mean", "running_var")}
    shapes |= {"fc.weight": (4, 8), "fc.bias": (4,)}
    state = {name: torch.randn(shape) for name, shape in shapes.items()}
    state["norm1.running_var"].abs_()
    torch.save(state, tmp_path / "gestures.pt")
    values = np.random.default_rng(0)
    images, labels = values.integers(0, 256, (40, 3, 24), np.uint8), values.integers(0, 4, 40)
    np.savez(tmp_path / "samples.npz", images=images, labels=labels)
    return tmp_path


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_from_spec_to_c(precision: str, folder: Path) -> None:
    path = folder / "gestures.yaml"
    path.write_text(SPEC.replace("PRECISION", precision), encoding="utf-8")
    spec = load_spec(path)
    found = validate(spec)
    assert found.samples == 40
    assert found.integer_differences in (None, 0)
    assert found.same_class >= (40 if precision == "float32" else 36)
    made = convert(spec, load_board("hifive1"))
    assert "element (c, t) at c * 24 + t" in made.files["gestures.h"]
