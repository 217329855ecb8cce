"""``uc-nn setup`` on core folders: the user's own, and private ones."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

import pytest
from platformio.dependencies import get_core_dependencies
from platformio.package.manager.tool import ToolPackageManager
from platformio.package.meta import PackageSpec

from uc_nn_pio.errors import ToolError
from uc_nn_pio.pio import packages, setup


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    setup.add_arguments(parser)
    return setup.run(parser.parse_args(arguments))


def snapshot(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Every entry below ``folder``: mode and content, byte for byte."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "folder",
        )
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def users_core(tmp_path: Path) -> Path:
    """A core folder that somebody has used: other platforms and packages, a state file, a link."""
    core = tmp_path / "home" / "Ordner mit Ä" / ".platformio"
    for name, text in {
        "appstate.json": "{}",
        "platforms/sifive/platform.json": '{"name": "sifive"}',
        "packages/toolchain-riscv/package.json": '{"name": "toolchain-riscv", "version": "1.80300.0"}',
        "packages/tool-scons/scons.py": "print('PlatformIO own')",
        "penv/bin/python": "#!/bin/sh\n",
    }.items():
        path = core / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (core / "penv/bin/python").chmod(0o755)
    (core / "penv/bin/python3").symlink_to("python")
    return core


@pytest.mark.parametrize("mode", ["--online", "--offline"])
def test_a_users_core_folder_is_left_as_it_was(users_core: Path, mode: str) -> None:
    before = snapshot(users_core)
    assert run("--core-dir", str(users_core), mode) == 0
    after = snapshot(users_core)
    assert {name: after[name] for name in before} == before
    added = {name.split("/")[1] for name in set(after) - set(before)}
    assert added == ({"uc_nn"} if mode == "--online" else {"uc_nn", "toolchain-uc-nn-system"})

    assert run("--core-dir", str(users_core), mode) == 0
    assert snapshot(users_core) == after, "the second time changes nothing"

    (users_core / "platforms/uc_nn/__pycache__").mkdir()
    (users_core / "platforms/uc_nn/__pycache__/platform.cpython-311.pyc").write_bytes(b"\0")
    assert run("--core-dir", str(users_core), "--remove") == 0
    assert snapshot(users_core) == before
    assert run("--core-dir", str(users_core), "--remove") == 0


def test_online_after_offline_takes_the_system_toolchain_out(users_core: Path) -> None:
    run("--core-dir", str(users_core), "--offline")
    run("--core-dir", str(users_core), "--online")
    assert not (users_core / packages.TOOLCHAIN_FOLDER).exists()
    assert (users_core / packages.PLATFORM_FOLDER).exists()


def test_what_set_up_did_not_make_is_never_touched(users_core: Path) -> None:
    theirs = users_core / packages.PLATFORM_FOLDER
    theirs.mkdir()
    (theirs / "platform.json").write_text("{}")
    before = snapshot(users_core)
    with pytest.raises(ToolError, match="was not made by uc-nn"):
        run("--core-dir", str(users_core), "--online")
    run("--core-dir", str(users_core), "--remove")
    assert snapshot(users_core) == before


def test_a_file_that_somebody_added_stays(users_core: Path) -> None:
    run("--core-dir", str(users_core), "--online")
    mine = users_core / packages.PLATFORM_FOLDER / "boards" / "my_board.json"
    mine.write_text("{}")
    run("--core-dir", str(users_core), "--remove")
    assert snapshot(users_core / packages.PLATFORM_FOLDER).keys() == {"boards", "boards/my_board.json"}


def test_a_damaged_platform_is_mended_and_an_old_file_removed(users_core: Path) -> None:
    run("--core-dir", str(users_core), "--online")
    whole = snapshot(users_core)
    platform = users_core / packages.PLATFORM_FOLDER
    (platform / "platform.py").write_text("broken")
    (platform / "boards/hifive1.json").unlink()
    run("--core-dir", str(users_core), "--online")
    assert snapshot(users_core) == whole


def test_no_package_of_the_registrys_name_in_a_folder_that_is_not_private(users_core: Path) -> None:
    shutil.rmtree(users_core / "packages/tool-scons")
    before = snapshot(users_core)
    with pytest.raises(ToolError, match="no tool-scons") as raised:
        run("--core-dir", str(users_core), "--offline")
    assert "--core-dir .pio-core" in str(raised.value)
    assert snapshot(users_core) == before


def test_a_private_folder_has_all_and_remove_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = tmp_path / "private"
    run("--core-dir", str(core), "--offline")
    monkeypatch.setenv("PLATFORMIO_CORE_DIR", str(core))
    manager = ToolPackageManager(str(core / "packages"))
    for name in ("tool-scons", "tool-cppcheck"):
        wanted = PackageSpec(owner="platformio", name=name, requirements=get_core_dependencies()[name])
        assert manager.get_package(wanted) is not None, f"PlatformIO accepts {name}"
    assert manager.get_package("toolchain-riscv") is None, "the registry's name stays free"

    monkeypatch.setattr(packages, "scons", lambda: pytest.fail("SCons is fetched once only"))
    run("--core-dir", str(core), "--offline")
    run("--core-dir", str(core), "--remove")
    assert not core.exists()


def test_scons_comes_from_pypi_where_this_python_has_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip is asked for the version behind PlatformIO's requirement; here it is stood in for."""
    asked = []

    def fake_run(command: list[str], **_: object) -> object:
        asked.append(command)
        (Path(command[command.index("--target") + 1]) / "SCons").mkdir()
        return argparse.Namespace(returncode=0)

    monkeypatch.setattr(packages, "_installed_scons", lambda version: None)
    monkeypatch.setattr(packages.subprocess, "run", fake_run)
    monkeypatch.setattr(packages, "_requirement", lambda name: "~4.41203.0")
    content = packages.scons()
    assert asked[0][:4] == [sys.executable, "-m", "pip", "install"]
    assert asked[0][-1] == "scons==4.12.3"
    assert b'"version": "4.41203.0+pip.4.12.3"' in content["package.json"]


@pytest.mark.parametrize(("reachable", "expected"), [(True, False), (False, True)])
def test_without_an_option_the_registry_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reachable: bool, expected: bool
) -> None:
    monkeypatch.setattr(setup, "registry_reachable", lambda: reachable)
    core = tmp_path / "core"
    assert run("--core-dir", str(core)) == 0
    assert (core / packages.TOOLCHAIN_FOLDER).exists() is expected
    assert (core / packages.SCONS_FOLDER).exists() is expected


def test_no_cross_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="no RISC-V cross compiler") as raised:
        run("--core-dir", str(tmp_path / "core"), "--offline")
    assert "apt install gcc-riscv64-unknown-elf" in str(raised.value)
    assert not (tmp_path / "core").exists()


def test_the_users_own_folder_never_counts_as_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PLATFORMIO_CORE_DIR", raising=False)
    assert setup.default_core_dir() == tmp_path / ".platformio"
    assert not setup.is_private(tmp_path / ".platformio")
    assert setup.is_private(tmp_path / "fresh")
