"""torch is imported when a network is captured, not when the package is."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["uc_nn_pio.capture", "uc_nn_pio.capture.mapping", "uc_nn_pio.capture.formats"])
def test_importing_does_not_import_torch(module: str) -> None:
    script = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0


def test_the_command_line_starts_without_what_only_some_verbs_need() -> None:
    """Its parser asks the verbs' modules for their options."""
    script = "import sys; from uc_nn_pio import cli; cli._parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert {"uc_nn_pio.doctor", "uc_nn_pio.pio.setup"} <= loaded
    assert not {"torch", "numpy", "jinja2", "click", "uc_nn_pio.validation"} & loaded
