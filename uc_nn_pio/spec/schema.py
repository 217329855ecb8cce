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
    if above == "model.":
        one = [
            {"required": ["python", "weights"]},
            {"required": ["layers", "weights"], "not": {"required": ["arguments"]}},
            {"required": ["export"], "not": {"anyOf": [{"required": ["weights"]}, {"required": ["arguments"]}]}},
        ]
        out["oneOf"] = one
        both = (("python", "layers"), ("python", "export"), ("layers", "export"))
        out["not"] = {"anyOf": [{"required": list(pair)} for pair in both]}
    return out


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
