"""Ranges of a network's tensors as a file, for networks whose calibration samples may not be passed on.

JSON: ``{"about": text, "method": "minmax", "samples": 200, "ranges": {"tensor": [low, high], ...}}``. The file is data
from elsewhere, so everything in it is checked: the keys, finite numbers, and that its tensors are the network's.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from uc_nn_pio.errors import Location, SpecError
from uc_nn_pio.graph.ir import Graph
from uc_nn_pio.quantize.calibrate import Method
from uc_nn_pio.quantize.params import Range
from uc_nn_pio.quantize.prepare import prepare

KEYS = ("about", "method", "samples", "ranges")
MAX_BYTES = 1 << 22
"""A file larger than this is some other file."""

_ANEW = (
    "make the file anew: name the images in the spec, calibration: {file: ..., stage: ...}, "
    "and run uc-nn calibrate SPEC -o FILE"
)


@dataclass(frozen=True)
class RangeFile:
    """What a file of ranges says. ``about`` is any text of whoever wrote it."""

    about: str
    method: Method
    samples: int
    ranges: Mapping[str, Range]

    def text(self) -> str:
        """The file, one tensor a line; numbers are written so that they are read to the same bit."""
        rows = [f"    {json.dumps(name)}: [{r.low!r}, {r.high!r}]" for name, r in self.ranges.items()]
        head = [f"  {json.dumps(key)}: {json.dumps(getattr(self, key))}" for key in ("about", "samples")]
        head.insert(1, f'  "method": {json.dumps(self.method.value)}')
        return "{\n" + ",\n".join([*head, '  "ranges": {\n' + ",\n".join(rows) + "\n  }"]) + "\n}\n"


def read_ranges(path: Path, graph: Graph) -> RangeFile:
    """Read ranges for a lowered graph.

    Raises:
        SpecError: it is no such file, or holds the ranges of another network.
    """
    data = _checked_keys(_json(path), path)
    ranges = {name: _range(name, pair, path) for name, pair in data["ranges"].items()}
    _check_names(ranges, graph, path)
    return RangeFile(data["about"], Method(data["method"]), data["samples"], ranges)


def _bad(path: Path, what: str, why: str | None = None, line: int | None = None, column: int | None = None) -> NoReturn:
    raise SpecError(what, where=Location(path, line, column), why=why, next_step=_ANEW)


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_BYTES:
            _bad(path, f"the file of ranges is larger than {MAX_BYTES >> 20} MiB", "it is probably another file")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        _bad(path, f"the file of ranges cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        _bad(path, "the file of ranges is not UTF-8")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(pairs)
        if len(out) < len(pairs):
            names = [name for name, _ in pairs]
            _bad(path, f"{next(name for name in names if names.count(name) > 1)!r} stands twice in the file of ranges")
        return out

    def no_number(word: str) -> NoReturn:
        _bad(path, f"{word} is no bound of a range", "bounds are finite numbers")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=no_number)
    except json.JSONDecodeError as error:
        _bad(path, f"the file of ranges is no JSON: {error.msg}", line=error.lineno, column=error.colno)
    except (RecursionError, ValueError):
        _bad(path, "the file of ranges is no JSON of two numbers a tensor")


def _checked_keys(data: Any, path: Path) -> dict[str, Any]:
    why = '{"about": text, "method": "minmax", "samples": 200, "ranges": {"tensor": [low, high], ...}} is expected'
    if not isinstance(data, dict):
        _bad(path, "the file of ranges holds no JSON object", why)
    if set(data) != set(KEYS):
        missing = [key for key in KEYS if key not in data]
        unknown = [key for key in data if key not in KEYS]
        what = f"has no key {missing[0]!r}" if missing else f"has an unknown key {unknown[0]!r}"
        _bad(path, f"the file of ranges {what}", why)
    methods = [method.value for method in Method]
    if data["method"] not in methods:
        _bad(path, f'"method" must be one of {", ".join(methods)}', why)
    if type(data["samples"]) is not int or data["samples"] < 1:
        _bad(path, '"samples" must be a whole number of at least 1', why)
    if not isinstance(data["about"], str):
        _bad(path, '"about" must be a text', why)
    if not isinstance(data["ranges"], dict):
        _bad(path, '"ranges" must be an object with a range a tensor', why)
    return data


def _range(name: str, pair: Any, path: Path) -> Range:
    if not (isinstance(pair, list) and len(pair) == 2 and all(type(bound) in (int, float) for bound in pair)):
        _bad(path, f"the range of tensor {name!r} is not [low, high], two numbers")
    try:
        low, high = (float(bound) for bound in pair)
    except OverflowError:
        low = high = math.inf
    if not (math.isfinite(low) and math.isfinite(high)):
        _bad(path, f"the range of tensor {name!r} is not finite")
    if low > high:
        _bad(path, f"the range of tensor {name!r} begins at {low:g}, above its end {high:g}")
    return Range(low, high)


def _check_names(ranges: Mapping[str, Range], graph: Graph, path: Path) -> None:
    known = [tensor.name for tensor in prepare(graph).values()]
    missing = [name for name in known if name not in ranges]
    unknown = [name for name in ranges if name not in known]
    if not (missing or unknown):
        return
    parts = []
    if missing:
        parts.append(f"no range for {_listed(missing)}")
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        parts.append(f"no tensor is called {_listed(unknown)}" + (f" (near: {near[0]!r})" if near else ""))
    _bad(path, f"the ranges are not those of this network: {'; '.join(parts)}", "it has changed since, or is another")


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:3]))
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
