"""Every command in README.md and docs/ is run by a test: here, or by the one that :data:`ELSEWHERE` names.

Commands of ``uc-nn`` are read by its real parser, so that no flag is said that there is not; targets of ``pio run`` are
those that the extra script defines. A command that nothing covers fails.
"""

from __future__ import annotations

import ast
import contextlib
import io
import itertools
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from uc_nn_pio import cli
from uc_nn_pio.pio import extra_script

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TUTORIAL = "docs/tutorial.md"
PROGRAMS = ("uc-nn", "pio", "python", "python3", "pip", "gdb-multiarch", "apt", "brew")
INSTALLERS = ("pip ", "apt ", "brew ")
SHELL = re.compile(r"cd [\w./]+|export \w+=\S+")

TARGETS_OF_PLATFORMIO = {"upload", "monitor", "clean"}
TARGETS = set(re.findall(r'(?:network\(|name=)"(uc_nn_\w+)"', Path(extra_script.__file__).read_text(encoding="utf-8")))

# What is not run here: a pattern of the whole command, the test that runs it, and a word that the test must hold.
ELSEWHERE = (
    (r"uc-nn validate \S+ --on virtual.*", "tests/validation/test_on_a_board.py::test_int8_streamed", '"validate"'),
    (
        r"uc-nn validate .*(--firmware|--on serial:).*",
        "tests/validation/test_on_a_board.py::test_over_a_port_that_pyserial_opens",
        '"--firmware"',
    ),
    (r"uc-nn validate \S+", "tests/test_tutorial.py::test_the_tutorial", "on host: passed"),
    (r"uc-nn setup( --remove)?", "tests/pio/test_setup.py::test_a_users_core_folder_is_left_as_it_was", "remove"),
    (
        r"uc-nn setup --online",
        "tests/pio/test_setup.py::test_online_after_offline_takes_the_system_toolchain_out",
        "--online",
    ),
    (
        r"uc-nn setup --offline( --core-dir \S+)?",
        "tests/pio/test_setup.py::test_a_private_folder_has_all_and_remove_leaves_nothing",
        "--offline",
    ),
    (r"uc-nn update( FOLDER)?", "tests/pio/test_update.py::test_old_copies_are_brought_up", '"update"'),
    (r"uc-nn update --dry-run", "tests/pio/test_update.py::test_old_copies_are_brought_up", '"--dry-run"'),
    (r"uc-nn doctor", "tests/test_doctor.py::test_the_command", '"doctor"'),
    (r"uc-nn monitor( \S+)?", "tests/pio/test_draw.py::test_uc_nn_monitor", '"monitor"'),
    (r"uc-nn demo.*", "tests/pio/test_demo.py::test_bare_pio_run_then_a_demo_with_one_label_wrong", "run_demo"),
    (r"uc-nn board run firmware.elf --gdb 3333", "tests/virtual/test_gdb.py::gdb", '"--gdb"'),
    (
        r"uc-nn board run firmware.elf.*|python -m uc_nn_pio.virtual.*",
        "tests/virtual/test_profile.py::test_the_command_line_writes_every_form",
        '"board", "run"',
    ),
    (r"gdb-multiarch .*", "tests/virtual/test_gdb.py::gdb", "gdb-multiarch"),
    (r"pio run", "tests/pio/test_demo.py::test_bare_pio_run_then_a_demo_with_one_label_wrong", ".run()"),
    (
        r"pio run -t upload( -t monitor)?",
        "tests/pio/test_virtual_upload.py::test_upload_and_monitor_in_one_command_lose_nothing",
        '"upload", "-t", "monitor"',
    ),
    (
        r"pio device monitor",
        "tests/pio/test_virtual_upload.py::test_upload_and_monitor_in_one_command_lose_nothing",
        '"device", "monitor"',
    ),
    (r"pio run -e hifive1 -t upload", "tests/pio/test_upload.py::test_the_openocd_command_of_the_hifive1", '"upload"'),
    (
        r"pio run -t clean",
        "tests/pio/test_extra_script.py::test_an_editor_or_a_listing_runs_nothing_of_the_users",
        '"clean"',
    ),
    (
        r"pio run --list-targets",
        "tests/pio/test_targets.py::test_they_are_listed_without_a_conversion",
        '"--list-targets"',
    ),
    (
        r"pio run -e hifive1 -t uc_nn_validate_board",
        "tests/pio/test_targets.py::test_validation_on_a_real_board",
        '"uc_nn_validate_board"',
    ),
    (r"pio run -e ENV -t TARGET", "tests/pio/test_targets.py::test_what_they_say", '"-e", "hifive1", "-t"'),
    (r"pio test", "tests/pio/test_targets.py::test_the_first_pio_test", '"test"'),
    (r"python3 dev.py (setup|demo|test|bench)\b.*", "tests/dev/test_dev.py::test_verbs_and_what_they_run", '"bench"'),
    (r"python -m uc_nn_pio.commands", "tests/test_commands.py::test_the_page_is_current", "commands_text"),
    (r"python -m uc_nn_pio.operators", "tests/test_operators.py::test_the_document_is_current", "operators_text"),
    (
        r"python -m uc_nn_pio.spec.schema",
        "tests/spec/test_schema_and_docs.py::test_the_schema_file_is_the_tables_and_valid",
        "schema",
    ),
    (
        r"python -m uc_nn_pio.pio.generate REQUEST.json",
        "tests/pio/test_shared_output.py::test_a_clone_builds_without_the_converter",
        "run",
    ),
    (r"python -m uc_nn_pio", "tests/test_files.py::test_a_full_standard_output_is_said", '"-m", "uc_nn_pio"'),
    (
        r"python tests/validation/measure_robustness.py",
        "tests/validation/test_robustness.py::test_the_manual_has_the_measured_figure",
        "accuracy(",
    ),
    # Hours of measuring, or what only a person can use. The tests are of what they are made of.
    (
        r"python -m uc_nn_pio.bench.models.*",
        "tests/examples/test_mlperf_tiny.py::test_the_document_is_what_is_measured",
        "models.rows_of",
    ),
    (
        r"python -m uc_nn_pio.bench.micro_kernels.*",
        "tests/cost/test_fit.py::test_a_model_is_read_as_it_was_written",
        "cost_model_of",
    ),
    (
        r"python -m uc_nn_pio.bench.search",
        "tests/bench/test_search.py::test_each_shape_differs_from_the_board_in_one_number",
        "shapes(",
    ),
    (
        r"python tests/pio/make_monitor_picture.py",
        "tests/pio/test_draw.py::test_uc_nn_monitor",
        "PICTURE",
    ),
    (
        r"python tests/virtual/measure_speed.py",
        "tests/test_docs_commands.py::test_the_speed_of_the_virtual_board",
        "measure_speed",
    ),
    (r"pio debug", "tests/virtual/test_gdb.py::test_break_step_registers_memory_continue", "break"),
)

