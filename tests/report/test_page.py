"""The report as a page, looked at in a real browser; and what is said of one layer."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.emit.int8_networks import design_of_int8
from uc_nn_pio import cli
from uc_nn_pio.boards import board_ids, load_board
from uc_nn_pio.capture import capture_module
from uc_nn_pio.converter import convert
from uc_nn_pio.design import Design
from uc_nn_pio.emit.kernels.tuning import PLAIN
from uc_nn_pio.errors import UcNnError
from uc_nn_pio.graph.ir import Source
from uc_nn_pio.lower import lower
from uc_nn_pio.report.explain import explain_data, explain_text
from uc_nn_pio.report.fits import fits_data
from uc_nn_pio.report.page import kind_of, report_page
from uc_nn_pio.resources import resources
from uc_nn_pio.spec import load_spec

SPEC = resources("examples") / "lenet5_camera" / "models" / "lenet5.yaml"


@pytest.fixture(scope="module")
def design() -> Design:
    return convert(SPEC, load_board("hifive1")).design


def browser(page: Path, *options: str) -> str:
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", *options]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


class Tags(HTMLParser):
    """Whether every tag is closed, and what the tables say."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_in_a_browser(design: Design, tmp_path: Path) -> None:
    page = tmp_path / "lenet5.html"
    page.write_text(report_page(design), encoding="utf-8")
    tags = Tags()
    tags.feed(page.read_text(encoding="utf-8"))
    assert not tags.open and not tags.links  # it needs nothing else
    shown = browser(page, "--dump-dom")
    for text in ("lenet5: int8, schedule streamed", "conv2 (lenet5.py:31)", "1,724 B", "240,000", "mps2_an386"):
        assert text in shown
    assert shown.count("<rect") == len(design.plan.placements) + 5  # and the legend
    browser(page, f"--screenshot={tmp_path / 'page.png'}", "--window-size=1200,1600")
    picture = (tmp_path / "page.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 50_000  # an empty page has 10 kB


def test_names_of_the_user_s_are_escaped(design: Design) -> None:
    first, *rest = design.kernels
    wicked = replace(first, node=replace(first.node, source=Source("<script>alert(1)</script>")))
    page = report_page(replace(design, kernels=(wicked, *rest)))
    assert "<script" not in page and "&lt;script&gt;" in page


def test_every_board(design: Design) -> None:
    rows = {row["board"]: row for row in fits_data(design)}
    assert sorted(rows) == board_ids()
    assert all(row["fits"] for row in rows.values())
    assert rows["hifive1"]["ram_bytes"] == design.plan.total_bytes
    assert rows["hifive1"]["inferences_per_second"] == pytest.approx(51, abs=0.5)
    assert rows["mps2_an386"]["inferences_per_second"] is None


def test_a_network_that_fits_some_boards() -> None:
    module = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.Flatten())
    graph = lower(capture_module(module, (3, 32, 32), "net"))
    rows = {row["board"]: row for row in fits_data(design_of_int8(graph, PLAIN))}
    assert not rows["hifive1"]["fits"] and rows["mps2_an386"]["fits"]
    assert rows["hifive1"]["ram_bytes"] > rows["hifive1"]["ram_for_models"]


def test_kinds_of_what_lies_in_the_context() -> None:
    module = nn.LSTM(3, 4, batch_first=True)
    torch.manual_seed(0)

    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.fc = module, nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.layer(x)[0])

    graph = lower(capture_module(Rows(), (5, 3), "net"))
    nodes = [replace(n, op=replace(n.op, carried=True)) if n.op.kind == "recurrent" else n for n in graph.nodes]
    made = design_of_int8(replace(graph, nodes=tuple(nodes)), PLAIN)
    kinds = {place.name: kind_of(made, place) for place in made.plan.placements}
    assert kinds["layer.state"] == "state" and kinds["input"] == "input"
    assert kinds[made.graph.outputs[0]] == "output" and "activations" in kinds.values()
    assert explain_data(replace(made, board=None), "layer")["buffers"]["state"]["bytes"] == 32


@pytest.mark.parametrize("wanted", ["conv2", "lenet5_conv2"])
def test_all_of_a_layer(design: Design, wanted: str) -> None:
    data = explain_data(design, wanted)
    assert data["source"] == "conv2 (lenet5.py:31)" and data["function"] == "lenet5_conv2()"
    place = design.plan.placement("pool2")
    assert data["buffers"]["pool2"] == {"offset": place.offset, "bytes": place.size}
    assert data["tables"][0]["bytes"] == 2560 and data["macs"] == 240_000
    assert data["quant"]["pool1"]["zero_point"] == -128
    assert data["signal_to_noise_db"] == pytest.approx(42, abs=2)
    text = explain_text(data)
    for part in ("lenet5.py:31", "lenet5_conv2()", "6x14x14 -> 16x5x5", "dB", "cycles"):
        assert part in text
    assert np.isfinite(data["predicted"]["cycles"])


def test_a_layer_that_is_not_there(design: Design) -> None:
    with pytest.raises(UcNnError, match=r"did you mean conv2\?"):
        explain_data(design, "conv3")


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert cli.main(["report", str(SPEC), "--board", "hifive1", "--html", str(page)]) == 0
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert cli.main(["explain", str(SPEC), "conv1", "--board", "hifive1"]) == 0
    assert "lenet5_conv1()" in capsys.readouterr().out
    assert cli.main(["explain", str(SPEC), "nothing"]) == 2
    assert cli.main(["report", str(SPEC), "--map"]) == 0
    assert re.match(r"memory over time", capsys.readouterr().out)
    assert load_spec(SPEC).name == "lenet5"
