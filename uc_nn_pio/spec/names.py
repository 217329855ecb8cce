"""Which names a model may have: it begins every C identifier, and is the name of the generated files."""

from __future__ import annotations

import re

MAX_LENGTH = 48
PATTERN = "^[A-Za-z][A-Za-z0-9_]{0,47}$"
"""A C identifier that the language leaves to users, of a length that every file system takes."""

_C = """
auto break case char const continue default do double else enum extern float for goto if inline int long register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
alignas alignof bool constexpr false nullptr static_assert thread_local true typeof typeof_unqual
"""
_CPP = """
alignas alignof and and_eq asm bitand bitor bool catch char16_t char32_t char8_t class co_await co_return co_yield compl
concept const_cast consteval constexpr constinit decltype delete dynamic_cast explicit export false friend mutable
namespace new noexcept not not_eq nullptr operator or or_eq private protected public reinterpret_cast requires
static_assert static_cast template this thread_local throw true try typeid typename using virtual wchar_t xor xor_eq
"""
KEYWORDS = frozenset((_C + _CPP).split())
"""Keywords of C99 to C23 and of C++11 to C++20 (ISO 9899, clause 6.4.1; ISO 14882, clause 5.11)."""

_HEADERS = """
assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic stdbit
stdbool stdckdint stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype
"""
HEADERS = frozenset(_HEADERS.split())
"""Names of the C library's headers: ``math.h`` of a model would hide ``<math.h>``."""

DEVICES = frozenset(["con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))])
"""File names that Windows keeps for devices, whatever the suffix."""

RESERVED_PREFIX = "uc_nn"


def name_problem(name: str) -> str | None:
    """Why ``name`` cannot be a model's name, or None."""
    if not name:
        return "it is empty"
    if not name[0].isascii() or not (name[0].isalpha() or name[0] == "_"):
        return f"a C identifier begins with a letter, not with {name[0]!r}"
    for char in name:
        if not (char.isascii() and (char.isalnum() or char == "_")):
            return f"a C identifier has letters, digits and '_' only, not {char!r}"
    if name.startswith("_") or "__" in name:
        return "C and C++ keep names with a leading '_' or with '__' for themselves"
    if len(name) > MAX_LENGTH:
        return f"it has {len(name)} characters; {MAX_LENGTH} are allowed"
    if name in KEYWORDS:
        return "it is a keyword of C or C++"
    if name.lower() in HEADERS:
        return f"the C library has a header {name.lower()}.h"
    if name.lower() in DEVICES:
        return "Windows keeps this file name for a device"
    if name.lower().startswith(RESERVED_PREFIX):
        return f"names beginning with {RESERVED_PREFIX!r} are the converter's own"
    return None


def suggested_name(name: str) -> str | None:
    """A name like ``name`` that is allowed, or None."""
    candidate = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9_]", "_", name)).strip("_")[:MAX_LENGTH]
    for text in (candidate, f"{candidate}_net", f"net_{candidate}"):
        if candidate and name_problem(text) is None:
            return text
    return None


def schema() -> dict[str, object]:
    """The same rules for JSON schema."""

    def any_case(word: str) -> str:
        return "".join(f"[{c.upper()}{c}]" if c.isalpha() else c for c in word)

    words = "|".join(any_case(word) for word in sorted(HEADERS | DEVICES))
    return {
        "type": "string",
        "pattern": PATTERN,
        "not": {
            "anyOf": [
                {"enum": sorted(KEYWORDS)},
                {"pattern": "__"},
                {"pattern": f"^{any_case(RESERVED_PREFIX)}"},
                {"pattern": f"^({words})$"},
            ]
        },
    }
