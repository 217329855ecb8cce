"""Projects as `uc-nn new` renders them, and the example that is kept in step with the templates."""

from __future__ import annotations

import configparser
import filecmp
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.firmware.build import DRIVERS, ROOT, build_firmware, run, stand_in_spec
from uc_nn_pio.errors import BoardError, SpecError, UcNnError
from uc_nn_pio.pio.project import example_files, render_project
from uc_nn_pio.resources import resources

EXAMPLE = "lenet5_camera"
UPDATE = "UC_NN_UPDATE_GOLDEN"
"""Set to 1, this environment variable writes the example's files anew in place of comparing them."""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return stand_in_spec(tmp_path / "spec")


def ini(project: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";",))
    parser.read(project / "platformio.ini")
    return parser


def test_a_project_is_complete(tmp_path, spec):
    dest = tmp_path / "a project"
    written = render_project(dest, name="my digits", board="hifive1_virtual", spec=spec)
    assert written == sorted(path for path in dest.rglob("*") if path.is_file())
    names = {str(path.relative_to(dest)) for path in written}
    wanted = {
        "platformio.ini",
        "README.md",
        ".gitignore",
        "uc_nn.py",
        "monitor/filter_uc_nn.py",
        "src/main.c",
        "models/tiny.yaml",
        "models/tiny.pt",
    }
    assert wanted <= names
    for library in ("fe310", "sccb", "ov2640", "arducam"):
        assert not filecmp.dircmp(DRIVERS / library, dest / "lib" / library).diff_files
        assert f"lib/{library}/library.json" in names
    assert "my digits" in (dest / "README.md").read_text()
    assert ".pio" in (dest / ".gitignore").read_text()
    assert (dest / "uc_nn.py").read_text() == (ROOT / "uc_nn_pio" / "pio" / "extra_script.py").read_text()


def test_platformio_ini(tmp_path, spec):
    render_project(tmp_path / "p", name="p", board="hifive1_virtual", spec=spec)
    config = ini(tmp_path / "p")
    assert config["platformio"]["default_envs"] == "virtual"
    common = config["env"]
    assert common["platform"] == "uc_nn"
    assert common["extra_scripts"] == "pre:uc_nn.py"
    assert common["custom_uc_nn_models"] == "models/tiny.yaml"
    assert common["monitor_speed"] == "115200"
    assert "lib_extra_dirs" not in common and "custom_uc_nn_scene" not in common
    boards = {name: config[name]["board"] for name in config.sections() if name.startswith("env:")}
    assert boards == {"env:virtual": "hifive1_virtual", "env:hifive1": "hifive1", "env:hifive1-revb": "hifive1-revb"}


def test_the_board_asked_for_is_the_default(tmp_path, spec):
    render_project(tmp_path / "p", name="p", board="hifive1-revb", spec=spec)
    assert ini(tmp_path / "p")["platformio"]["default_envs"] == "hifive1-revb"


def test_pictures_for_the_virtual_camera_come_along(tmp_path, spec):
    (spec.parent / "data").mkdir()
    (spec.parent / "data" / "digits.npz").write_bytes(b"pictures")
    (spec.parent / "helper.py").write_text("# imported by the model\n")
    render_project(tmp_path / "p", name="p", board="hifive1_virtual", spec=spec)
    assert ini(tmp_path / "p")["env"]["custom_uc_nn_scene"] == "models/data/digits.npz"
    assert (tmp_path / "p" / "models" / "data" / "digits.npz").read_bytes() == b"pictures"
    assert (tmp_path / "p" / "models" / "helper.py").is_file()


def test_a_rendered_project_compiles_as_it_is(tmp_path, spec):
    """With its own lib/, and with a model that names no labels."""
    text = spec.read_text()
    spec.write_text("\n".join(line for line in text.splitlines() if not line.startswith("output:")))
    render_project(tmp_path / "p", name="p", board="hifive1", spec=spec)
    main = tmp_path / "p" / "src" / "main.c"
    assert "tiny_label" not in main.read_text()
    assert build_firmware(tmp_path / "b", main=main).is_file()


def test_a_name_cannot_break_out_of_a_comment(tmp_path, spec):
    render_project(tmp_path / "p", name="x\n[env]\nplatform = evil */ #error", board="hifive1_virtual", spec=spec)
    assert ini(tmp_path / "p")["env"]["platform"] == "uc_nn"
    build_firmware(tmp_path / "b", main=tmp_path / "p" / "src" / "main.c")


