"""The file of golden cases: small quantized networks, their int8 input, and what every layer must give.

An ``.npz`` with one text, ``cases`` (JSON, a list), and arrays by the names that it implies:

- a case: ``name``, ``input`` (``shape`` without batch, ``scale``, ``zero_point``) and ``layers``; the array
  ``<case>/input`` is int8 in torch's order, (batch, *shape).
- a layer: ``name``, ``op``, the op's attributes in torch's terms (``padding`` is top, bottom, left, right), ``scale``
  and ``zero_point`` of its output, and ``border``: how TensorFlow Lite is told of the padding (``valid``, ``same``, or
  ``pad`` for a PAD in front). Arrays ``<case>/<layer>/weight`` (int8, torch's shape), ``weight_scale`` (float32, one
  element or one a channel), ``bias`` (int32), and ``output`` (int8, torch's order): the golden value.
  A single linear has ``fully_connected`` as well; see ``make_litert.py``.

A scale is a float32, written as the decimal of its double.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "litert"


def load(name: str) -> tuple[list[dict], dict[str, np.ndarray]]:
    """The cases and the arrays of ``litert/<name>.npz``."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as data:
        arrays = {key: data[key] for key in data.files}
    return json.loads(arrays.pop("cases").item()), arrays


def save(name: str, cases: list[dict], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes ``litert/<name>.npz``; the same content gives the same bytes."""
    FOLDER.mkdir(exist_ok=True)
    with zipfile.ZipFile(FOLDER / f"{name}.npz", "w") as archive:
        for key, array in {"cases": np.array(json.dumps(cases)), **arrays}.items():
            entry = BytesIO()
            np.lib.format.write_array(entry, np.ascontiguousarray(array), allow_pickle=False)
            info = zipfile.ZipInfo(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, entry.getvalue(), compresslevel=9)
