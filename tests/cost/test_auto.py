"""``schedule: auto`` takes the way that is predicted to be the fastest of those that fit, and reports say so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from uc_nn_pio.bench.networks import NETWORKS
from uc_nn_pio.boards import load_board
from uc_nn_pio.choose import alternatives, choose
from uc_nn_pio.converter import Conversion, convert
from uc_nn_pio.cost.predict import predictor
from uc_nn_pio.emit.kernels import select
from uc_nn_pio.emit.kernels.tuning import tuning_of
from uc_nn_pio.place import ConstantPlacement
from uc_nn_pio.report import report, report_line, report_text
from uc_nn_pio.spec import MemorySpec

BOARD = load_board("hifive1_virtual")
FLASH = ConstantPlacement({})


def converted(budget: int, network: str = "lenet5") -> Conversion:
    spec = NETWORKS[network].load("int8")
    return convert(replace(spec, memory=MemorySpec("auto", ram_budget=budget)), BOARD)


@pytest.mark.parametrize("budget", [1170, 1280, 1500, 1800, 2320, 4000])
def test_no_way_that_fits_is_faster(budget: int) -> None:
    design = converted(budget).design
    predicted = predictor(BOARD)
    own = predicted.predict(design.kernels, FLASH).total.cycles
    assert design.plan.total_bytes <= budget
    kernels = tuple(select(design.graph, design.spec.name, tuning_of(BOARD)))
    for way in alternatives(design.graph, kernels):
        if way.plan.total_bytes <= budget:
            assert own <= predicted.predict(way.kernels, FLASH).total.cycles * 1.0001, way.plan.schedule


def test_the_predicted_fastest_is_taken_not_the_first() -> None:
    design = converted(1500).design
    kernels = tuple(select(design.graph, design.spec.name, tuning_of(BOARD)))
    first = choose(design.graph, kernels, "auto", 1500)
    seen = []

    def slower_the_larger(choice: object) -> float:
        seen.append(choice)
        return float(choice.plan.total_bytes)

    taken = choose(design.graph, kernels, "auto", 1500, slower_the_larger)
    assert len(seen) > 1
    assert taken.plan.total_bytes == min(choice.plan.total_bytes for choice in seen)
    assert first in seen


def test_the_report_adds_up() -> None:
    design = converted(1500).design
    data = report(design)
    whole = data["predicted"]
    assert whole["cycles"] == pytest.approx(
        whole["core_cycles"] + whole["flash_wait_cycles"] + whole["code_wait_cycles"], abs=2
    )
    layers = [layer["predicted"] for layer in data["layers"]]
    assert sum(layer["cycles"] for layer in layers) + whole["rows_cycles"] == pytest.approx(whole["cycles"], abs=9)
    assert sum(layer["share"] for layer in layers) == pytest.approx(1, abs=0.05)
    assert whole["inferences_per_second"] == pytest.approx(320e6 / whole["cycles"], abs=0.01)
    [own] = [way for way in data["choices"] if way["taken"]]
    assert own["inferences_per_second"] == whole["inferences_per_second"]


def test_a_person_reads_it() -> None:
    text = report_text(converted(4000).design)
    assert "inferences/s at 320 MHz, predicted" in text
    head = next(line for line in text.splitlines() if line.startswith("layer"))
    assert head.split()[-3:] == ["instr.", "cycles", "share"]
    conv = next(line for line in text.splitlines() if line.startswith("conv1"))
    assert conv.endswith(" %")
    ways = next(line for line in text.splitlines() if line.startswith("ways to lay it out"))
    assert ways.endswith("inferences/s")


def test_a_build_says_it_in_a_line() -> None:
    conversion = converted(1500)
    data = report(conversion.design)
    line, cycles = report_line(data), data["predicted"]["cycles"]
    assert conversion.line(None, "reset") == line
    assert "predicted" not in conversion.line(None, "dual_io")
    assert line.startswith("lenet5: int8, streamed; ")
    assert f"{data['ram']['context_bytes']:,} B of RAM; 62,576 B of weights; " in line
    assert line.endswith(f"{320e6 / cycles:.3g} inferences/s at 320 MHz, predicted")
    assert report_line(data, 16_000_000).endswith(f"{16e6 / cycles:.3g} inferences/s at 16 MHz, predicted")
    assert "inferences" not in report_line(data, predicted=False)


def test_without_a_model_nothing_is_predicted() -> None:
    board = replace(BOARD, details={key: value for key, value in BOARD.details.items() if key != "cost_model"})
    design = convert(NETWORKS["lenet5"].load("int8"), board).design
    data = report(design)
    assert data["predicted"] is None
    assert all(layer["predicted"] is None for layer in data["layers"])
    assert all(way["inferences_per_second"] is None for way in data["choices"])
    text = report_text(design)
    assert "predicted" not in text
    assert "weight words read" in text
