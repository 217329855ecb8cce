"""A YAML file as a tree of values that know where they stand.

Only what a spec needs of YAML: mappings with text keys, lists, plain values. Nothing is constructed from tags, so a
file cannot make Python objects. Whatever is wrong with the text itself is said in words, with line and column.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from uc_nn_pio.errors import Location, SpecError

MAX_BYTES = 1 << 20
"""A spec larger than this is some other file."""

MAX_VALUES = 20_000
"""Values in one spec with aliases written out; a file of nested aliases would make billions."""

_TAGS = {
    "tag:yaml.org,2002:str": "text",
    "tag:yaml.org,2002:int": "whole",
    "tag:yaml.org,2002:float": "real",
    "tag:yaml.org,2002:bool": "switch",
    "tag:yaml.org,2002:null": "nothing",
    "tag:yaml.org,2002:timestamp": "date",
    "tag:yaml.org,2002:seq": "list",
    "tag:yaml.org,2002:map": "map",
}


@dataclass(frozen=True)
class Value:
    """One value of the file. ``where`` is its key's place, in a list its own.

    ``kind`` is text, whole, real, switch, nothing, date, list, map or tagged. ``text`` is a plain value as written
    (quotes and escapes undone). ``entries`` and ``items`` hold the children of a map or a list.
    """

    path: tuple[str | int, ...]
    where: Location
    kind: str
    text: str = ""
    items: tuple[Value, ...] = ()
    entries: Mapping[str, Value] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The way to the value, as messages name it: ``input.preprocess.mean[0]``."""
        out = ""
        for part in self.path:
            plain = isinstance(part, str) and part.replace("_", "").isalnum()
            shown = part if plain else repr(part)
            out += f"[{part}]" if isinstance(part, int) else f".{shown}" if out else str(shown)
        return out or "the spec"

    @property
    def described(self) -> str:
        """What the value is, for ``... not <this>``."""
        shown = repr(self.text if len(self.text) <= 40 else self.text[:37] + "...")
        bare = shown[1:-1]
        return {
            "text": f"the text {shown}",
            "whole": f"the number {bare}",
            "real": f"the number {bare}",
            "switch": f"the yes-or-no value {bare}",
            "nothing": "nothing",
            "date": f"the date {bare}",
            "list": "a list",
            "map": "a mapping",
            "tagged": f"a value with the tag {shown}",
        }[self.kind]


@dataclass(frozen=True)
class Document:
    """A spec's text read as YAML. ``errors`` are mistakes that leave the rest readable (a key given twice)."""

    root: Value
    sha256: str
    errors: tuple[SpecError, ...]


