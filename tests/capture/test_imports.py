"""torch is imported when a network is captured, not when the package is."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["uc_nn_pio.capture", "uc_nn_pio.capture.mapping", "uc_nn_pio.capture.formats"])
def test_importing_does_not_import_torch(module: str) -> None:
    script = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
