"""The package's own names, and estimates of networks that are being designed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import uc_nn_pio
from uc_nn_pio import convert, estimate, load_board, load_spec, validate
from uc_nn_pio.errors import SpecError, UnsupportedError
from uc_nn_pio.resources import resources
from uc_nn_pio.spec import MemorySpec

DOCS = Path(__file__).parents[1] / "docs"


def network(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * channels, 10),
    )


def test_the_names_are_the_functions() -> None:
    spec = load_spec(resources("examples") / "lenet5_camera/models/lenet5.yaml")
    made = convert(spec, load_board("hifive1"))
    assert set(made.files) == {"lenet5.h", "lenet5.c"}
    assert callable(validate)
    assert set(uc_nn_pio.__all__) <= {*dir(uc_nn_pio), *uc_nn_pio._FROM}
    with pytest.raises(AttributeError, match="nothing_there"):
        _ = uc_nn_pio.nothing_there


def test_the_package_alone_imports_neither_torch_nor_numpy() -> None:
    code = "import sys, uc_nn_pio; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_more_channels_take_more_of_everything() -> None:
    small, large = (estimate(network(channels), (3, 32, 32)) for channels in (4, 8))
    assert small.fits and large.fits and small.why_not is None
    assert small.ram_bytes < large.ram_bytes and small.flash_bytes < large.flash_bytes
    assert small.macs < large.macs and small.cycles < large.cycles
    assert small.milliseconds == pytest.approx(1000 * small.cycles / small.data["predicted"]["core_hz"], abs=1e-3)
    assert "inferences/s" in str(small) and "does not fit" not in str(small)
    assert "layer" in small.text()


def test_the_estimate_is_what_a_conversion_gives() -> None:
    spec = load_spec(resources("examples") / "lenet5_camera/models/lenet5.yaml")
    made = convert(spec, load_board("hifive1")).report
    lenet = torch.nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )
    found = estimate(lenet, (1, 32, 32), memory=spec.memory)
    assert found.ram_bytes == made["ram"]["context_bytes"]
    assert found.flash_bytes == made["flash"]["weight_bytes"]
    assert found.cycles == pytest.approx(made["predicted"]["cycles"], rel=0.02)


def test_what_does_not_fit_says_how_much_it_needs() -> None:
    found = estimate(network(16), (3, 32, 32), memory=MemorySpec("pingpong", ram_budget=2000))
    assert not found.fits
    assert found.ram_bytes > 2000
    assert f"{found.ram_bytes}" in found.why_not and "does not fit" in str(found)


def test_float32_and_a_board_without_costs() -> None:
    board = load_board("hifive1")
    details = {key: value for key, value in board.details.items() if key != "cost_model"}
    plain = type(board)(**{**vars(board), "details": details})
    found = estimate(network(4), (3, 16, 16), board=plain, precision="float32")
    assert found.cycles is None and found.milliseconds is None
    assert found.ram_bytes > 4 * 4 * 8 * 8


def test_a_fast_network_has_a_plain_rate() -> None:
    found = estimate(nn.Linear(4, 2), (4,))
    assert "," in str(found).split("; ")[-1].split(" inferences/s")[0] and "e+" not in str(found) + found.text()


def test_what_cannot_be_converted_is_said() -> None:
    with pytest.raises(UnsupportedError, match="mish"):
        estimate(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Mish()), (1, 8, 8))
    with pytest.raises(SpecError, match="int4"):
        estimate(network(4), (3, 16, 16), precision="int4")


def test_the_documents_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "python.md").read_text(encoding="utf-8"), re.S)
    example = resources("examples") / "lenet5_camera"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "generated").mkdir()
    (tmp_path / "models").symlink_to(example / "models")
    for block in blocks:
        exec(block, {"Path": Path})
    assert sorted(path.name for path in (tmp_path / "generated").iterdir()) == ["lenet5.c", "lenet5.h"]


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.LSTM(6, 8, batch_first=True)
        self.fc = nn.Linear(11, 3)

    def forward(self, rows: torch.Tensor, speed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen = self.rows(rows)[0][:, -1]
        return self.fc(torch.cat([seen, speed], 1)), seen


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_several_inputs(precision: str) -> None:
    found = estimate(Two(), {"rows": (20, 6), "speed": (3,)}, precision=precision)
    assert found.fits and found.macs == 20 * 4 * 8 * (6 + 8) + 33
    assert found.cycles > found.macs
