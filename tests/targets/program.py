"""A test program of generated models for a bare machine: it runs stored inputs and prints every output byte.

All models share one memory, which is filled with garbage in front of every run and has guards at both ends; a guard
that has changed is printed. Nothing is expected of a libc.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from tests.emit.harness import Case, case_of
from tests.emit.int8_networks import design_of_int8, random_int8_network, random_tuning
from tests.emit.test_branches import int8_network as branched_network
from tests.emit.test_int8_random_networks import design_of_seed
from tests.operator_networks import NETWORKS
from tests.operator_networks import int8_network as operator_network
from uc_nn_pio.boards import load_board
from uc_nn_pio.converter import Conversion, convert
from uc_nn_pio.graph.layout import from_memory, to_memory
from uc_nn_pio.graph.quant import to_int8
from uc_nn_pio.reference import integer
from uc_nn_pio.samples import network_input
from uc_nn_pio.validation import load_samples

LENET5 = Path(__file__).parents[2] / "examples" / "lenet5_camera" / "models" / "lenet5.yaml"
SUPPORT = Path(__file__).parent / "support"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror")
FREESTANDING = ("-ffreestanding", "-ffunction-sections", "-fdata-sections", "-g1")

_MAIN = """
#include "target.h"
{includes}

#define GUARD 0x5AA5C33Cu

extern const uint8_t inputs[];

static struct {{
    uint32_t before[4];
    union {{
{members}
    }} of;
    uint32_t after[4];
}} memory;

static void show(const int8_t *values, int32_t count)
{{
    for (int32_t i = 0; i < count; i++) {{
        target_put("0123456789abcdef"[(uint8_t)values[i] >> 4]);
        target_put("0123456789abcdef"[(uint8_t)values[i] & 15]);
    }}
    for (int32_t i = 0; i < 4; i++) {{
        if (memory.before[i] != GUARD || memory.after[i] != GUARD) {{
            target_put('!');
        }}
    }}
    target_put('\\n');
}}

static void refill(void)
{{
    memset(&memory, 0xA5, sizeof memory);
    for (int32_t i = 0; i < 4; i++) {{
        memory.before[i] = GUARD;
        memory.after[i] = GUARD;
    }}
}}

#define FILL0(NAME, UPPER) memcpy(NAME##_input(&memory.of.NAME), at, UPPER##_INPUT_SIZE)
#define FILL1(NAME, UPPER)                                                    \\
    NAME##_reset(&memory.of.NAME);                                            \\
    for (int32_t y = 0; y < UPPER##_INPUT_H; y++) {{                          \\
        const int32_t row = UPPER##_INPUT_SIZE / UPPER##_INPUT_H;             \\
        memcpy(NAME##_row(&memory.of.NAME), at + y * row, (size_t)row);       \\
        if (NAME##_push_row(&memory.of.NAME) != UPPER##_INPUT_H - 1 - y) {{   \\
            target_put('?');                                                  \\
        }}                                                                    \\
    }}

