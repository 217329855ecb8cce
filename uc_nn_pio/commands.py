"""The verbs of ``uc-nn`` as a page, made from their parsers: ``docs/cli.md``; and what each one's exit codes mean.

``python -m uc_nn_pio.commands`` writes the page anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "cli.md"

ALWAYS = {0: "done", 2: "a mistake that the message explains", 130: "interrupted"}
"""Exit codes of every verb, but for those that say otherwise in :data:`OWN`."""

OWN: Mapping[str, Mapping[int, str]] = {
    "convert": {1: "--check: a file is stale or missing"},
    "report": {1: "--suggest: the network is over its RAM budget"},
    "validate": {
        1: "the accuracy is under min_accuracy, or an integer is not the reference's",
        3: "the virtual board stopped the firmware",
    },
    "doctor": {1: "something is missing that a build for the virtual board needs"},
    "board": {0: "done, or ended by Ctrl-C", 3: "the board stopped the firmware, or cannot do what was asked"},
    "monitor": {0: "done, or ended by Ctrl-C"},
    "demo": {1: "a digit was named wrong, or came too late"},
}


def exit_codes(verb: str) -> dict[int, str]:
    """What each exit code of a verb means, in the order of the codes."""
    codes = {**ALWAYS, **OWN.get(verb, {})}
    if "Ctrl-C" in codes[0]:
        del codes[130]
    return dict(sorted(codes.items()))


def epilog(verb: str, example: str) -> str:
    """What stands below a verb's options in its ``--help``."""
    codes = "\n".join(f"  {code:<4} {meaning}" for code, meaning in exit_codes(verb).items())
    return f"example: {example}\n\nexit codes:\n{codes}"


def verbs_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """A parser's verbs in their order; none of a parser that has none."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def commands_text(parser: argparse.ArgumentParser) -> str:
    """The page, in Markdown, of the parser of ``uc-nn``."""
    parts = [
        """# Commands

Generated from the parsers (`python -m uc_nn_pio.commands`); `uc-nn VERB --help` says the same of one verb.
`python -m uc_nn_pio` is `uc-nn` where the folder of scripts is not on PATH.

Results go to standard output, errors and remarks to standard error; an error says what, where, why and the next step.
With `--json` the result is one JSON value, and nothing else is on standard output. What `convert`, `report`,
`calibrate`, `guess`, `update` and `--profile` write is written whole, and all of it or nothing: where they fail, as on
a full disk, what was there stays. Work of more than half a second shows a bar on standard error where that is a
terminal; with `--json`, only if standard output is one as well. Nothing is coloured but the picture that
`uc-nn monitor` draws on a terminal.

## Exit codes

| code | means |
|---|---|
| 0 | done |
| 1 | a check failed: each verb below says which. Also: the reader of the output (`head`, say) left before its end |
| 2 | a mistake that the message explains: wrong arguments, a spec, a model, a file that cannot be read or written |
| 3 | the virtual board stopped the firmware |
| 130 | interrupted |
"""
    ]
    parts += [_section(name, verb, exit_codes(name), "##") for name, verb in verbs_of(parser).items()]
    return "\n".join(parts)


def _section(name: str, parser: argparse.ArgumentParser, codes: Mapping[int, str], level: str) -> str:
    """A verb, and those below it."""
    below = verbs_of(parser)
    positional = [action for action in parser._actions if not action.option_strings and action.dest != "board_verb"]
    options = [action for action in parser._actions if action.option_strings and action.dest != "help"]
    arguments = [_placeholder(action) for action in positional]
    usage = " ".join([f"uc-nn {name}", *(["VERB"] if below else arguments), *(["[options]"] if options else [])])
    what, example = (parser.description or "").strip(), (parser.epilog or "").partition("\n")[0]
    lines = [
        f"{level} uc-nn {name}",
        "",
        what,
        "",
        "```sh",
        example.removeprefix("example: "),
        "```",
        "",
        f"`{usage}`",
        "",
    ]
    rows = [(_placeholder(action), action) for action in positional] + [(_flags(action), action) for action in options]
    if rows:
        lines += ["| argument | means |", "|---|---|"]
        lines += [f"| `{_cell(shown)}` | {_cell(_help(parser, action))} |" for shown, action in rows]
        lines.append("")
    if codes:
        lines += [f"Exit codes: {'; '.join(f'{code} {meaning}' for code, meaning in codes.items())}.", ""]
    return "\n".join([*lines, *(_section(f"{name} {verb}", each, {}, level + "#") for verb, each in below.items())])


def _placeholder(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest).upper()
    return f"[{name}]" if action.nargs == "?" else name


def _flags(action: argparse.Action) -> str:
    flags = ", ".join(action.option_strings)
    if action.nargs == 0:
        return flags
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    return f"{flags} {value}"


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    return (action.help or "") % {**vars(action), "prog": parser.prog}


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    from uc_nn_pio.cli import _parser

    DOCUMENT.write_text(commands_text(_parser()), encoding="utf-8")
    print(f"wrote {DOCUMENT}")
