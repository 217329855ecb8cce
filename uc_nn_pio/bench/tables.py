"""Rows of figures as text for a terminal, and as the README's table."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

Row = Mapping[str, Any]
BEGIN = "<!-- bench:begin, written by `python3 dev.py bench --readme README.md` -->"
END = "<!-- bench:end -->"

_WIDTH = 120


def text(rows: Mapping[str, Row], fixed: Mapping[str, Any]) -> str:
    """Ours in full, then the paper's and the peers' figures; a block a network."""
    lines: list[str] = []
    for network in dict.fromkeys(row["network"] for row in rows.values()):
        ours = [row for row in rows.values() if row["network"] == network]
        for row in ours:
            lines += _block(row)
        lines += ["", f"{ours[0]['title']}, beside the paper and the peers:", _HEAD]
        lines += [_line(item) for item in (*map(_as_peer, ours), *fixed[network])]
        lines.append("")
    lines += ["The paper's and the peers' figures are fixed, from these sources:"]
    for name, source in (*fixed["tables"].items(), ("accuracy", fixed["accuracy"])):
        lines += wrap(f"{name}: {source}", _WIDTH, initial_indent="  ", subsequent_indent="    ")
    lines.append("")
    lines += ["No figure of ours depends on skipping zeros: there is no such shortcut."]
    return "\n".join(lines)


def _block(row: Row) -> list[str]:
    split, flash = row["split"], row["flash"]
    shares = ", ".join(f"{name.replace('_', ' ')} {100 * part / row['cycles']:.1f} %" for name, part in split.items())
    lines = [
        f"{row['title']}, {row['precision']}, schedule {row['schedule']} ({row['macs']:,} multiply-accumulates)",
        *([f"  {row['note']}"] if row["note"] else []),
        f"  RAM           {row['ram_bytes']:,} B = {row['activation_bytes']:,} activations"
        + f" + {row['scratch_bytes']:,} scratch"
        + _more(row, "counter_bytes", "row counters")
        + _more(row, "ram_weight_bytes", "weights")
        + f" + {row['stack_bytes']:,} stack",
        f"  flash         {row['code_bytes']:,} B code + {row['const_bytes']:,} B constants",
        f"  instructions  {row['instructions']:,}",
        f"  cycles        {row['cycles']:,} modelled; {row['cycles_cold']:,} the first time, code from flash",
        f"  their split   {shares}",
        f"  speed         {_speeds(row)}",
        f"  flash reads   {flash['bytes']:,} B an inference; {flash['weight_words_read']:,} of "
        f"{flash['weight_words']:,} words of constant tables, none more than {_times(flash['most_reads_of_a_word'])}",
    ]
    if row["dual_io"]:
        lines.append(f"  dual I/O      {_speeds(row['dual_io'])}: with custom_uc_nn_flash = dual_io")
    if row["accuracy"]:
        lines += wrap(_accuracy(row["accuracy"]), _WIDTH, initial_indent="  accuracy      ", subsequent_indent=" " * 16)
    if row["labelled"]:
        lines.append(f"  board         {row['right']} of {row['labelled']} pictures right")
    built = f"{row['compiler']} {row['flags']}"
    return [*lines, *wrap(built, _WIDTH, initial_indent="  built by      ", subsequent_indent=" " * 16)]


def _more(row: Row, key: str, what: str) -> str:
    return f" + {row[key]:,} {what}" if row.get(key) else ""


def name_of(row: Row) -> str:
    """What tables and plots call a row of ours; the paper's schedule goes without saying."""
    return "uc_nn_pio" if row["schedule"] == "pingpong" else f"uc_nn_pio, {row['schedule']}"


def _speeds(row: Row) -> str:
    return ", ".join(f"{r:.2f}/s at {int(hz) // 10**6} MHz" for hz, r in row["inferences_per_second"].items())


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _accuracy(found: Mapping[str, Any]) -> str:
    parts = [
        f"{found['percent']:.2f} % of {found['samples']:,} samples (torch, float32: {found['torch_percent']:.2f} %)"
    ]
    parts.append(f"torch's class for {found['same_class']:,} of them")
    if found["integer_differences"] is not None:
        parts.append(f"{found['integer_differences']} outputs differ from the integer reference")
    return "; ".join(parts)


