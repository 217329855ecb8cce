"""The same C as plain C: int8 models as Thumb code on Cortex-M3 and Cortex-M4, against the integer reference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.targets.mps2 import Machine, run_on_mps2
from tests.targets.program import LENET5, branched_cases, differences, lenet5, lenet5_case, operator_cases, random_cases
from uc_nn_pio.bench.qemu import instructions
from uc_nn_pio.boards import load_board
from uc_nn_pio.converter import convert
from uc_nn_pio.resources import resources
from uc_nn_pio.spec import MemorySpec, load_spec

M3 = Machine("mps2-an385", "cortex-m3", aligned_only=True)
M4 = Machine("mps2-an386", "cortex-m4")
BUILDS = [(M3, "-O2"), (M3, "-Os"), (M4, "-O2"), (M4, "-Os")]
IDS = [f"{machine.cpu}{level}" for machine, level in BUILDS]
RAM = 1 << 20


@pytest.mark.parametrize(("machine", "level"), BUILDS, ids=IDS)
def test_lenet5_on_1000_digits(machine: Machine, level: str, tmp_path: Path) -> None:
    """The very files that go onto the RISC-V board."""
    cases, expected = lenet5_case(lenet5(), 1000)
    found = run_on_mps2(cases, tmp_path, machine, [level])
    assert not differences(found, expected, cases)
    assert found[0].shape == (1000, 10)


@pytest.mark.parametrize("build", range(len(BUILDS)), ids=IDS)
def test_random_networks(build: int, tmp_path: Path) -> None:
    machine, level = BUILDS[build]
    cases, expected = random_cases(range(12 * build, 12 * build + 12), RAM)
    assert len(cases) == 12
    assert not differences(run_on_mps2(cases, tmp_path, machine, [level]), expected, cases)


@pytest.mark.parametrize(("machine", "level"), [(M3, "-O2"), (M4, "-Os")], ids=["cortex-m3", "cortex-m4"])
def test_networks_with_branches(machine: Machine, level: str, tmp_path: Path) -> None:
    cases, expected = branched_cases(range(12), RAM)
    assert len(cases) == 12
    assert not differences(run_on_mps2(cases, tmp_path, machine, [level]), expected, cases)


@pytest.mark.parametrize(("machine", "level"), [(M3, "-Os"), (M4, "-O2")], ids=["cortex-m3", "cortex-m4"])
def test_operators(machine: Machine, level: str, tmp_path: Path) -> None:
    cases, expected = operator_cases()
    assert not differences(run_on_mps2(cases, tmp_path, machine, [level]), expected, cases)


@pytest.mark.parametrize(("machine", "level"), BUILDS, ids=IDS)
def test_dual_products(machine: Machine, level: str, tmp_path: Path) -> None:
    """What a Cortex-M4's board data ask for; a Cortex-M3 has no SMLAD, and does without it."""
    cases, expected = lenet5_case(convert(LENET5, load_board("mps2_an386")), 1000)
    assert not differences(run_on_mps2(cases, tmp_path, machine, [level]), expected, cases)


CMSIS_NN_WITH_DSP = {"lenet5": 2_175_720, "cifar10": 15_280_160}
"""Instructions of the same networks in the same arithmetic: bench/peers.json."""


@pytest.mark.parametrize(
    ("spec", "most"),
    [("lenet5_camera/models/lenet5.yaml", 670_000), ("cifar10_table1/models/cifar10.yaml", 8_450_000)],
    ids=["lenet5", "cifar10"],
)
def test_instructions_on_a_cortex_m4(spec: str, most: int) -> None:
    read = load_spec(resources("examples") / spec)
    source = replace(read.input, source=None)
    read = replace(read, memory=MemorySpec("pingpong", ram_budget=65536), input=source)
    made = convert(read, load_board("mps2_an386"))
    count = instructions(made)
    assert most * 0.95 < count <= most < 0.6 * CMSIS_NN_WITH_DSP[made.name]


def test_a_word_access_that_is_not_aligned_is_noticed(tmp_path: Path) -> None:
    """So that the runs above would fail on one."""
    (case,), _ = lenet5_case(lenet5(), 2)
    text = case.files["lenet5.c"]
    begin = "void lenet5_run(lenet5_context *ctx)\n{\n"
    assert begin in text
    access = "    *(volatile uint32_t *)((uintptr_t)ctx + 1u) = 0u;\n"
    wrong = replace(case, files={**case.files, "lenet5.c": text.replace(begin, begin + access)})
    with pytest.raises(AssertionError, match="the program failed"):
        run_on_mps2([wrong], tmp_path, M3, ["-O2"])
