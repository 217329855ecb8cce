"""Schema, documentation and loader know the same keys and take the same examples."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.spec.conftest import BASE
from tests.spec.examples import GOOD, WRONG
from uc_nn_pio.errors import UcNnError
from uc_nn_pio.spec import ModelSpec, load_spec
from uc_nn_pio.spec import schema as schema_module
from uc_nn_pio.spec.layers import LAYERS

DOCS = Path(__file__).parents[2] / "docs" / "spec.md"
SCHEMA = json.loads(schema_module.PATH.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def _schema_keys(section: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, item in section.get("properties", {}).items():
        yield f"{above}{name}"
        yield from _schema_keys(item, f"{above}{name}.")


def _documented_keys() -> set[str]:
    """Keys in the first column of the tables of docs/spec.md; layers have tables of their own."""
    keys = set()
    for row in re.findall(r"^\| (`.*?) \|", DOCS.read_text(encoding="utf-8"), re.M):
        keys |= {key for key in re.findall(r"`([a-z_.]+)`", row.split(", a list")[0])}
    return keys


def test_the_schema_file_is_the_tables_and_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert schema_module.PATH.read_text(encoding="utf-8") == schema_module.text(), (
        "write it again: python -m uc_nn_pio.spec.schema"
    )


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_the_schema_takes_what_the_loader_takes(text: str) -> None:
    VALIDATOR.validate(yaml.safe_load(text))


@pytest.mark.parametrize("name", [name for name, wrong in WRONG.items() if wrong.schema])
def test_the_schema_refuses_what_the_loader_refuses(name: str) -> None:
    assert not VALIDATOR.is_valid(yaml.safe_load(WRONG[name].text))


def test_docs_and_schema_name_the_same_keys() -> None:
    assert _documented_keys() == set(_schema_keys(SCHEMA))


@pytest.mark.parametrize("key", sorted(_schema_keys(SCHEMA)))
def test_the_loader_knows_each_key(mistakes: Callable[[str], list[UcNnError]], key: str) -> None:
    """A nonsense value is refused for its value, never as an unknown key; the key with a letter more is unknown."""

    def with_value(path: str) -> str:
        data = yaml.safe_load(BASE)
        *sections, last = path.split(".")
        at = data
        for name in sections:
            at = at.setdefault(name, {})
        at[last] = -12345.5
        return yaml.safe_dump(data)

    assert not [error for error in mistakes(with_value(key)) if "unknown" in str(error)]
    assert [error for error in mistakes(with_value(key + "x")) if f"unknown key {key}x" in str(error)]


def test_the_documented_layers_are_the_known_ones() -> None:
    text = DOCS.read_text(encoding="utf-8").split("### layers")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `([A-Z]\w+)` \|(.*)\|$", text, re.M))
    assert list(rows) == list(LAYERS)
    for name, row in rows.items():
        outside = re.sub(r"\((?!required\)).*?\)", "", row)
        assert re.findall(r"`(\w+)`", outside) == list(LAYERS[name].arguments)
        needed = re.findall(r"`(\w+)` \((?:required)", row)
        assert tuple(needed) == LAYERS[name].needed


def _examples() -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def documented(tmp_path: Path) -> Callable[[str], ModelSpec]:
    """Load an example of the documentation, alone or laid over the complete one, with the files that it names."""

    def run(text: str) -> ModelSpec:
        folder = tmp_path / "models"
        data = yaml.safe_load(text)
        for name in re.findall(r"[\w/]+\.(?:pt|py|npz|json|safetensors)\b", text + _examples()[0]):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("x")
        if "spec" not in data:
            over = {**yaml.safe_load(_examples()[0]), **data}
            if "inputs" in data:  # in place of the one input
                del over["input"]
            VALIDATOR.validate(over)
            text = yaml.safe_dump(over)
        (folder / "lenet5.yaml").write_text(text)
        return load_spec(folder / "lenet5.yaml")

    return run


def test_the_documented_examples_load(documented: Callable[[str], ModelSpec]) -> None:
    examples = [text for text in _examples() if yaml.safe_load(text) is not None]
    assert len(examples) >= 5
    specs = [documented(text) for text in examples]
    assert specs[0].memory.ram_budget == 10240
    assert specs[2].model.layers is not None and len(specs[2].model.layers) == 5


def test_the_documented_error_is_what_a_user_sees(documented: Callable[[str], ModelSpec]) -> None:
    with pytest.raises(UcNnError) as caught:
        documented(_examples()[0].replace("threshold", "treshold"))
    shown = str(caught.value)
    assert shown[shown.index("models/") :] in DOCS.read_text(encoding="utf-8")
