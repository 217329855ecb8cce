"""The network of the paper's table 1, as the example ``cifar10_table1`` builds it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples" / "cifar10_table1"

_FILE = importlib.util.spec_from_file_location("cifar10_table1", EXAMPLE / "models" / "cifar10.py")
_MODULE = importlib.util.module_from_spec(_FILE)
_FILE.loader.exec_module(_MODULE)
Table1Net = _MODULE.Table1Net

__all__ = ["EXAMPLE", "Table1Net"]
