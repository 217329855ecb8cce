"""Finds the files that travel with the package: ``boards/``, ``firmware_template/`` and ``examples/``.

In a wheel they lie in ``uc_nn_pio/_resources``; in a checkout, an editable install or an unpacked sdist they lie beside
the package.
"""

from __future__ import annotations

from pathlib import Path

from uc_nn_pio.errors import UcNnError

_PACKAGE = Path(__file__).resolve().parent


def resources(name: str) -> Path:
    """Return the folder ``name`` (``boards``, ``firmware_template`` or ``examples``).

    Raises:
        UcNnError: the installation lacks the folder.
    """
    for base in (_PACKAGE / "_resources", _PACKAGE.parent):
        folder = base / name
        if folder.is_dir():
            return folder
    raise UcNnError(
        f"the installation of uc_nn_pio has no folder {name!r}",
        where=str(_PACKAGE),
        why="it is installed beside the package by the wheel, and lies beside it in a checkout",
        next_step="reinstall the package: pip install --force-reinstall uc_nn_pio",
    )