def read_document(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        SpecError: it is missing, no plain file, empty, not UTF-8, or not YAML.
    """
    text = _read_text(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _syntax_error(path, text, error) from None
    except RecursionError:
        raise SpecError("lists or mappings are nested too deeply", where=Location(path)) from None
    if node is None:
        raise _empty(path)
    builder = _Builder(path)
    root = builder.value(node, (), Location(path, 1, 1))
    return Document(root, hashlib.sha256(text.encode()).hexdigest(), tuple(builder.errors))


def _read_text(path: Path) -> str:
    """The file's text, without byte order mark, line ends as LF."""
    where = Location(path)
    try:
        if path.is_dir():
            raise SpecError(
                f"{str(path)!r} is a folder, not a model spec", where=where, next_step="name the .yaml file in it"
            )
        if not path.is_file():
            raise SpecError("there is no such model spec", where=where, next_step=nearest_file(path))
        if path.stat().st_size > MAX_BYTES:
            raise SpecError(
                f"the model spec is larger than {MAX_BYTES >> 20} MiB", where=where, why="it is probably another file"
            )
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SpecError(f"the model spec cannot be read: {reason}", where=where) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        place = Location(
            path, before.count(b"\n") + 1, len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        )
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        raise SpecError(
            "the file is not UTF-8" + (" but UTF-16" if wide else ""),
            where=place,
            why=f"byte 0x{data[error.start]:02x} at offset {error.start} is no UTF-8 text",
            next_step="save the file with the encoding UTF-8",
        ) from None
    if not text.strip():
        raise _empty(path)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _empty(path: Path) -> SpecError:
    return SpecError(
        "the model spec is empty",
        where=Location(path),
        next_step="begin with 'spec: 1'; docs/spec.md has a complete example",
    )


def nearest_file(path: Path) -> str | None:
    """A next step that names the file most like a missing one in its folder; None where nothing comes near."""
    try:
        if not path.parent.is_dir():
            return f"the folder {str(path.parent)!r} does not exist either"
        names = [item.name for item in path.parent.iterdir() if item.is_file()]
    except (OSError, ValueError):
        return None
    near = difflib.get_close_matches(path.name, sorted(names), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else None


def _syntax_error(path: Path, text: str, error: yaml.YAMLError) -> SpecError:
    """YAML's own complaint in words that say what to do."""
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        place = Location(path, before.count("\n") + 1, len(before) - before.rfind("\n"))
        code = error.character if isinstance(error.character, int) else ord(error.character)
        return SpecError(
            f"the character U+{code:04X} may not stand in YAML",
            where=place,
            next_step=f'delete it, or write it in double quotes as "\\x{code:02x}"' if code < 256 else "delete it",
        )
    opened = getattr(error, "context_mark", None)
    mark = getattr(error, "problem_mark", None) or opened
    place = Location(path, mark.line + 1, mark.column + 1) if mark else Location(path)
    problem = getattr(error, "problem", None) or str(error)
    context = getattr(error, "context", None) or ""
    tab = _tab_before(text, mark) if mark else None
    if tab is not None:
        return SpecError(
            "a tab is used where YAML allows spaces only",
            where=Location(path, mark.line + 1, tab + 1),
            next_step="replace tabs by spaces (most editors: 'convert indentation to spaces')",
        )
    what, why, next_step = _in_words(context, problem)
    if opened is not None and "quoted scalar" in context:
        place = Location(path, opened.line + 1, opened.column + 1)
    elif opened is not None and "flow" in context:
        why = f"it is opened in line {opened.line + 1}, column {opened.column + 1}"
    return SpecError(what, where=place, why=why, next_step=next_step)


def _tab_before(text: str, mark: yaml.Mark) -> int | None:
    """Column of a tab that starts the line or stands right at the mark."""
    lines = text.split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent:
        return indent.index("\t")
    return mark.column if line[mark.column : mark.column + 1] == "\t" else None


def _in_words(context: str, problem: str) -> tuple[str, str | None, str | None]:
    both = f"{context} {problem}"
    cases = (
        ("expected a single document", "the file holds two documents", "a line '---' begins a second one",
         "keep one model a file, and delete the line '---'"),
        ("mapping values are not allowed", "a colon where no key can be", None,
         "check the indentation of this line; put a text that holds ': ' in quotes"),
        ("could not find expected ':'", "a key without ':'", "YAML reads the line above as the beginning of a key",
         "write 'key: value', with a space behind the colon"),
        ("while scanning a quoted scalar", "a quote is opened and never closed", None, "close the quote"),
        ("while parsing a flow", "a bracket is not closed, or a comma is missing", None,
         "close '[' with ']' and '{' with '}', and separate entries by commas"),
        ("expected <block end>", "the indentation does not fit the lines above", None,
         "keys of one mapping begin in the same column"),
        ("undefined alias", "an alias (*) without its anchor (&)", None, "put a text that begins with '*' in quotes"),
        ("while scanning an alias", "a '*' that begins no alias", None, "put a text that begins with '*' in quotes"),
        ("while scanning an anchor", "an '&' that begins no anchor", None, "put a text that begins with '&' in quotes"),
        ("cannot start any token", "a character that cannot begin a value", None, "put the text in quotes"),
    )  # fmt: skip
    for sign, what, why, next_step in cases:
        if sign in both:
            return what, why, next_step
    return f"the file is not valid YAML: {problem}", context or None, None


class _Builder:
    """Turns YAML nodes into values, and collects the mistakes on the way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.errors: list[SpecError] = []
        self.count = 0
        self.open: list[yaml.Node] = []

    def place(self, node: yaml.Node) -> Location:
        return Location(self.path, node.start_mark.line + 1, node.start_mark.column + 1)

    def value(self, node: yaml.Node, path: tuple[str | int, ...], where: Location) -> Value:
        self.count += 1
        if self.count > MAX_VALUES:
            raise SpecError(
                f"the spec holds more than {MAX_VALUES} values once its aliases (*) are written out", where=where
            )
        if any(node is outer for outer in self.open):
            raise SpecError("an alias (*) stands inside the value of its own anchor (&)", where=where)
        kind = _TAGS.get(node.tag, "tagged")
        if isinstance(node, yaml.ScalarNode):
            if kind in ("list", "map"):
                kind = "tagged"
            text = node.tag if kind == "tagged" else node.value
            return Value(path, where, kind, self.checked(text, where))
        fits = "list" if isinstance(node, yaml.SequenceNode) else "map"
        if kind != fits:
            return Value(path, where, "tagged", self.checked(node.tag, where))
        self.open.append(node)
        try:
            if fits == "list":
                items = tuple(self.value(item, (*path, i), self.place(item)) for i, item in enumerate(node.value))
                return Value(path, where, kind, items=items)
            return Value(path, where, kind, entries=self.entries(node, path))
        finally:
            self.open.pop()

    def entries(self, node: yaml.MappingNode, path: tuple[str | int, ...]) -> dict[str, Value]:
        out: dict[str, Value] = {}
        for key, item in node.value:
            where = self.place(key)
            if key.tag == "tag:yaml.org,2002:merge":
                self.errors.append(
                    SpecError("merge keys (<<) are not read", where=where, next_step="write the keys out")
                )
            elif _TAGS.get(key.tag) != "text":
                shown = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                quoted = f'put it in quotes: "{shown}"' if isinstance(key, yaml.ScalarNode) else None
                self.errors.append(SpecError(f"a key must be text, not {shown}", where=where, next_step=quoted))
            elif key.value in out:
                first = out[key.value].where
                self.errors.append(
                    SpecError(
                        f"the key {key.value!r} is given twice",
                        where=where,
                        why=f"it stands in line {first.line} already",
                        next_step="keep one of the two",
                    )
                )
            else:
                name = self.checked(key.value, where)
                out[name] = self.value(item, (*path, name), where)
        return out

    def checked(self, text: str, where: Location) -> str:
        """The text, if UTF-8 can hold it; YAML's escapes can write halves of characters."""
        try:
            text.encode()
        except UnicodeEncodeError as error:
            self.errors.append(
                SpecError(
                    f"half a character: \\u{ord(text[error.start]):04x}",
                    where=where,
                    why="a surrogate alone is no character",
                    next_step="write the character itself, or its whole code point as \\UXXXXXXXX",
                )
            )
            return text.encode("utf-8", "replace").decode()
        return text
