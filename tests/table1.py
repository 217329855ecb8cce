"""The network of the paper's table 1, as the example ``cifar10_table1`` builds it."""

from __future__ import annotations

from pathlib import Path

from tests.modules import load_module

EXAMPLE = Path(__file__).parents[1] / "examples" / "cifar10_table1"
Table1Net = load_module(EXAMPLE / "models" / "cifar10.py").Table1Net

__all__ = ["EXAMPLE", "Table1Net"]
