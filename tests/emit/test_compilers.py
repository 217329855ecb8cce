"""The generated C under every compiler and flag that it promises to be clean with."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from tests.emit.int8_networks import design_of_int8
from tests.graph.torch_graph import graph_of
from tests.networks import design_of
from uc_nn_pio.design import Design
from uc_nn_pio.emit.kernels.tuning import Tuning
from uc_nn_pio.emit.render import render
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import calibrate, quantize
from uc_nn_pio.spec import InputSpec, OutputSpec, Preprocess

WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror", "-std=c99", "-ffp-contract=off"]
RISCV = ["-march=rv32imac", "-mabi=ilp32", "-mcmodel=medany", "-ffreestanding"]
ARM = ["-mcpu=cortex-m0", "-mthumb", "-ffreestanding"]

# every kernel and every path of each: interior and border, groups, dilation, clipped windows, all activations
NETWORKS = {
    "chain": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU6(),
        nn.MaxPool2d(2, padding=1),
        nn.Conv2d(4, 8, (2, 3), groups=2, dilation=(1, 2)),
        nn.LeakyReLU(-0.5),
        nn.AvgPool2d(2, stride=1, padding=1, ceil_mode=True),
        nn.MaxPool2d(3, stride=1, padding=1),
        nn.AdaptiveAvgPool2d((3, 2)),
        nn.Flatten(),
        nn.LazyLinear(6),
        nn.Sigmoid(),
        nn.LazyLinear(5),
        nn.Tanh(),
        nn.LogSoftmax(dim=1),
    ),
    "functions": lambda: nn.Sequential(
        *(nn.Conv2d(3, 2, 1), nn.SiLU(), nn.Hardswish(), nn.GELU(), nn.GELU(approximate="tanh")),
        *(nn.ELU(0.5), nn.Hardsigmoid(), nn.Flatten()),
    ),
    "maps": lambda: nn.Sequential(nn.Conv2d(3, 2, 1), nn.Sigmoid(), nn.Softmax(dim=1), nn.Flatten()),
}

# in int8 depthwise convolutions are kernels of their own, and a tuning changes the C of most
INT8_NETWORKS = NETWORKS | {
    "depthwise": lambda: nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1, groups=3),
        nn.ReLU(),
        nn.Conv2d(3, 6, (2, 5), stride=(2, 1), groups=3),
        nn.LeakyReLU(0.2),
        nn.Conv2d(6, 6, 3, groups=6, padding=2, dilation=2),
        nn.MaxPool2d(2),
    ),
}
TUNINGS = {
    "plain": Tuning(),
    "packed": Tuning(packed=True, conv_taps=10),
    "compact": Tuning(packed=True, compact=True, conv_taps=3, linear_inputs=7),
    "dual": Tuning(dual=True, conv_taps=20),
}
INT8 = {f"{name}_{tuning}": (name, tuning) for name in INT8_NETWORKS for tuning in TUNINGS}
"""Names of int8 models."""

SHAPE = (3, 11, 9)
CAMERA = InputSpec(
    SHAPE, "arducam_ov2640", Preprocess(invert=True, threshold=7, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
)


def int8_design(name: str) -> Design:
    network, tuning = INT8[name]
    graph = lower(graph_of(INT8_NETWORKS[network](), SHAPE))
    samples = np.random.default_rng(1).normal(size=(4, *SHAPE)).astype(np.float32)
    design = design_of_int8(quantize(graph, calibrate(graph, [samples])), TUNINGS[tuning], name)
    return replace(design, spec=replace(design.spec, input=CAMERA))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    designs = [design_of(make(), SHAPE, name, input=CAMERA, output=OutputSpec(None)) for name, make in NETWORKS.items()]
    for design in [*designs, *map(int8_design, INT8)]:
        for file, text in render(design).items():
            (folder / file).write_text(text)
    return folder


def build(folder: Path, *command: str) -> str:
    assert shutil.which(command[0]), f"{command[0]} is needed for this test"
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("level", ["-O0", "-O2", "-Os"])
@pytest.mark.parametrize("compiler", ["gcc", "clang", "riscv64-unknown-elf-gcc"])
def test_clean_under(compiler: str, level: str, name: str, sources: Path) -> None:
    target = RISCV if compiler.startswith("riscv") else ()
    build(sources, compiler, *WARNINGS, *target, level, "-c", f"{name}.c", "-o", f"{name}.o")


@pytest.mark.parametrize(
    ("compiler", "level"),
    [
        *(("gcc", "-O2"), ("clang", "-O1"), ("arm-none-eabi-gcc", "-Os")),
        *(("riscv64-unknown-elf-gcc", level) for level in ("-O2", "-Os")),
    ],
)
def test_int8_is_clean_under(compiler: str, level: str, sources: Path) -> None:
    target = {"riscv64-unknown-elf-gcc": RISCV, "arm-none-eabi-gcc": ARM}.get(compiler, [])
    build(sources, compiler, *WARNINGS, *target, level, "-c", *(f"{name}.c" for name in INT8))


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_the_headers_are_cpp11_together(compiler: str, sources: Path) -> None:
    names = [*NETWORKS, *INT8]
    includes = "".join(f'#include "{name}.h"\n' for name in names)
    uses = "".join(
        f"int use_{name}({name}_context *at) {{ {name}_run(at); return {name}_output(at)[0] > 0; }}\n" for name in names
    )
    (sources / "all.cpp").write_text(f"{includes}{uses}int argmax(chain_context *a) {{ return chain_argmax(a); }}\n")
    build(sources, compiler, "-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c", "all.cpp", "-o", "all.o")


@pytest.mark.parametrize("name", [*NETWORKS, *INT8])
def test_nothing_is_writable_and_nothing_comes_from_a_libc(name: str, sources: Path) -> None:
    build(sources, "riscv64-unknown-elf-gcc", *RISCV, "-O2", "-c", f"{name}.c", "-o", "chain.rv.o")
    sizes = build(sources, "riscv64-unknown-elf-size", "-A", "chain.rv.o")
    for line in sizes.splitlines():
        if match := re.match(r"\.(s?data|s?bss)\S*\s+(\d+)", line):
            assert match[2] == "0", line
    undefined = build(sources, "riscv64-unknown-elf-nm", "-u", "chain.rv.o").split()
    names = {found for found in undefined if found != "U"}
    # what remains are libgcc's soft-float routines, two underscores each
    assert (name in INT8 or names) and all(found.startswith("__") for found in names), names


@pytest.mark.parametrize("name", NETWORKS)
def test_float_constants_are_not_read_from_flash(name: str, sources: Path) -> None:
    # a soft-float GCC puts each literal in a pool of constants; reading one word from flash costs 550 cycles
    text = (sources / f"{name}.c").read_text()
    pairs = re.findall(r"_F\((-?\d[\d.e+-]*)f, 0x([0-9A-F]{8})u\)", text)
    assert len(pairs) == len(re.findall(r"_F\([-\d]", text)) > 0
    for value, bits in pairs:
        assert struct.unpack(">f", bytes.fromhex(bits))[0] == np.float32(value), (value, bits)
    # nothing else that is not a table or zero
    rest = re.sub(r"static const float .*?};|/\*.*?\*/|_F\([-\d][^)]*\)", "", text, flags=re.DOTALL)
    assert set(re.findall(r"\b\d[\d.e+-]*f\b", rest)) <= {"0.0f"}


def test_two_models_link_into_one_program(sources: Path) -> None:
    (sources / "main.c").write_text(
        '#include "chain.h"\n#include "maps.h"\nstatic chain_context a;\nstatic maps_context b;\n'
        "int main(void) { chain_run(&a); maps_run(&b); return 0; }\n"
    )
    build(sources, "gcc", *WARNINGS, "main.c", "chain.c", "maps.c", "-o", "program")
    subprocess.run([sources / "program"], check=True)


def test_no_malloc_no_stdio_no_alignas(sources: Path) -> None:
    text = "".join((sources / f"{name}.{kind}").read_text() for name in [*NETWORKS, *INT8] for kind in "hc")
    assert not re.search(r"malloc|stdio|printf|_Static_assert|_Alignas|__attribute__|restrict|goto", text)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_asserts_stop_a_context_of_another_size(name: str, sources: Path, tmp_path: Path) -> None:
    for kind in "hc":
        text = (sources / f"{name}.{kind}").read_text()
        (tmp_path / f"{name}.{kind}").write_text(re.sub(r"float memory\[(\d+)\]", "float memory[3]", text))
    done = subprocess.run(["gcc", "-c", f"{name}.c"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and f"{name}_assert_context" in done.stderr
