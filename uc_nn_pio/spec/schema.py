"""The JSON schema of a model spec, for editors: ``schema.json``, written from the table of keys.

Write it again after a change of the table: ``python -m uc_nn_pio.spec.schema``. It says what one value can be; that
files exist, and what one key says about another, only the loader checks.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from uc_nn_pio.spec.keys import NOT_BUILT, ROOT, Key, Section

PATH = Path(__file__).with_name("schema.json")


def build() -> dict[str, Any]:
    """The schema as a dict."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "uc_nn_pio model spec",
        "description": "A PyTorch network to become C in a PlatformIO build. docs/spec.md explains every key.",
        **_section(ROOT, ""),
    }


def text() -> str:
    """The schema as the file has it."""
    return json.dumps(build(), indent=2, ensure_ascii=False) + "\n"


def _section(section: Section, above: str) -> dict[str, Any]:
    out: dict[str, Any] = {
        "type": "object",
        "properties": {key.name: _key(key, above) for key in section.keys},
        "additionalProperties": False,
    }
    required = [key.name for key in section.keys if key.required]
    if required:
        out["required"] = required
    return out | _BETWEEN.get(above, {})


def _has(*names: str) -> dict[str, Any]:
    return {"required": list(names)}


def _has_any(*names: str) -> dict[str, Any]:
    return {"anyOf": [_has(name) for name in names]}


def _is(key: str, value: str) -> dict[str, Any]:
    return {"properties": {key: {"const": value}}, **_has(key)}


_BETWEEN: dict[str, dict[str, Any]] = {
    "": {
        "anyOf": [
            {"not": _is("precision", "int8")},
            _has("calibration"),
            {"properties": {"model": _has("export")}},
        ],
        "oneOf": [
            {
                **_has("input"),
                "not": _has("inputs"),
                "properties": {
                    "validate": _has("stage"),
                    "calibration": {"anyOf": [{"not": _has("file")}, _has("stage")]},
                },
            },
            {
                **_has("inputs"),
                "properties": {name: {"not": _has("stage")} for name in ("calibration", "validate")},
            },
        ],
    },
    "model.": {
        "oneOf": [
            _has("python", "weights"),
            {**_has("layers", "weights"), "not": _has("arguments")},
            {**_has("export"), "not": _has_any("weights", "arguments")},
        ],
        "not": {"anyOf": [_has("python", "layers"), _has("python", "export"), _has("layers", "export")]},
    },
    "calibration.": {
        "oneOf": [
            _has("file"),
            {**_has("ranges"), "not": _has_any("file", "stage", "samples", "method", "percentile")},
        ],
        "anyOf": [{"not": _has("percentile")}, _is("method", "percentile")],
    },
}
"""What the keys of a section, by its path, say about each other: the loader's checks, as far as a schema knows them."""


def _key(key: Key, above: str) -> dict[str, Any]:
    path = f"{above}{key.name}"
    if any(row.key == path and row.value is None and row.spare is None for row in NOT_BUILT):
        return {"description": f"not built yet: {key.meaning}", "not": {}}
    inner = _section(key.kind, f"{path}.") if isinstance(key.kind, Section) else key.kind.schema()
    if path == "input.preprocess.std":
        inner["items"] = {"allOf": [inner["items"], {"not": {"const": 0}}]}
    return {"description": key.meaning, **inner}


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
