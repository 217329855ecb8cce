"""Makes any text safe where it is written: a C string, a C comment, a terminal.

Labels and layer names come from the user's files and may hold anything. They are kept as they are everywhere else, and
escaped here, at the moment of writing.
"""

from __future__ import annotations

import unicodedata

_MNEMONICS = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def c_string(text: str) -> str:
    """Return ``text`` as a string literal, quotes included, that C99 and C++11 read back as its UTF-8 bytes.

    The literal is one line of printable ASCII. Other bytes are octal escapes of three digits, which cannot swallow a
    digit behind them; a second question mark is escaped, so that no trigraph forms. A lone surrogate, which has no
    UTF-8, is written as the six characters ``\\udXXX``.
    """
    out = []
    before = ""
    for byte in text.encode("utf-8", "backslashreplace"):
        char = chr(byte)
        if char in '"\\' or (char == "?" and before == "?"):
            out.append("\\" + char)
        elif " " <= char <= "~":
            out.append(char)
        else:
            out.append(_MNEMONICS.get(char) or f"\\{byte:03o}")
        before = char
    return '"' + "".join(out) + '"'


def c_comment(text: str) -> str:
    """Return ``text`` as one line that neither ends nor opens a comment, for ``/* ... */`` as well as ``//``.

    ``*/``, ``/*`` and ``??`` are pulled apart by a space, control and format characters become visible, and a backslash
    at the end, which would splice the next line, becomes ``\\134``. A text that begins or ends with ``*`` or ``/`` gets
    a space there, so it is safe next to the comment's own marks.
    """
    line = visible(text).replace("??", "? ?").replace("??", "? ?")
    for pair in ("*/", "/*"):
        line = line.replace(pair, f"{pair[0]} {pair[1]}")
    if line.rstrip(" ").endswith("\\"):
        cut = len(line.rstrip(" ")) - 1
        line = line[:cut] + "\\134" + line[cut + 1 :]
    if line[:1] in ("*", "/"):
        line = " " + line
    if line[-1:] in ("*", "/", "?"):
        line += " "
    return line


def terminal(text: str, *, keep_newlines: bool = False) -> str:
    """Return ``text`` so that printing it cannot move the cursor, nor colour, reorder or hide what stands around it.

    Control characters (C0, DEL, C1), format characters (bidi overrides, zero-width ones), line separators, surrogates
    and unassigned code points become backslash escapes. ``keep_newlines`` leaves line feeds and tabs: for our own
    messages of several lines, never for one value inside a message.
    """
    if keep_newlines:
        return "".join(char if char in "\n\t" else visible(char) for char in text)
    return visible(text)


def visible(text: str) -> str:
    """Return ``text`` with every character that does not show (spaces aside) as a backslash escape."""
    return "".join(char if char.isprintable() or unicodedata.category(char) == "Zs" else _name(char) for char in text)


def _name(char: str) -> str:
    if char in _MNEMONICS:
        return _MNEMONICS[char]
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