PLACEHOLDERS = {
    "<name>": "hifive1",
    "BOARD": "hifive1",
    "LAYER": "conv1",
    "WEIGHTS": "weights.pt",
    "PORT": "/dev/ttyUSB1",
}
ARGUMENTS = {
    "monitor": "PORT",
    "report": "SPEC",
    "convert": "SPEC",
    "validate": "SPEC",
    "new": "FOLDER",
    "explain": "SPEC LAYER",
    "guess": "WEIGHTS",
}
SMALL = """\
spec: 1
name: lenet5
model:
  layers:
    - Conv2d: {name: conv1, out_channels: 4, kernel_size: 3}
    - ReLU
    - MaxPool2d: {kernel_size: 2}
    - Conv2d: {name: conv2, out_channels: 6, kernel_size: 3}
    - ReLU
    - AdaptiveAvgPool2d: {output_size: 1}
    - Flatten
    - Linear: {name: fc, out_features: 3}
  weights: small.pt
input: {shape: [1, 12, 12], preprocess: {scale: 1/255}}
precision: int8
calibration: {file: data.npz, stage: network}
validate: {file: data.npz, stage: network}
"""
RUN_HERE = ("new", "convert", "report", "explain", "cmake-dir", "ops", "guess", "calibrate")


@dataclass(frozen=True)
class Command:
    """A command as a page has it, without comment, brackets of what may be left out, and line breaks."""

    page: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def commands_of(path: Path) -> Iterator[Command]:
    page = path.relative_to(ROOT).as_posix()
    text = path.read_text(encoding="utf-8")
    fence = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.M | re.S)
    for kind, block in fence.findall(text):
        if kind not in ("", "sh"):
            continue
        for line in block.splitlines():
            for part in re.sub(r"(^|\s)#.*", "", line).split(" && "):
                part = part.strip()
                if part.split(" ")[0] in PROGRAMS and "►" not in part:  # which is a drawing
                    yield Command(page, _plain(part))
                else:
                    assert kind == "" or not part or SHELL.fullmatch(part), f"{page}: what is {part!r}?"
    for span in re.findall(r"`([^`]+)`", fence.sub("", text)):
        found = re.sub(r"^(\w+=\S+ )+", "", " ".join(span.split()))
        program, _, more = found.partition(" ")
        usage = page == "docs/cli.md" and re.search(r"\[options\]|VERB|[A-Z]$", more)  # of the parser itself
        if program in PROGRAMS and more and not usage:
            yield Command(page, _plain(found))


