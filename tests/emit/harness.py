"""Compiles several generated models into one program with sanitizers, and runs it.

Each model gets two contexts, each an allocation of exactly the declared size, filled with garbage; their inputs are put
in and their runs made in turn, so that state shared between contexts would show. AddressSanitizer guards both ends.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uc_nn_pio.graph.layout import from_memory, to_memory

_MAIN = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
{includes}

#define RUN(NAME, UPPER)                                                        \\
    do {{                                                                       \\
        NAME##_context *a = malloc(UPPER##_CONTEXT_BYTES);                      \\
        NAME##_context *b = malloc(UPPER##_CONTEXT_BYTES);                      \\
        memset(a, 0xA5, UPPER##_CONTEXT_BYTES);                                 \\
        memset(b, 0x5A, UPPER##_CONTEXT_BYTES);                                 \\
        if (fread(NAME##_input(a), sizeof(float), UPPER##_INPUT_SIZE, stdin) != UPPER##_INPUT_SIZE) return 2; \\
        if (fread(NAME##_input(b), sizeof(float), UPPER##_INPUT_SIZE, stdin) != UPPER##_INPUT_SIZE) return 2; \\
        NAME##_run(a);                                                          \\
        NAME##_run(b);                                                          \\
        fwrite(NAME##_output(a), sizeof(float), UPPER##_OUTPUT_SIZE, stdout);   \\
        fwrite(NAME##_output(b), sizeof(float), UPPER##_OUTPUT_SIZE, stdout);   \\
        free(a);                                                                \\
        free(b);                                                                \\
    }} while (0)

int main(void)
{{
{runs}
    return 0;
}}
"""


@dataclass(frozen=True)
class Case:
    """A model, its C, and two inputs (2, C, H, W) in torch's order."""

    name: str
    files: Mapping[str, str]
    inputs: np.ndarray
    output_shape: tuple[int, ...]


def run_sanitized(cases: Sequence[Case], folder: Path, compiler: str = "gcc") -> list[np.ndarray]:
    """Outputs (2, ...) of every case in torch's order; fails on any compiler warning or sanitizer report."""
    for case in cases:
        for file, text in case.files.items():
            (folder / file).write_text(text)
    main = _MAIN.format(
        includes="\n".join(f'#include "{case.name}.h"' for case in cases),
        runs="\n".join(f"    RUN({case.name}, {case.name.upper()});" for case in cases),
    )
    (folder / "main.c").write_text(main)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror", "-O1", "-g", "-ffp-contract=off"]
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = [f"{case.name}.c" for case in cases] + ["main.c"]
    subprocess.run([compiler, *flags, *sanitize, *sources, "-o", "program"], cwd=folder, check=True)
    stdin = b"".join(to_memory(case.inputs, rank=3).astype(np.float32).tobytes() for case in cases)
    done = subprocess.run([folder / "program"], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    values = np.frombuffer(done.stdout, np.float32)
    results = []
    for case in cases:
        size = 2 * int(np.prod(case.output_shape))
        results.append(from_memory(values[:size].reshape(2, -1), case.output_shape))
        values = values[size:]
    assert values.size == 0
    return results
