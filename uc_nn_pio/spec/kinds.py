"""Kinds of values: each reads one value of the file, says what it expects, and states the same as JSON schema."""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from uc_nn_pio.errors import SpecError, UcNnError
from uc_nn_pio.spec import names
from uc_nn_pio.spec.document import Value

BAD: Any = object()
"""What a kind returns for a wrong value, after it noted the mistake."""


@dataclass
class Reader:
    """Collects mistakes, so that a user mends them all at once. ``folder`` is where relative paths begin."""

    folder: Path
    errors: list[UcNnError]

    def bad(self, value: Value, what: str, why: str | None = None, next_step: str | None = None) -> Any:
        self.errors.append(SpecError(what, where=value.where, why=why, next_step=next_step))
        return BAD


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like ``word``, upper and lower case being alike."""
    by_lower = {item.lower(): item for item in known}
    near = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


class Kind:
    """Base of all kinds. ``expects`` completes the sentence ``<key> must be ...``."""

    expects = ""

    def read(self, value: Value, reader: Reader) -> Any:
        """The value as Python has it, or BAD."""
        raise AssertionError(type(self).__name__)

    def schema(self) -> dict[str, Any]:
        """The JSON schema of values that :meth:`read` takes (files are not looked at)."""
        raise AssertionError(type(self).__name__)

    def wrong(self, value: Value, reader: Reader, next_step: str | None = None) -> Any:
        return reader.bad(value, f"{value.key} must be {self.expects}, not {value.described}", next_step=next_step)


@dataclass(frozen=True)
class Text(Kind):
    """A text that is not empty."""

    expects: str = "a text"

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind == "text":
            return value.text or reader.bad(value, f"{value.key} is an empty text")
        quote = value.kind in ("whole", "real", "switch", "date", "nothing") and value.text
        return self.wrong(value, reader, f'put it in quotes: "{value.text}"' if quote else None)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True)
class Name(Kind):
    """The model's name."""

    expects: str = "a C identifier"

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind != "text":
            return self.wrong(value, reader)
        problem = names.name_problem(value.text)
        if problem is None:
            return value.text
        good = names.suggested_name(value.text)
        return reader.bad(
            value,
            f"{value.text!r} cannot be a model's name",
            f"{problem}; the name begins every identifier of the generated C",
            f"for example: name: {good}" if good else None,
        )

    def schema(self) -> dict[str, Any]:
        return names.schema()


@dataclass(frozen=True)
class Version(Kind):
    """The version of the format itself."""

    expects: str = "1, the version of this format"

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind != "whole" or value.text != "1":
            newer = value.kind == "whole" and value.text.isdigit() and value.text != "0"
            return self.wrong(value, reader, "a newer version needs a newer uc_nn_pio" if newer else "write spec: 1")
        return 1

    def schema(self) -> dict[str, Any]:
        return {"const": 1}


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    options: tuple[str, ...]

    @property
    def expects(self) -> str:  # type: ignore[override]
        return " or ".join(self.options) if len(self.options) > 1 else repr(self.options[0])

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind == "text" and value.text in self.options:
            return value.text
        near = nearest(value.text, self.options) if value.kind == "text" else None
        return self.wrong(value, reader, f"did you mean {near!r}?" if near else None)

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.options)}


@dataclass(frozen=True)
class Switch(Kind):
    """true or false."""

    expects: str = "true or false"

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind == "switch":
            return value.text.lower() in ("true", "yes", "on")
        return self.wrong(value, reader)

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number in decimal."""

    least: int = 0
    most: int = 2**31 - 1

    @property
    def expects(self) -> str:  # type: ignore[override]
        if self.most == 2**31 - 1:
            return "a whole number" + (f" of at least {self.least}" if self.least > -(2**31) else "")
        return f"a whole number from {self.least} to {self.most}"

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind != "whole":
            return self.wrong(value, reader)
        if not re.fullmatch(r"[+-]?(0|[1-9][0-9]{0,17})", value.text):
            return self.wrong(value, reader, "write it in decimal, without leading zeros")
        number = int(value.text)
        return number if self.least <= number <= self.most else self.wrong(value, reader)

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


_DECIMAL = r"[+-]?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})([eE][+-]?[0-9]{1,2})?"


@dataclass(frozen=True)
class Number(Kind):
    """A number: decimal or a fraction of two, kept exact. ``above`` is an open lower limit."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    limits: str = ""

    @property
    def expects(self) -> str:  # type: ignore[override]
        return "a number such as 0.5, 1e-3 or 1/255" + (f", {self.limits}" if self.limits else "")

    def read(self, value: Value, reader: Reader) -> Any:
        plain = value.text if value.kind in ("text", "whole", "real") else ""
        if not re.fullmatch(rf"{_DECIMAL}( ?/ ?{_DECIMAL})?", plain):
            return self.wrong(value, reader)
        over, _, under = plain.replace(" ", "").partition("/")
        divisor = Fraction(under or 1)
        if divisor == 0:
            return reader.bad(value, f"{value.key} divides by 0")
        number = Fraction(over) / divisor
        outside = (
            (self.least is not None and number < Fraction(self.least))
            or (self.most is not None and number > Fraction(self.most))
            or (self.above is not None and number <= Fraction(self.above))
        )
        return self.wrong(value, reader) if outside else number

    def schema(self) -> dict[str, Any]:
        limits = {"minimum": self.least, "maximum": self.most, "exclusiveMinimum": self.above}
        number = {"type": "number", **{name: limit for name, limit in limits.items() if limit is not None}}
        return {"anyOf": [number, {"type": "string", "pattern": f"^{_DECIMAL}( ?/ ?{_DECIMAL})?$"}]}