def _plain(text: str) -> str:
    return " ".join(re.sub(r"\[(?=-|[A-Z])|(?<=\w)\](?=\s|$)", "", text).split())


ALL = list(dict.fromkeys(itertools.chain.from_iterable(map(commands_of, PAGES))))
OURS = [command for command in ALL if command.text.startswith("uc-nn ")]


def completed(command: Command) -> list[str]:
    """The arguments of a command of ``uc-nn``; where a page only names a verb, with what the verb needs."""
    arguments = shlex.split(command.text)[1:]
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit):
        cli._parser().parse_args(arguments)
        return arguments
    return [*arguments, *ARGUMENTS.get(arguments[0], "").split()]


def test_they_are_found() -> None:
    texts = {command.text for command in ALL}
    assert {
        "uc-nn report SPEC --suggest --ablation",
        "pio run -t upload -t monitor",
        'pip install "uc_nn_pio[virtual]"',
        "python3 dev.py demo",
        "uc-nn setup --offline --core-dir .pio-core",
        "uc-nn board run firmware.elf --gdb 3333",
    } <= texts
    assert len(texts) > 70


@pytest.mark.parametrize("command", OURS, ids=str)
def test_the_parser_knows_every_option(command: Command) -> None:
    assert cli._parser().parse_args(completed(command)).run


def test_every_target_is_one_and_all_of_ours_are_said() -> None:
    for command in ALL:
        if command.text.startswith("pio run"):
            targets = set(re.findall(r"-t (\w+)", command.text)) - {"TARGET"}
            assert targets <= TARGETS | TARGETS_OF_PLATFORMIO, command
    page = (ROOT / "docs" / "platformio.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(uc_nn_\w+)` \|", page, re.M)) == TARGETS and len(TARGETS) == 8


def test_what_is_installed_is_what_there_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = (ROOT / "dev.py").read_text(encoding="utf-8")
    for command in ALL:
        if not command.text.startswith(INSTALLERS):
            continue
        program, _, wanted = shlex.split(command.text)
        if program == "pip":
            name, extra = re.fullmatch(r"(\w+)(?:\[(\w+)\])?", wanted).groups()
            assert name == project["name"] and (not extra or extra in project["optional-dependencies"]), command
        else:
            assert f"{'brew install ' if program == 'brew' else ''}{wanted}" in needs, command


