"""The command line: exit codes, messages without a traceback, the last good output untouched."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.test_converter import folder as folder  # the fixture
from tests.test_converter import write
from uc_nn_pio import __version__
from uc_nn_pio.cli import main


def test_version_and_no_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0 and __version__ in capsys.readouterr().out
    assert main([]) == 2


def test_convert_writes_two_files_and_leaves_equal_ones_alone(folder: Path) -> None:
    out = folder / "out"
    assert main(["convert", str(write(folder)), "-o", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["tiny.c", "tiny.h"]
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert main(["convert", str(write(folder)), "-o", str(out)]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in out.iterdir()}


def _break_yaml(folder: Path) -> None:
    (folder / "tiny.yaml").write_text("spec: 1\n\tname: x\n")


def _unknown_key(folder: Path) -> None:
    path = folder / "tiny.yaml"
    path.write_text(path.read_text().replace("weights:", "wieghts:"))


def _nan(folder: Path) -> None:
    state = torch.load(folder / "net.pt", weights_only=True)
    state["conv.weight"][0] = float("nan")
    torch.save(state, folder / "net.pt")


def _missing_weight(folder: Path) -> None:
    state = torch.load(folder / "net.pt", weights_only=True)
    del state["conv.bias"]
    torch.save(state, folder / "net.pt")


def _unsupported(folder: Path) -> None:
    path = folder / "net.py"
    path.write_text(path.read_text().replace("return self.output", "return 1 / self.output"))


def _wrong_shape(folder: Path) -> None:
    path = folder / "tiny.yaml"
    path.write_text(path.read_text().replace("- 8", "- 80"))


def _no_budget(folder: Path) -> None:
    with (folder / "tiny.yaml").open("a") as stream:
        stream.write("memory: {ram_budget: 10}\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_break_yaml, "tiny.yaml:2"),
        (_unknown_key, "weights"),
        (_nan, "conv.weight"),
        (_missing_weight, "conv.bias"),
        (_unsupported, "reciprocal"),
        (_wrong_shape, "output"),
        (_no_budget, "10 B"),
    ],
)
def test_a_users_mistake_is_a_clear_error_and_the_last_good_output_stays(
    spoil, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "out"
    spec = write(folder)
    assert main(["convert", str(spec), "-o", str(out)]) == 0
    good = {path.name: path.read_bytes() for path in out.iterdir()}
    spoil(folder)
    capsys.readouterr()
    assert main(["convert", str(spec), "-o", str(out)]) == 2
    text = capsys.readouterr().err
    assert said in text and "error: " in text and "Traceback" not in text
    assert good == {path.name: path.read_bytes() for path in out.iterdir()}


def test_report_as_text_and_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = str(write(folder))
    assert main(["report", spec, "--board", "hifive1"]) == 0
    assert "% of the board's 16,384 B" in capsys.readouterr().out
    assert main(["report", spec, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [layer["name"] for layer in data["layers"]] == ["conv", "output"]
    assert main(["report", spec, "--ablation", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) >= {"unfused_bytes", "fused_bytes", "planned_bytes"}


def test_an_output_folder_that_cannot_be_written_is_a_clear_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "out").write_text("a file")
    assert main(["convert", str(write(folder)), "-o", str(folder / "out")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_validation_on_what_there_is_not_is_refused_by_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(write(folder)), "--on", "moon"]) == 2
    assert "'moon'" in capsys.readouterr().err


def test_what_the_system_refuses_is_told_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert main(["setup", "--offline", "--core-dir", str(tmp_path / "file" / "core")]) == 2
    text = capsys.readouterr().err
    assert "error: " in text and str(tmp_path / "file") in text and "next: " in text


def test_a_reader_that_leaves_early_is_no_error_to_see(folder: Path) -> None:
    command = f"{sys.executable} -m uc_nn_pio report {write(folder)} --json | true"
    assert subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stderr == ""


def test_calibrate_prints_ranges_and_noise_and_writes_a_file_that_the_spec_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = Path(__file__).parents[1] / "examples" / "lenet5_camera" / "models"
    shutil.copytree(models, tmp_path / "models")
    spec = tmp_path / "models" / "lenet5.yaml"
    assert main(["calibrate", str(spec)]) == 0
    text = capsys.readouterr().out
    assert "fc3" in text and " dB" in text and "200 samples of calibration.npz" in text
    assert main(["convert", str(spec), "-o", str(tmp_path / "samples")]) == 0
    assert main(["calibrate", str(spec), "-o", str(tmp_path / "models" / "data" / "ranges.json")]) == 0
    asked = "calibration: {file: data/calibration.npz, stage: network}"
    assert asked in spec.read_text()
    spec.write_text(spec.read_text().replace(asked, "calibration: {ranges: data/ranges.json}"))
    assert main(["convert", str(spec), "-o", str(tmp_path / "ranges")]) == 0
    one, other = ((tmp_path / folder / "lenet5.c").read_text() for folder in ("samples", "ranges"))
    assert one == other
    capsys.readouterr()
    assert main(["calibrate", str(spec)]) == 2
    assert "the spec names no calibration samples" in capsys.readouterr().err
