"""Which lines of the generated C run when the networks of the other tests do: every kernel's, but for a handful."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from collections import Counter
from pathlib import Path

from tests.emit.harness import Case, case_of, run_sanitized
from tests.emit.int8_networks import design_of_int8, random_int8_network, random_tuning
from tests.emit.test_int8_random_networks import design_of_seed
from tests.operator_networks import NETWORKS, int8_network, network, samples
from uc_nn_pio.capture import capture_module
from uc_nn_pio.emit.kernels.tuning import PLAIN
from uc_nn_pio.lower import lower

AT_LEAST = 0.995
"""The rest are branches for values or shapes that these networks do not have: a second channel where there is one, a
kernel row beside the map, the outer parts of tanh."""

NOT_CALLED = re.compile(r"_(argmax|hundredths|label)$")
"""Functions of the API that the harness does not call; the examples and the virtual board do."""


def cases() -> list[Case]:
    found = []
    for seed in range(40):
        drawn = random_int8_network(seed)
        found.append(case_of(design_of_seed(seed, drawn), drawn.inputs))
    for number, name in enumerate(NETWORKS):
        made = int8_network(name)
        found.append(case_of(design_of_int8(made.graph, random_tuning(number), f"operator{number}"), made.inputs))
        module, shape = network(name)
        design = design_of_int8(lower(capture_module(module, shape, "net")), PLAIN, f"float{number}")
        found.append(case_of(design, samples(name)[0]))
    return found


def test_every_line_of_the_kernels_runs(tmp_path: Path) -> None:
    run_sanitized(cases(), tmp_path, level="-O0", checks=("--coverage",))
    (counts,) = tmp_path.glob("*.gcda")
    subprocess.run(["gcov", "--json-format", counts.name], cwd=tmp_path, check=True, capture_output=True)
    (report,) = tmp_path.glob("*.gcov.json.gz")
    lines, missed = 0, Counter()
    for file in json.loads(gzip.decompress(report.read_bytes()))["files"]:
        if not file["file"].endswith(".c") or file["file"] == "main.c":
            continue
        text = (tmp_path / file["file"]).read_text().splitlines()
        for line in file["lines"]:
            if NOT_CALLED.search(line.get("function_name", "")):
                continue
            lines += 1
            if not line["count"]:
                missed[text[line["line_number"] - 1].strip()] += 1
    assert lines > 15_000
    share = 1 - sum(missed.values()) / lines
    print(f"{share:.3%} of {lines:,} lines run; not: {missed.most_common(20)}")
    assert share >= AT_LEAST, missed.most_common(20)
