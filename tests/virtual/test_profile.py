"""Profiles: layers with what they call, sums that add up, and forms that stand alone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.virtual import VirtualBoard
from uc_nn_pio.virtual.profile_report import Costs, Profile, check_target, render, write

SVG = "{http://www.w3.org/2000/svg}"
RUNS = 3  # of the model in firmware/layers.c


@pytest.fixture(scope="module")
def elf(build):
    return build("layers", flags=("-Og", "-g"))


@pytest.fixture(scope="module")
def profile(elf):
    board = VirtualBoard(elf)
    assert board.run(until="done\n", max_seconds=1).reason == "until"
    return Profile.of(board, "until")


def named(functions):
    return {function.function: function for function in functions}


def test_layers_are_found_also_inlined_and_have_what_they_call(profile):
    (model,) = profile.models
    assert (model.name, model.runs) == ("tiny", RUNS)
    layers = {layer.name: layer for layer in model.layers}
    assert list(layers)[-2:] == ["conv", "fc"]  # in the order they ran
    assert layers["conv"].runs == layers["fc"].runs == RUNS
    conv, fc = named(layers["conv"].functions), named(layers["fc"].functions)
    assert conv["__mulsf3"].calls == RUNS * 50
    assert conv["tiny_conv"].flash_reads >= RUNS * 64  # its table, and perhaps constants
    assert fc["__divsf3"].calls == RUNS * 20
    assert "__divsf3" not in conv
    assert "__mulsf3" not in fc
    assert "tiny_conv" not in fc
    assert "__subsf3" in named(profile.others)
    assert not {"tiny_conv", "__mulsf3", "__divsf3"} & set(named(profile.others))
    assert "tiny_input" in named(profile.others)  # the model's, but no layer of its run


def test_all_sums_add_up(profile):
    whole = Costs.of(profile.functions)
    assert whole.cycles == profile.result.cycles
    assert whole.instructions == profile.result.instructions
    assert whole.flash_reads == profile.result.flash_reads
    parts = [Costs.of(profile.others), *(model.costs for model in profile.models)]
    for name in vars(whole):
        assert sum(getattr(part, name) for part in parts) == getattr(whole, name), name
    assert profile.cycles_per_instruction >= 1.0
    assert profile.memory.stack >= 1000
    assert profile.memory.touched >= 1000


def test_watching_layers_changes_no_count(elf, tmp_path):
    """The same program without symbols has no layers to watch."""
    bare = tmp_path / "bare.elf"
    shutil.copy(elf, bare)
    subprocess.run(["riscv64-unknown-elf-strip", str(bare)], check=True)
    boards = [VirtualBoard(path) for path in (elf, bare)]
    results = [board.run(until="done\n", max_seconds=1) for board in boards]
    assert boards[0].layers.models
    assert not boards[1].layers.models
    assert results[0] == results[1]


def test_a_layer_in_a_function_of_its_own_and_an_inlined_one_count_alike(build, profile):
    """-O2 may inline or not: every run still has both layers and nearly all cycles in them."""
    board = VirtualBoard(build("layers", flags=("-O2", "-g")))
    board.run(until="done\n", max_seconds=1)
    (model,) = Profile.of(board).models
    assert model.runs == RUNS
    inside = sum(layer.costs.cycles for layer in model.layers if layer.name in ("conv", "fc"))
    assert inside > 0.9 * model.costs.cycles


def test_json_has_the_schema_of_the_manual(profile):
    data = json.loads(render(profile, ".json"))
    assert list(data) == [
        "format", "firmware", "board", "cycle_model", "core_hz", "totals", "memory", "models", "functions",
    ]  # fmt: skip
    assert data["format"] == "uc_nn profile 1"
    assert data["totals"]["cycles"] == sum(function["cycles"] for function in data["functions"])
    (model,) = data["models"]
    assert model["cycles"] == sum(layer["cycles"] for layer in model["layers"])
    assert {"layer", "runs", "instructions", "cycles", "flash_reads", "flash_cycles", "functions"} <= set(
        model["layers"][-1]
    )
    assert data["memory"]["ram"] == 16384


def test_text_names_layers_functions_and_totals(profile):
    text = render(profile, ".txt")
    for part in ("model tiny, runs: 3", "conv", "__mulsf3", "cycles per instruction", "RAM ever stored to"):
        assert part in text
    assert f"{profile.result.cycles:,}" in text


def boxes(svg):
    """Name, x and width of each box of the chart."""
    root = ET.fromstring(svg)
    found = []
    for group in root.iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        found.append((group.findtext(f"{SVG}title").split(": ")[0], float(rect.get("x")), float(rect.get("width"))))
    return found


def test_svg_widths_are_cycles(profile):
    drawn = boxes(render(profile, ".svg"))
    name, _, whole = drawn[0]
    assert name == profile.firmware
    scale = whole / profile.result.cycles
    model = profile.models[0]
    assert drawn[1][0] == "model tiny"
    assert drawn[1][2] == pytest.approx(model.costs.cycles * scale, abs=0.02)
    others = next(box for box in drawn if box[0] == "other code")
    assert others[2] == pytest.approx(Costs.of(profile.others).cycles * scale, abs=0.02)
    assert others[1] == pytest.approx(drawn[1][1] + drawn[1][2], abs=0.02)
    alone = [box for box in drawn if box[0] == "model tiny"][1]
    assert alone[2] == pytest.approx(whole, abs=0.02)  # its own chart fills the width


HOSTILE = '<script>alert("&\'")</script>\x1b[2J\u202e]]>'


def test_hostile_names_stay_text(profile):
    first = replace(profile.functions[0], function=HOSTILE)
    model = replace(profile.models[0], name=HOSTILE)
    bad = replace(
        profile, functions=(first, *profile.functions[1:]), others=(first,), models=(model,), firmware=HOSTILE
    )
    for suffix in (".svg", ".html", ".txt"):
        text = render(bad, suffix)
        assert "\x1b" not in text
        assert "\u202e" not in text
        if suffix != ".txt":
            assert "<script>alert" not in text
    ET.fromstring(render(bad, ".svg"))
    json.loads(render(bad, ".json"))


def test_the_page_needs_nothing_else(profile):
    page = render(profile, ".html")
    assert page.count("<table") == page.count("</table>") == 3
    assert not re.findall(r"(?:src|href)\s*=", page)
    assert set(re.findall(r"https?://[^\"\s]+", page)) == {"http://www.w3.org/2000/svg"}


def test_the_command_line_writes_every_form(elf, tmp_path):
    targets = [str(tmp_path / f"p{suffix}") for suffix in (".txt", ".json", ".svg", ".html")]
    profiles = [part for target in [*targets, "-"] for part in ("--profile", target)]
    done = subprocess.run(
        [sys.executable, "-m", "uc_nn_pio", "board", "run", str(elf), "--seconds", "0.2", "--stats", *profiles],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done\n")
    assert "model tiny, runs: 3" in done.stdout
    assert re.search(r"M instructions in \d+\.\d\d s: \d+\.\d M/s", done.stderr)
    assert "model tiny" in (tmp_path / "p.txt").read_text()
    assert json.loads((tmp_path / "p.json").read_text())["totals"]["reason"] == "seconds"
    ET.parse(tmp_path / "p.svg")
    assert (tmp_path / "p.html").read_text().startswith("<!DOCTYPE html>")


def test_a_wrong_suffix_is_told_before_the_run(elf, tmp_path, profile):
    done = subprocess.run(
        [sys.executable, "-m", "uc_nn_pio", "board", "run", str(elf), "--profile", str(tmp_path / "p.png")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3
    assert "no form has this suffix" in done.stderr
    assert done.stdout == ""
    assert check_target("-") == ".txt"
    (tmp_path / "file").touch()
    with pytest.raises(VirtualBoardError, match="cannot be written"):
        write(profile, str(tmp_path / "file" / "p.txt"))