@cache
def functions(file: str) -> dict[str, str]:
    """The source of each function of a test file."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return {
        node.name: ast.get_source_segment(text, node) or ""
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef)
    }


@pytest.mark.parametrize(("pattern", "test", "word"), ELSEWHERE, ids=[row[0] for row in ELSEWHERE])
def test_what_is_run_elsewhere_is(pattern: str, test: str, word: str) -> None:
    file, _, name = test.partition("::")
    assert word in functions(file)[name]
    assert any(re.fullmatch(pattern, command.text) for command in ALL), "no page has such a command any more"


def here(command: Command) -> bool:
    return command.text.startswith("uc-nn ") and command.text.split()[1] in RUN_HERE


def in_the_tutorial(command: Command) -> bool:
    """tests/test_tutorial.py runs its blocks to the letter."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / TUTORIAL).read_text(encoding="utf-8"), re.M | re.S)
    return command.page == TUTORIAL and command.text in "\n".join(blocks)


@pytest.mark.parametrize("command", ALL, ids=str)
def test_every_command_is_run(command: Command) -> None:
    if command.text.startswith(INSTALLERS):
        return  # test_what_is_installed_is_what_there_is
    assert here(command) or in_the_tutorial(command) or any(re.fullmatch(row[0], command.text) for row in ELSEWHERE), (
        "run it in a test, and name that in ELSEWHERE"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Under the names that the pages use a network that is small, since what is tested is the commands."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "models").mkdir()
    (folder / "models" / "lenet5.yaml").write_text(SMALL, encoding="utf-8")
    rng, shapes = np.random.default_rng(0), {"conv1": (4, 1, 3, 3), "conv2": (6, 4, 3, 3), "fc": (3, 6)}
    weights = {f"{name}.weight": torch.from_numpy(rng.normal(size=shape)).float() for name, shape in shapes.items()}
    biases = {f"{name}.bias": torch.zeros(shape[0]) for name, shape in shapes.items()}
    for path in (folder / "models" / "small.pt", folder / "weights.pt"):
        torch.save(weights | biases, path)
    images = rng.integers(0, 256, (8, 1, 12, 12), np.uint8)
    np.savez(folder / "models" / "data.npz", images=images, labels=np.zeros(8, np.int64))
    network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()).eval()
    torch.export.save(torch.export.export(network, (torch.zeros(1, 4),)), folder / "net.pt2")
    return folder


def runnable() -> list[str]:
    """Those that are run here, with something for the placeholders: each verb once with the same options."""
    found: dict[tuple[str, ...], str] = {}
    for command in OURS:
        if here(command) and not in_the_tutorial(command):
            verb, *rest = completed(command)
            spec = "guessed.yaml" if verb == "guess" else "models/lenet5.yaml"
            stand_ins = {**PLACEHOLDERS, "SPEC": spec, "shapes.yaml": spec}
            options = sorted(each for each in rest if each.startswith("-"))
            found.setdefault((verb, *options), shlex.join([verb, *(stand_ins.get(each, each) for each in rest)]))
    return list(found.values())


@pytest.mark.parametrize("text", runnable())
def test_they_run(text: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    new = ("FOLDER", "FILE", "mydigit", "mynet", "guessed.yaml", "model.yaml", "models/mynet.yaml")
    arguments = [str(tmp_path / each) if each in new else each for each in shlex.split(text)]
    if "--check" in arguments:
        assert cli.main([each for each in arguments if each != "--check"]) == 0
    assert cli.main(arguments) == 0


def test_the_speed_of_the_virtual_board() -> None:
    code = "import measure_speed; measure_speed.ROUNDS = 20; measure_speed.main()"
    folder = ROOT / "tests" / "virtual"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\d+ M instructions in \d+\.\d\d s: \d+ M/s\n", done.stdout)
