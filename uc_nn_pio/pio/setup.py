"""``uc-nn setup``: makes a PlatformIO core folder know platform ``uc_nn``.

Into the user's own core folder goes the platform and, with ``--offline``, a toolchain package under a name of its own:
nothing that another project of theirs could pick up. A folder that set-up itself creates is *private*: there the
packages that bear the registry's names may stand as well, so that everything builds with no registry at all.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

from uc_nn_pio.errors import ToolError
from uc_nn_pio.pio import core_folder, packages

PRIVATE_MARK = ".uc_nn_private"
_PROBE_TIMEOUT_S = 3.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "--core-dir", type=Path, metavar="DIR", help="PlatformIO's core folder (default: PlatformIO's own)"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--offline", action="store_true", help="use the system's cross compiler, ask no registry")
    source.add_argument("--online", action="store_true", help="take compiler and tools from PlatformIO's registry")
    parser.add_argument("--remove", action="store_true", help="take out what set-up put there, and nothing else")


def run(args: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code."""
    core = (args.core_dir or default_core_dir()).expanduser().absolute()
    if args.remove:
        removed = remove(core)
        print("\n".join(f"removed {core / folder}" for folder in removed) or f"nothing of uc-nn in {core}")
        return 0
    made_offline = (core / PRIVATE_MARK).is_file()
    offline = args.offline or (not args.online and (made_offline or not registry_reachable()))
    changed = set_up(core, offline=offline)
    print("\n".join(f"put {core / folder} in place" for folder in changed) or f"{core} is up to date")
    if not _has_scons(core) and not registry_reachable():
        print(
            f"note: {core} has no tool-scons yet; PlatformIO fetches it from its registry, which does not answer now.\n"
            "      To build without a registry use a core folder of its own:\n"
            "      uc-nn setup --offline --core-dir .pio-core, then PLATFORMIO_CORE_DIR=.pio-core pio run"
        )
    return 0


def default_core_dir() -> Path:
    """The core folder that PlatformIO would use here."""
    named = os.environ.get("PLATFORMIO_CORE_DIR")
    return Path(named) if named else Path.home() / ".platformio"


def is_private(core: Path) -> bool:
    """Whether ``core`` was created by set-up, or may be (there is nothing, or nothing in it)."""
    if (core / PRIVATE_MARK).is_file():
        return True
    if core == (Path.home() / ".platformio").absolute():
        return False
    return not core.exists() or (core.is_dir() and not any(core.iterdir()))


def set_up(core: Path, *, offline: bool) -> list[str]:
    """Put the platform and, with ``offline``, the packages into ``core``.

    Returns:
        The folders that changed, relative to ``core``; none the second time.

    Raises:
        ToolError: a folder of that name is somebody else's, or something that is needed is missing.
    """
    wanted = {packages.PLATFORM_FOLDER: packages.platform()}
    private = is_private(core)
    if offline:
        wanted[packages.TOOLCHAIN_FOLDER] = packages.system_toolchain()
        if private:
            wanted.update(_private_packages(core))
        elif not _has_scons(core):
            raise ToolError(
                "this core folder has no tool-scons, and set-up may not put one there",
                where=str(core),
                why="it is not a folder that set-up made; the package would serve all your projects",
                next_step="uc-nn setup --offline --core-dir .pio-core, and PLATFORMIO_CORE_DIR=.pio-core for the build",
            )
    changed = []
    for folder, content in wanted.items():
        facts = {"python": sys.executable} if folder == packages.PLATFORM_FOLDER else {}
        if core_folder.install(core, folder, content, facts):
            changed.append(folder)
    if offline and private:
        (core / PRIVATE_MARK).touch()
    if not offline and core_folder.remove(core, packages.TOOLCHAIN_FOLDER):
        changed.append(packages.TOOLCHAIN_FOLDER)
    return changed


def remove(core: Path) -> list[str]:
    """Take out of ``core`` everything that set-up put there; returns the folders removed."""
    made = core_folder.made_folders(core)
    if (core / PRIVATE_MARK).is_file():
        (core / PRIVATE_MARK).unlink()
    return [folder for folder in made if core_folder.remove(core, folder)]


def registry_reachable() -> bool:
    """Whether PlatformIO's registry answers within a few seconds. Any answer counts, an error page too."""
    try:
        from platformio import __registry_mirror_hosts__ as hosts
    except ImportError:
        return False
    for host in hosts[:1]:
        try:
            with urllib.request.urlopen(f"https://api.{host}/", timeout=_PROBE_TIMEOUT_S):
                return True
        except urllib.error.HTTPError:
            return True
        except (OSError, ValueError):
            continue
    return False


def _private_packages(core: Path) -> dict[str, core_folder.Content]:
    """Stand-ins under the registry's names; one that PlatformIO fetched itself stays as it is."""
    made = set(core_folder.made_folders(core))

    def ours(folder: str) -> bool:
        return folder in made or not (core / folder).exists()

    found: dict[str, core_folder.Content] = {}
    # SCons may have to come from PyPI: once, until PlatformIO asks for another version.
    if ours(packages.SCONS_FOLDER) and not (
        core_folder.intact(core, packages.SCONS_FOLDER)
        and package_version(core / packages.SCONS_FOLDER) == packages.scons_package_version()
    ):
        found[packages.SCONS_FOLDER] = packages.scons()
    cppcheck = packages.cppcheck() if ours(packages.CPPCHECK_FOLDER) else None
    if cppcheck is not None:
        found[packages.CPPCHECK_FOLDER] = cppcheck
    return found


def package_version(package: Path) -> str:
    """The version that a PlatformIO package says of itself."""
    return json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]


def _has_scons(core: Path) -> bool:
    return (core / packages.SCONS_FOLDER / "scons.py").is_file()