FILL_IN = "FILL_IN"
"""Stands in a spec that was guessed where something has to be said by hand."""

LEAST = 0
"""A RAM budget that nothing meets: the smallest context is taken, however slow."""


@dataclass(frozen=True)
class Size(Kind):
    """Bytes: a whole number, or one with K (1,024) or M (1,048,576) behind it."""

    least: int = 1
    expects: str = "a size in bytes such as 6144 or 6K"

    def read(self, value: Value, reader: Reader) -> Any:
        match = re.fullmatch(r"(0|[1-9][0-9]{0,9})([KM]?)", value.text) if value.kind in ("text", "whole") else None
        if match is None:
            loose = re.fullmatch(r"\s*([0-9]+)\s*([kKmM])(i?[bB]?)\s*", value.text) if value.kind == "text" else None
            near = f"write {loose[1]}{loose[2].upper()} (K is 1024 bytes)" if loose else None
            return self.wrong(value, reader, near)
        size = int(match[1]) * {"": 1, "K": 1 << 10, "M": 1 << 20}[match[2]]
        if not self.least <= size < 1 << 32:
            return self.wrong(value, reader)
        return size

    def schema(self) -> dict[str, Any]:
        number = "[1-9][0-9]{0,9}" if self.least else "(0|[1-9][0-9]{0,9})"
        return {
            "anyOf": [
                {"type": "integer", "minimum": self.least, "maximum": (1 << 32) - 1},
                {"type": "string", "pattern": f"^{number}[KM]?$"},
            ]
        }


@dataclass(frozen=True)
class SizeOr(Kind):
    """One of a few words, or bytes."""

    options: tuple[str, ...]

    @property
    def expects(self) -> str:  # type: ignore[override]
        return f"{', '.join(self.options)} or {Size().expects}"

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind == "text" and value.text in self.options:
            return value.text
        near = nearest(value.text, self.options) if value.kind == "text" else None
        if near and not value.text[:1].isdigit():
            return self.wrong(value, reader, f"did you mean {near!r}?")
        return Size().read(value, reader) if value.text[:1].isdigit() else self.wrong(value, reader)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(self.options)}, *Size().schema()["anyOf"]]}


@dataclass(frozen=True)
class Budget(SizeOr):
    """A size, or the word ``least``, which is read as 0: the smallest that can be reached."""

    options: tuple[str, ...] = ("least",)

    def read(self, value: Value, reader: Reader) -> Any:
        found = super().read(value, reader)
        return LEAST if found == "least" else found


@dataclass(frozen=True)
class ListOf(Kind):
    """A list of at least one value of one kind."""

    kind: Kind
    expects: str = "a list"

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind != "list":
            return self.wrong(value, reader, f"write [{value.text}]" if value.kind in ("whole", "real") else None)
        if not value.items:
            return reader.bad(value, f"{value.key} is an empty list", next_step="leave the key out, or fill the list")
        items = [self.kind.read(item, reader) for item in value.items]
        return BAD if any(item is BAD for item in items) else tuple(items)

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.kind.schema(), "minItems": 1}


@dataclass(frozen=True)
class Labels(Kind):
    """A list of texts. YAML reads an unquoted 3, yes or null as something else, so that is said once, with the cure."""

    expects: str = 'a list of texts such as ["cat", "dog"]'

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind != "list":
            return self.wrong(value, reader)
        if not value.items:
            return reader.bad(value, f"{value.key} is an empty list", next_step="leave the key out, or fill the list")
        others = [item for item in value.items if item.kind != "text"]
        if others:
            first, more = others[0], f" (and {len(others) - 1} more)" if len(others) > 1 else ""
            quoted = ", ".join(f'"{item.text}"' for item in others[:3]) + (", ..." if len(others) > 3 else "")
            return reader.bad(
                first,
                f"{first.key} must be a text, not {first.described}{more}",
                "YAML reads unquoted numbers, yes, no and null as values of their own",
                f"put quotes around labels: [{quoted}]",
            )
        wrong = [item for item in value.items if not item.text or "\0" in item.text]
        for item in wrong:
            reader.bad(
                item, f"{item.key} " + ("holds a NUL character, which ends a C string" if item.text else "is empty")
            )
        return BAD if wrong else tuple(item.text for item in value.items)

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^[^\\u0000]+$"}}


