"""Escaped text, read back by compilers and looked at as bytes."""

from __future__ import annotations

import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from uc_nn_pio.escape import c_comment, c_string, terminal

NASTY = [
    "",
    "*/ #include <x>",
    "/* nested",
    "/*/",
    "**//**",
    '"; int x; "',
    "back\\slash\\",
    "\\",
    "\\ ",
    "line\nfeed\r\n\ttab\v\f",
    "\x1b[31mred\x1b[0m",
    "\x009 digits after an octal",
    "\x07" + "7",
    "??/",
    "??/\n",
    "what??!",
    "?????=",
    "a??'b??(c??)",
    "%s %n %:include",
    "größe 数字 \U0001f600",
    "é9é0",
    "\u202eright to left\u202c",
    "\x9b31m",
    "zero\u200bwidth\ufeff",
    "\u2028separators\u2029",
    "\ud800",
    "'",
    'u8R"(x)"',
    "\\u0041 \\x41 \\101 \\N{DASH}",
    "ends with /",
    "ends with *",
    "*begins",
    "trailing ??",
    "https://example.org/*?x=1",
]


@pytest.mark.parametrize(
    "compiler",
    [
        ["gcc", "-std=c99", "-pedantic"],
        ["gcc", "-std=gnu2x"],
        ["g++", "-std=c++11", "-xc++"],
        ["g++", "-std=c++20", "-xc++"],
        ["clang", "-std=c99", "-trigraphs"],
    ],
    ids=" ".join,
)
def test_compilers_read_the_same_bytes_and_no_comment_leaks(compiler: list[str], tmp_path: Path) -> None:
    """Every text as a string literal, as a block comment and as a line comment in one program, trigraphs on."""
    bytes_of = [text.encode("utf-8", "backslashreplace") for text in NASTY]
    lines = ["#include <stdio.h>", "static const char *const texts[] = {"]
    lines += [f"    {c_string(text)}," for text in NASTY]
    lines += ["};", "static const unsigned sizes[] = {"]
    lines += [f"    sizeof {c_string(text)}," for text in NASTY]
    lines += ["};", "static const int lines[] = {"]
    for text in NASTY:
        lines += [f"    /*{c_comment(text)}*/ __LINE__, /* {c_comment(text)} */"]
        lines += [f"    //{c_comment(text)}", "    __LINE__,"] if "-std=c99" not in compiler else ["", "    __LINE__,"]
    lines += ["};", "int main(void) {", f"    for (int i = 0; i < {len(NASTY)}; i++) {{"]
    lines += [
        "        fwrite(texts[i], 1, sizes[i] - 1, stdout);",
        '        printf("|%u|%d|", sizes[i], lines[2 * i + 1] - lines[2 * i]);',
    ]
    lines += ["    }", f"    return (int)(sizeof lines / sizeof *lines) - {2 * len(NASTY)};", "}"]
    source = tmp_path / "x.c"
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    flags = ["-Wall", "-Wextra", "-Werror", "-o", str(tmp_path / "x")]
    built = subprocess.run([*compiler, *flags, str(source)], capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([str(tmp_path / "x")], capture_output=True, timeout=60)
    assert ran.returncode == 0
    assert ran.stdout == b"".join(raw + b"|%d|2|" % (len(raw) + 1) for raw in bytes_of)


_TEXT = st.text(alphabet=st.one_of(st.sampled_from('*/\\?"\n\x1b \u202e'), st.characters()), max_size=12)


@given(text=_TEXT)
def test_a_literal_is_one_line_of_ascii_without_trigraphs(text: str) -> None:
    literal = c_string(text)
    assert all(" " <= char <= "~" for char in literal)
    assert "??" not in literal
    # Python's bytes literals read the same escapes, and leave octal ones at three digits too.
    inner = literal[1:-1].replace("\\?", "?")
    assert eval(f'b"{inner}"') == text.encode("utf-8", "backslashreplace")


@given(text=_TEXT)
@example(text="??/")
@example(text="*?/??/\\")
def test_a_comment_neither_ends_nor_opens_nor_splices(text: str) -> None:
    for line in (f"*{c_comment(text)}*", f"/{c_comment(text)}"):
        assert "*/" not in line and "/*" not in line[1:]
        assert "??" not in line and len(line.splitlines()) == 1
        assert not line.rstrip().endswith("\\")
        assert all(unicodedata.category(char) not in ("Cc", "Cf", "Zl", "Zp", "Cs") for char in line)


@given(text=_TEXT)
def test_what_goes_to_a_terminal_only_shows(text: str) -> None:
    for char in terminal(text):
        assert unicodedata.category(char) not in ("Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn")


def test_what_is_made_visible() -> None:
    assert terminal("a\x1b[2Jb") == "a\\x1b[2Jb"
    assert terminal("\x9b\u202e\u2066\U000e0001\x7f\r\n\t") == "\\x9b\\u202e\\u2066\\U000e0001\\x7f\\r\\n\\t"
    assert terminal("größe 数字 C:\\x\u00a0") == "größe 数字 C:\\x\u00a0"
    assert terminal("one\n\ttwo\r\x1b", keep_newlines=True) == "one\n\ttwo\\r\\x1b"