def test_nothing_of_the_user_s_is_overwritten(tmp_path, spec):
    dest = tmp_path / "p"
    dest.mkdir()
    (dest / "mine.txt").write_text("mine")
    with pytest.raises(UcNnError, match="not empty"):
        render_project(dest, name="p", board="hifive1", spec=spec)
    assert [path.name for path in dest.iterdir()] == ["mine.txt"]
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UcNnError, match="is a file"):
        render_project(tmp_path / "file", name="p", board="hifive1", spec=spec)


def test_an_empty_folder_is_fine(tmp_path, spec):
    (tmp_path / "p").mkdir()
    assert render_project(tmp_path / "p", name="p", board="hifive1", spec=spec)


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("  source: arducam_ov2640\n", "", SpecError, "no camera input"),
        ("shape: [1, 32, 32]", "shape: [3, 32, 32]", SpecError, "cannot fill an input of 3 x 32 x 32"),
        ("shape: [1, 32, 32]", "shape: [1, 28, 28]", SpecError, "cannot fill an input of 1 x 28 x 28"),
        ("name: tiny", "name: sccb", SpecError, "cannot be named 'sccb'"),
    ],
)
def test_models_that_the_camera_cannot_feed(tmp_path, spec, old, new, error, message):
    text = spec.read_text()
    assert old in text
    spec.write_text(text.replace(old, new))
    with pytest.raises(error, match=message) as caught:
        render_project(tmp_path / "p", name="p", board="hifive1", spec=spec)
    assert caught.value.next_step and "tiny.yaml" in str(caught.value.where)
    assert not (tmp_path / "p").exists()


def test_other_mistakes(tmp_path, spec):
    def new(**options):
        render_project(tmp_path / "p", name="p", **{"board": "hifive1", **options})

    with pytest.raises(UcNnError, match="no example 'nosuch'"):
        new(example="nosuch")
    with pytest.raises(UcNnError, match="no example"):
        new(example="../lenet5_camera")
    with pytest.raises(BoardError, match="hifive2"):
        new(board="hifive2", spec=spec)
    with pytest.raises(UcNnError, match="an example and a spec"):
        new(example=EXAMPLE, spec=spec)
    shutil.copyfile(spec.parent / "tiny.pt", tmp_path / "outside.pt")
    spec.write_text(spec.read_text().replace("tiny.pt", "../outside.pt"))
    with pytest.raises(SpecError, match="outside its folder"):
        new(spec=spec)
    assert not (tmp_path / "p").exists()


# The example ---------------------------------------------------------------------------------------------------------


def test_the_example_is_what_the_templates_say():
    """UC_NN_UPDATE_GOLDEN=1 brings it up to date."""
    folder = resources("examples") / EXAMPLE
    for name, text in example_files(EXAMPLE).items():
        if os.environ.get(UPDATE) == "1":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(text.encode())
        assert (folder / name).read_bytes() == text.encode(), f"{name}: run the tests with {UPDATE}=1"


@pytest.mark.parametrize(
    ("copy", "original"), [("uc_nn.py", "extra_script.py"), ("monitor/filter_uc_nn.py", "monitor_filter.py")]
)
def test_every_example_has_the_script_and_the_filter_as_they_are(copy, original):
    examples = [path.parent for path in sorted(resources("examples").glob("*/uc_nn.py"))]
    assert len(examples) >= 2
    wanted = (ROOT / "uc_nn_pio" / "pio" / original).read_bytes()
    assert [folder for folder in examples if (folder / copy).read_bytes() != wanted] == []


def test_the_example_takes_the_shared_drivers():
    config = ini(resources("examples") / EXAMPLE)
    folder = resources("examples") / EXAMPLE / config["env"]["lib_extra_dirs"]
    assert {path.name for path in folder.iterdir()} >= {"fe310", "sccb", "ov2640", "arducam"}
    assert not (resources("examples") / EXAMPLE / "lib").exists()


def test_the_example_s_files_are_all_in_the_repository():
    for name in (".gitignore", "platformio.ini", "src/main.c", "uc_nn.py"):
        path = resources("examples") / EXAMPLE / name
        assert path.is_file()
        assert subprocess.run(["git", "check-ignore", "-q", path], check=False).returncode != 0


def test_a_project_from_the_example(tmp_path):
    render_project(tmp_path / "p", name="p", board="hifive1_virtual", example=EXAMPLE)
    models = resources("examples") / EXAMPLE / "models"
    same = filecmp.dircmp(models, tmp_path / "p" / "models", ignore=["__pycache__"])
    assert not same.diff_files and not same.left_only and not same.right_only
    example = resources("examples") / EXAMPLE
    assert (tmp_path / "p" / "src" / "main.c").read_bytes() == (example / "src" / "main.c").read_bytes()
    assert (
        run(["python3", "-c", f"compile(open({str(tmp_path / 'p' / 'uc_nn.py')!r}).read(), 'uc_nn.py', 'exec')"]) == ""
    )