#define RUN(NAME, UPPER, COUNT, STREAMED)                                     \\
    for (int32_t i = 0; i < COUNT; i++) {{                                    \\
        refill();                                                             \\
        FILL##STREAMED(NAME, UPPER);                                          \\
        at += UPPER##_INPUT_SIZE;                                             \\
        NAME##_run(&memory.of.NAME);                                          \\
        show(NAME##_output(&memory.of.NAME), UPPER##_OUTPUT_SIZE);            \\
    }}

int main(void)
{{
    const uint8_t *at = inputs;

    target_begin();
{runs}
    target_put('.');
    target_end();
    for (;;) {{
    }}
}}
"""
_INPUTS = '    .section .rodata.inputs, "a"\n    .globl inputs\ninputs:\n    .incbin "inputs.bin"\n'


def write_program(cases: Sequence[Case], folder: Path) -> list[str]:
    """Put the models, ``main.c`` and the inputs into ``folder``; the names of what has to be compiled there."""
    for case in cases:
        assert case.dtype == np.int8
        for file, text in case.files.items():
            (folder / file).write_text(text)
    main = _MAIN.format(
        includes="\n".join(f'#include "{case.name}.h"' for case in cases),
        members="\n".join(f"        {case.name}_context {case.name};" for case in cases),
        runs="\n".join(
            f"    RUN({case.name}, {case.name.upper()}, {len(case.inputs)}, {int(case.streamed)})" for case in cases
        ),
    )
    (folder / "main.c").write_text(main)
    (folder / "inputs.S").write_text(_INPUTS)
    (folder / "inputs.bin").write_bytes(b"".join(to_memory(c.inputs, rank=c.inputs.ndim - 1).tobytes() for c in cases))
    return ["main.c", "inputs.S", *(f"{case.name}.c" for case in cases)]


def run_tool(folder: Path, *command: object) -> None:
    """Run a compiler in ``folder``; fails with what it said."""
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"


def outputs_of(text: str, cases: Sequence[Case]) -> list[np.ndarray]:
    """What the program printed: int8 (N, ...) of every case, in torch's order."""
    lines = text.split()
    assert lines and lines.pop() == ".", f"the program did not come to its end: ...{text[-200:]}"
    assert "!" not in text, "written past an end of the context"
    assert "?" not in text, "a row is missing, or one too many"
    results = []
    for case in cases:
        mine, lines = lines[: len(case.inputs)], lines[len(case.inputs) :]
        values = np.frombuffer(bytes.fromhex("".join(mine)), np.int8).reshape(len(case.inputs), -1)
        results.append(from_memory(values, case.output_shape))
    assert not lines
    return results


def differences(found: Sequence[np.ndarray], expected: Sequence[np.ndarray], cases: Sequence[Case]) -> dict[str, str]:
    """By model, how many of its outputs are others than expected; empty is what a test wants."""
    triples = zip(cases, found, expected, strict=True)
    wrong = {case.name: (int((a != b).sum()), b.size) for case, a, b in triples if a.shape != b.shape or (a != b).any()}
    return {name: f"{count} of {size}" for name, (count, size) in wrong.items()}


@cache
def random_cases(seeds: range, ram: int) -> tuple[list[Case], list[np.ndarray]]:
    """The random networks of these seeds whose context leaves room in ``ram`` bytes, and the reference's outputs."""
    cases, expected = [], []
    for seed in seeds:
        network = random_int8_network(seed)
        design = design_of_seed(seed, network)
        if design.plan.total_bytes <= ram:
            cases.append(case_of(design, network.inputs))
            expected.extend(integer.outputs_batch(network.graph, network.inputs).values())
    return cases, expected


@cache
def lenet5() -> Conversion:
    """The example in int8, with the kernels of the board that it is for."""
    return convert(LENET5, load_board("hifive1"))


def lenet5_case(conversion: Conversion, count: int) -> tuple[list[Case], list[np.ndarray]]:
    """The first ``count`` digits of the example's test data, and the reference's outputs."""
    spec, graph = conversion.design.spec, conversion.design.graph
    raw, _ = load_samples(spec)
    real = network_input(raw[:count], spec.input.preprocess, spec.validate.stage)
    inputs = to_int8(real, graph.tensor(graph.inputs[0]).quant)
    assert len(inputs) == count
    return [case_of(conversion.design, inputs)], list(integer.outputs_batch(graph, inputs).values())


def support(*names: str) -> list[Path]:
    return [SUPPORT / name for name in names]


def branched_cases(seeds: range, ram: int) -> tuple[list[Case], list[np.ndarray]]:
    """As :func:`random_cases`, of networks with sums and joins, in the schedule ``arena``."""
    cases, expected = [], []
    for seed in seeds:
        network = branched_network(seed)
        design = design_of_int8(network.graph, random_tuning(seed), f"net{seed}", schedule="arena")
        if design.plan.total_bytes <= ram:
            cases.append(case_of(design, network.inputs))
            expected.extend(integer.outputs_batch(network.graph, network.inputs).values())
    return cases, expected


def operator_cases() -> tuple[list[Case], list[np.ndarray]]:
    """A small network of every family of operators."""
    cases, expected = [], []
    for number, name in enumerate(NETWORKS):
        made = operator_network(name)
        cases.append(case_of(design_of_int8(made.graph, random_tuning(number), f"net{number}"), made.inputs))
        expected.extend(integer.outputs_batch(made.graph, made.inputs).values())
    return cases, expected