_HEAD = f"  {'':42}{'arithmetic':26}{'target':10}{'RAM B':>9}{'code B':>9}{'const B':>9}{'instr M':>10}{'right %':>9}"


def _as_peer(row: Row) -> dict[str, Any]:
    return {
        "name": name_of(row),
        "arithmetic": row["precision"],
        "target": "rv32imac",
        "ram": row["ram_bytes"],
        "code": row["code_bytes"],
        "const": row["const_bytes"],
        "instructions_m": row["instructions"] / 1e6,
        "accuracy_percent": row["accuracy"]["percent"] if row["accuracy"] else None,
    }


def _line(item: Mapping[str, Any]) -> str:
    def number(key: str, width: int, form: str = ",") -> str:
        value = item.get(key)
        return f"{'-' if value is None else format(value, form):>{width}}"

    target = item["target"].replace("Cortex-", "")
    return (
        f"  {item['name']:42}{item['arithmetic']:26}{target:10}"
        f"{number('ram', 9)}{number('code', 9)}{number('const', 9)}"
        f"{number('instructions_m', 10, ',.2f')}{number('accuracy_percent', 9, '.1f')}"
    )


# Of the paper and each kind of peer, those that take the least RAM or the fewest instructions.
SHOWN = {
    "lenet5": ("paper's author's code", "biarmic (follow-up of the paper)", "TinyMaix FASTSCALE", "muRISCV-NN scalar"),
    "cifar10": ("paper's author's code", "biarmic (follow-up of the paper)", "TinyMaix FASTSCALE", "muRISCV-NN scalar"),
}


def readme_block(rows: Mapping[str, Row], fixed: Mapping[str, Any]) -> str:
    """The README's table, markers included; the rows are those on record."""
    lines = [BEGIN, "| | arithmetic | RAM | code | constants | instructions | a second, 320 MHz | 352 MHz |"]
    lines.append("|---|---|--:|--:|--:|--:|--:|--:|")
    for network in dict.fromkeys(row["network"] for row in rows.values()):
        ours = [row for row in rows.values() if row["network"] == network]
        lines.append(f"| **{ours[0]['title']}** | | | | | | | |")
        lines += [_readme_row(row) for row in ours]
        lines += [_readme_peer(peer) for peer in fixed[network] if peer["name"] in SHOWN[network] and _is_riscv(peer)]
    return "\n".join([*lines, END])


def _is_riscv(peer: Mapping[str, Any]) -> bool:
    return peer["target"] == "rv32imac"


def _readme_row(row: Row) -> str:
    first, second = (f"**{r:.1f}**" if r >= 10 else f"**{r:.2f}**" for r in row["inferences_per_second"].values())
    ram = f"**{row['ram_bytes']:,} B**" + (" ¹" if row["note"] else "")
    return (
        f"| {name_of(row)} | **{row['precision']}** | {ram} | **{row['code_bytes']:,} B** | {row['const_bytes']:,} B "
        f"| **{_millions(row['instructions'] / 1e6)}** | {first} | {second} |"
    )


def _readme_peer(peer: Mapping[str, Any]) -> str:
    code, const = (f"{peer[name]:,} B" if name in peer else "" for name in ("code", "const"))
    instructions = _millions(peer["instructions_m"])
    return f"| {peer['name']} | {peer['arithmetic']} | {peer['ram']:,} B | {code} | {const} | {instructions} | | |"


def _millions(count: float) -> str:
    return f"{count:,.2f} M" if count < 10 else f"{count:,.1f} M" if count < 1000 else f"{count:,.0f} M"


def with_block(readme: str, block: str) -> str:
    """The README with this block between its markers.

    Raises:
        ValueError: it has no markers, or not one of each.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or readme.index(END) < readme.index(BEGIN):
        raise ValueError(f"the file needs one line {BEGIN!r}, and one {END!r} behind it")
    return readme[: readme.index(BEGIN)] + block + readme[readme.index(END) + len(END) :]
