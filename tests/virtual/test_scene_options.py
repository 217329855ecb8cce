"""Scenes on the command line."""

import argparse
import json

import numpy as np
import pytest

from tests.virtual.test_camera import HOLD, SQUARE, TABLE
from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.virtual import cli
from uc_nn_pio.virtual.scene import Effects, Hold
from uc_nn_pio.virtual.scene_options import add_scene_arguments, scene_of


@pytest.fixture
def npz(tmp_path):
    path = tmp_path / "s.npz"
    np.savez(path, images=np.full((2, 28, 28), 100, np.uint8), labels=[3, 9])
    return path


def parse(*arguments):
    parser = argparse.ArgumentParser()
    add_scene_arguments(parser)
    parser.add_argument("--seed", type=int, default=0)
    return scene_of(parser.parse_args([str(argument) for argument in arguments]))


def test_nothing_is_no_scene():
    assert parse() is None


def test_every_option_reaches_the_scene(npz):
    scene = parse(
        *("--scene", npz, "--scene", npz, "--polarity", "paper", "--scene-end", "stop", "--scene-hold", "0.5s"),
        *("--scene-border", 200, "--scene-scale", 0.8, "--scene-tilt", -15, "--scene-shift=-0.1,0.05"),
        *("--scene-blur", 0.02, "--scene-contrast", 0.5, "--scene-brightness", -0.1, "--scene-noise", 0.05),
        *("--seed", 4),
    )
    assert len(scene) == 4
    assert scene.end == "stop"
    assert scene.items[0].pixels[0, 0] == 155
    assert scene.items[0].hold == Hold(seconds=0.5)
    assert scene.items[0].border == (200,)
    assert scene.effects == Effects(
        scale=0.8, tilt=-15, shift=(-0.1, 0.05), blur=0.02, contrast=0.5, brightness=-0.1, noise=0.05, seed=4
    )


def test_effects_on_nothing_are_a_mistake():
    with pytest.raises(VirtualBoardError, match="--scene-noise without a scene"):
        parse("--scene-noise", 0.1)


def test_a_shift_is_two_numbers(npz, capsys):
    with pytest.raises(SystemExit):
        parse("--scene", npz, "--scene-shift", "0.1")
    assert "is not DX,DY" in capsys.readouterr().err


def test_mistakes_have_exit_codes_and_no_traceback(build, npz, capsys):
    elf = str(build("hello"))
    assert cli.main(["run", elf, "--scene", str(npz), "--scene-noise", "7"]) == 3
    assert "scene effect noise = 7 is out of range" in capsys.readouterr().err


def test_the_firmware_reads_the_spoiled_picture(build, npz, tmp_path, monkeypatch):
    """Contrast 0.5 makes 114 of 100; each picture is held for two frames."""
    monkeypatch.setattr("signal.signal", lambda *arguments: None)
    items = ",".join(f"{{{register},{value}}}" for register, value in [*TABLE, *SQUARE])
    elf = build("frame", TABLE=items, SELECT=HOLD, DROP=5, FRAMES=4, PLUS=0, PIXELS=1)
    log = tmp_path / "log"
    out = tmp_path / "out"
    with out.open("wb") as stream:
        monkeypatch.setattr("sys.stdout", argparse.Namespace(buffer=stream))
        options = ["--scene", str(npz), "--scene-contrast", "0.5", "--scene-hold", "2", "--frames", "3"]
        assert cli.main(["run", str(elf), *options, "--log", str(log)]) == 0
    frames = [line for line in out.read_text().splitlines() if len(line) == 2 * 4104]
    assert frames == ["00" * 8 + "72" * 4096] * 3
    labels = [json.loads(line)["label"] for line in log.read_text().splitlines() if '"frame"' in line]
    assert labels == [3, 3, 9]
