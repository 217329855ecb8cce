"""The report of a network with branches: every input's shape, every buffer's place, and the bound."""

from __future__ import annotations

import re
from pathlib import Path

from tests.quantize.test_imported import converted
from uc_nn_pio.report import report, report_text


def test_a_network_with_branches_is_shown_buffer_by_buffer(tmp_path: Path) -> None:
    design = converted(tmp_path, "residual").design
    assert design.plan.schedule == "arena"
    text = report_text(design)
    shown = {
        name: (int(first), int(last))
        for name, first, last in re.findall(r"^(\S+) +(\d+)\.\.(\d+)  ", text[text.index("\nbuffer ") :], re.M)
    }
    assert shown == {p.name: (p.offset, p.end - 1) for p in design.plan.placements}
    data = report(design)
    assert [len(layer["inputs"]) for layer in data["layers"]] == [len(k.inputs) for k in design.kernels]
    assert 2 in [len(layer["inputs"]) for layer in data["layers"]]
    bound = data["ram"]["bound_bytes"]
    assert 0 < bound <= data["ram"]["context_bytes"]
    said = "no plan of these layers can have less" if bound == data["ram"]["context_bytes"] else f"above {bound:,} B"
    assert said in text


def test_names_have_room(tmp_path: Path) -> None:
    design = converted(tmp_path, "residual").design
    lines = report_text(design).splitlines()
    begin = lines.index("") + 1
    operators = lines[begin].index("operators")
    for line, kernel in zip(lines[begin + 1 :], design.kernels, strict=False):
        assert line[:operators].split() == [kernel.node.name] and line[operators:].startswith(kernel.node.op.title)
