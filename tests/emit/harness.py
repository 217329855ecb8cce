"""Compiles several generated models into one program with sanitizers, and runs it. All of them are one translation
unit, which takes half the time of one each.

Each model gets two contexts, each an allocation of exactly the declared size, filled with garbage; their inputs are put
in and their runs made in turn, so that state shared between contexts would show. AddressSanitizer guards both ends.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uc_nn_pio.design import Design
from uc_nn_pio.emit.render import render
from uc_nn_pio.graph.layout import from_memory, to_memory

_MAIN = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
{includes}

static void take(void *to, size_t size, size_t count)
{{
    if (fread(to, size, count, stdin) != count) exit(2);
}}

/* The whole input, or a row of a's and a row of b's in turn, behind a frame that both leave half-way. */
#define FILL0(NAME, UPPER, ELEMENT)                                             \\
    take(NAME##_input(a), sizeof(ELEMENT), UPPER##_INPUT_SIZE);                 \\
    take(NAME##_input(b), sizeof(ELEMENT), UPPER##_INPUT_SIZE)
#define FILL1(NAME, UPPER, ELEMENT)                                             \\
    do {{                                                                       \\
        static ELEMENT picture[UPPER##_INPUT_SIZE];                             \\
        const size_t row = UPPER##_INPUT_SIZE / UPPER##_INPUT_H;                \\
        NAME##_reset(a);                                                        \\
        NAME##_reset(b);                                                        \\
        for (int y = 0; y < UPPER##_INPUT_H / 2; y++) {{                        \\
            memset(NAME##_row(a), y + 77, row * sizeof(ELEMENT));               \\
            if (NAME##_push_row(a) != UPPER##_INPUT_H - 1 - y) exit(3);         \\
        }}                                                                      \\
        NAME##_reset(a);                                                        \\
        memset(a, 0xC3, UPPER##_CONTEXT_BYTES);                                 \\
        NAME##_reset(a);                                                        \\
        take(picture, sizeof(ELEMENT), UPPER##_INPUT_SIZE);                     \\
        for (size_t y = 0; y < UPPER##_INPUT_H; y++) {{                         \\
            memcpy(NAME##_row(a), picture + y * row, row * sizeof(ELEMENT));    \\
            NAME##_push_row(a);                                                 \\
            take(NAME##_row(b), sizeof(ELEMENT), row);                          \\
            if (NAME##_push_row(b) != UPPER##_INPUT_H - 1 - (int)y) exit(3);    \\
        }}                                                                      \\
        if (NAME##_push_row(a) != 0) exit(3);                                   \\
    }} while (0)

#define RUN(NAME, UPPER, ELEMENT, PAIRS, STREAMED)                                        \\
    do {{                                                                       \\
        NAME##_context *a = malloc(UPPER##_CONTEXT_BYTES);                      \\
        NAME##_context *b = malloc(UPPER##_CONTEXT_BYTES);                      \\
        memset(a, 0xA5, UPPER##_CONTEXT_BYTES);                                 \\
        memset(b, 0x5A, UPPER##_CONTEXT_BYTES);                                 \\
        for (int i = 0; i < PAIRS; i++) {{                                      \\
            FILL##STREAMED(NAME, UPPER, ELEMENT);                               \\
            NAME##_run(a);                                                      \\
            NAME##_run(b);                                                      \\
            fwrite(NAME##_output(a), sizeof(ELEMENT), UPPER##_OUTPUT_SIZE, stdout); \\
            fwrite(NAME##_output(b), sizeof(ELEMENT), UPPER##_OUTPUT_SIZE, stdout); \\
        }}                                                                      \\
        free(a);                                                                \\
        free(b);                                                                \\
    }} while (0)

int main(void)
{{
{runs}
    return 0;
}}
"""

FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror", "-g1", "-ffp-contract=off")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True)
class Case:
    """A model, its C, and an even number of inputs (N, ...) in torch's order; their dtype is that of all elements."""

    name: str
    files: Mapping[str, str]
    inputs: np.ndarray
    output_shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype:
        return self.inputs.dtype

    @property
    def streamed(self) -> bool:
        """Whether the model is given rows, and has no input to fill."""
        return f"{self.name.upper()}_STREAMED 1" in self.files[f"{self.name}.h"]


def case_of(design: Design, inputs: np.ndarray) -> Case:
    """The case of a design; inputs are float32 or int8, as the design says."""
    given, result = (design.graph.tensor(names[0]) for names in (design.graph.inputs, design.graph.outputs))
    assert inputs.dtype == given.dtype.value and inputs.shape[1:] == given.shape and len(inputs) % 2 == 0
    return Case(design.spec.name, render(design), inputs, result.shape)


def without_weights(source: str, table: str) -> str:
    """The C with zeros in a table."""
    return re.sub(
        rf"({table}\[\d+\][^=]*= \{{)(.*?)(\}};)",
        lambda found: found[1] + re.sub(r"[^\s,{}]+(?=,)", "0", found[2]) + found[3],
        source,
        flags=re.S,
    )


def run_sanitized(
    cases: Sequence[Case], folder: Path, compiler: str = "gcc", level: str = "-O1", checks: Sequence[str] = SANITIZE
) -> list[np.ndarray]:
    """Outputs (N, ...) of every case in torch's order; fails on any compiler warning or sanitizer report."""
    for case in cases:
        for file, text in case.files.items():
            (folder / file).write_text(text)
    element = {np.dtype(np.float32): "float", np.dtype(np.int8): "int8_t"}
    main = _MAIN.format(
        includes="\n".join(f'#include "{case.name}.c"' for case in cases),
        runs="\n".join(
            f"    RUN({case.name}, {case.name.upper()}, {element[case.dtype]}, {len(case.inputs) // 2}, "
            f"{int(case.streamed)});"
            for case in cases
        ),
    )
    (folder / "main.c").write_text(main)
    subprocess.run([compiler, level, *FLAGS, *checks, "main.c", "-o", "program"], cwd=folder, check=True)
    stdin = b"".join(to_memory(case.inputs, rank=case.inputs.ndim - 1).tobytes() for case in cases)
    done = subprocess.run([folder / "program"], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    left = done.stdout
    results = []
    for case in cases:
        count = len(case.inputs)
        size = count * int(np.prod(case.output_shape)) * case.dtype.itemsize
        values = np.frombuffer(left[:size], case.dtype).reshape(count, -1)
        results.append(from_memory(values, case.output_shape))
        left = left[size:]
    assert not left
    return results
