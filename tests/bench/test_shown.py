"""README, plot and table 1 show what is on record; the table for a terminal shows all of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from uc_nn_pio.bench import KEYS, peers
from uc_nn_pio.bench.__main__ import main
from uc_nn_pio.bench.plot import WIDTH, plot
from uc_nn_pio.bench.record import recorded
from uc_nn_pio.bench.table1 import table1
from uc_nn_pio.bench.tables import BEGIN, END, readme_block, text, with_block

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def test_the_readme_shows_the_record() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_block(readme, readme_block(recorded()["rows"], peers())) == readme


def test_the_readmes_block_is_of_the_rows() -> None:
    rows = recorded()["rows"]
    block = readme_block(rows, peers())
    for row in rows.values():
        assert f"**{row['ram_bytes']:,} B**" in block and f"{row['const_bytes']:,} B" in block
    assert "muRISCV-NN scalar" in block and "41,372 B" in block


@pytest.mark.parametrize("text", ["nothing", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_readme_without_its_markers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="needs one line"):
        with_block(text, f"{BEGIN}{END}")


def test_the_plot_is_of_the_record() -> None:
    drawn = plot(recorded()["rows"], peers())
    assert (ROOT / "docs" / "benchmark.svg").read_text(encoding="utf-8") == drawn
    root = ElementTree.fromstring(drawn)
    bars = root.findall(f"{SVG}rect")[1:]
    names = [item.text for item in root.iter(f"{SVG}text")]
    assert names.count("uc_nn_pio, int8") == 2
    for bar in bars:
        assert float(bar.get("width")) > 0 and float(bar.get("x")) + float(bar.get("width")) < WIDTH


def test_table_1_is_what_the_command_writes() -> None:
    assert (ROOT / "docs" / "table1.md").read_text(encoding="utf-8") == table1()


def test_the_table_shows_every_figure_and_every_peer() -> None:
    rows = recorded()["rows"]
    shown = text(rows, peers())
    for row in rows.values():
        for name in ("ram_bytes", "scratch_bytes", "code_bytes", "const_bytes", "instructions", "cycles"):
            assert f"{row[name]:,}" in shown, (row["title"], name)
    for network in ("lenet5", "cifar10"):
        for peer in peers()[network]:
            assert re.search(re.escape(peer["name"]) + r".*" + re.escape(f"{peer['ram']:,}"), shown), peer
    assert max(map(len, shown.splitlines())) <= 130


def test_peers_have_what_is_shown() -> None:
    for network in ("lenet5", "cifar10"):
        for peer in peers()[network]:
            assert {"name", "arithmetic", "table", "target", "ram"} <= set(peer)
            assert peer["table"] in peers()["tables"]


def test_json_is_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"lenet5-int8": recorded()["rows"]["lenet5-int8"]}
    monkeypatch.setattr("uc_nn_pio.bench.__main__.bench", lambda keys, tests: rows)
    monkeypatch.setattr(sys, "argv", ["bench", "--json", "--only", "lenet5-int8"])
    assert main() == 0
    assert json.loads(capsys.readouterr().out)["rows"] == rows


def test_a_worse_figure_ends_with_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    row = recorded()["rows"]["lenet5-int8"]
    monkeypatch.setattr(
        "uc_nn_pio.bench.__main__.bench",
        lambda keys, tests: {"lenet5-int8": {**row, "code_bytes": 2 * row["code_bytes"]}},
    )
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "lenet5-int8"])
    assert main() == 1
    assert "worse than the record: lenet5-int8: code_bytes" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--only", "lenet6"],
        ["--record", " "],
        ["--test", "lenet5"],
        ["--test", "vgg=x.npz"],
        ["--readme", "nowhere.md"],
    ],
)
def test_wrong_arguments_end_with_2(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "uc_nn_pio.bench", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr, done.stdout
    assert set(KEYS) and not list(tmp_path.iterdir())
