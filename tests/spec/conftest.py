"""A project folder with the files that the specs of these tests name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from uc_nn_pio.errors import ErrorGroup, UcNnError
from uc_nn_pio.spec import ModelSpec, load_spec

BASE = """\
spec: 1
name: small
model:
  python: net.py:Net
  weights: net.pt
input:
  shape: [3, 8, 9]
  preprocess: {scale: 1/255}
output: {labels: ["a", "b"]}
validate: {file: test.npz, stage: network}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("net.py", "net.pt", "net.pt2", "test.npz", "cal.npz", "ranges.json"):
        (tmp_path / name).write_text("content is not looked at")
    (tmp_path / "folder").mkdir()
    (tmp_path / "nothing.pt").touch()
    return tmp_path


@pytest.fixture
def load(project: Path) -> Callable[[str | bytes], ModelSpec]:
    """Write a text as model.yaml and load it."""

    def run(text: str | bytes) -> ModelSpec:
        path = project / "model.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_spec(path)

    return run


@pytest.fixture
def mistakes(load: Callable[[str | bytes], ModelSpec]) -> Callable[[str | bytes], list[UcNnError]]:
    """Load a text that is wrong; give its errors."""

    def run(text: str | bytes) -> list[UcNnError]:
        with pytest.raises(UcNnError) as caught:
            load(text)
        assert caught.value.exit_code == 2
        return list(caught.value.errors) if isinstance(caught.value, ErrorGroup) else [caught.value]

    return run