MAX_ELEMENTS = 1 << 24


@dataclass(frozen=True)
class Shape(Kind):
    """(C, H, W), (C, L) or (N,)."""

    expects: str = "[C, H, W], [C, L] for a signal or [N] for a vector, in whole numbers of at least 1"

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind != "list":
            return self.wrong(value, reader)
        sizes = [Whole(1, 65535).read(item, reader) for item in value.items]
        if any(size is BAD for size in sizes):
            return BAD
        shown = ", ".join(map(str, sizes))
        if len(sizes) not in (1, 2, 3):
            hint = {4: f"leave the batch axis out: [{', '.join(map(str, sizes[1:]))}]"}
            return reader.bad(value, f"{value.key} must be {self.expects}, not [{shown}]", None, hint.get(len(sizes)))
        elements = 1
        for size in sizes:
            elements *= size
        if elements > MAX_ELEMENTS:
            return reader.bad(
                value, f"{value.key}: [{shown}] are {elements} values", f"at most {MAX_ELEMENTS} are read"
            )
        return tuple(sizes)

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": Whole(1, 65535).schema(), "minItems": 1, "maxItems": 3}


@dataclass(frozen=True)
class Inputs(Kind):
    """Several inputs: a shape for each name."""

    shape: Shape
    expects: str = "a mapping of names to shapes: {x: {shape: [1, 28, 28]}, speed: {shape: [1]}}"

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind != "map" or not value.entries:
            return self.wrong(value, reader)
        out: dict[str, Any] = {}
        for name, item in value.entries.items():
            problem = names.name_problem(name)
            if problem is not None or name != name.lower():
                return reader.bad(
                    item, f"{name!r} cannot be an input's name", problem or "names of inputs are in small letters"
                )
            if item.kind != "map" or not {"shape"} <= set(item.entries) <= {"shape", "tokens"}:
                return reader.bad(
                    item,
                    f"{item.key} must be a mapping with shape, and tokens where they are whole numbers",
                    "source and preprocess go with one input, under the key input",
                    f"{name}: {{shape: [8]}}",
                )
            tokens = item.entries.get("tokens")
            shape = self.shape.read(item.entries["shape"], reader)
            out[name] = (shape, None if tokens is None else Whole(1, 65536).read(tokens, reader))
        return BAD if any(value is BAD for found in out.values() for value in found) else out

    def schema(self) -> dict[str, Any]:
        properties = {"shape": self.shape.schema(), "tokens": Whole(1, 65536).schema()}
        shape = {"type": "object", "properties": properties, "required": ["shape"]}
        each = {**shape, "additionalProperties": False}
        return {"type": "object", "additionalProperties": each, "minProperties": 1}


@dataclass(frozen=True)
class Arguments(Kind):
    """Keyword arguments of the user's own: any plain YAML values."""

    expects: str = "a mapping of argument names to values"

    def read(self, value: Value, reader: Reader) -> Any:
        if value.kind != "map":
            return self.wrong(value, reader)
        out = {}
        for name, item in value.entries.items():
            if not name.isidentifier() or keyword.iskeyword(name):
                return reader.bad(item, f"{name!r} is no name of a Python argument")
            out[name] = _plain(item, reader)
        return BAD if any(item is BAD for item in out.values()) else out

    def schema(self) -> dict[str, Any]:
        return {"type": "object"}


def _plain(value: Value, reader: Reader) -> Any:
    """A YAML value as plain Python: None, bool, int, float, str, list or dict."""
    if value.kind == "list":
        items = [_plain(item, reader) for item in value.items]
        return BAD if any(item is BAD for item in items) else items
    if value.kind == "map":
        entries = {name: _plain(item, reader) for name, item in value.entries.items()}
        return BAD if any(item is BAD for item in entries.values()) else entries
    if value.kind == "whole":
        return Whole(-(2**63), 2**63).read(value, reader)
    if value.kind == "real":
        try:
            return float(value.text.lower().replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            return reader.bad(value, f"{value.key}: {value.text!r} is no number")
    if value.kind == "switch":
        return Switch().read(value, reader)
    if value.kind == "nothing":
        return None
    return value.text if value.kind == "text" else reader.bad(value, f"{value.key} cannot be {value.described}")


@dataclass(frozen=True)
class Anything(Kind):
    """A key whose feature is not built yet: nothing is known of its value."""

    def read(self, value: Value, reader: Reader) -> Any:
        return value

    def schema(self) -> dict[str, Any]:
        return {}
