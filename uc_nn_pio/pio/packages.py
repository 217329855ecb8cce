"""What a PlatformIO core folder needs to build for platform ``uc_nn``, as file contents.

The platform itself goes into any core folder. The packages stand in for the registry's where that cannot be reached;
those that bear a registry's name (:func:`scons`, :func:`cppcheck`) belong in a private core folder only, where no
other project of the user's can meet them.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from uc_nn_pio.errors import ToolError
from uc_nn_pio.pio.core_folder import Content, Link, tree
from uc_nn_pio.resources import resources

PLATFORM_FOLDER = "platforms/uc_nn"
TOOLCHAIN_FOLDER = "packages/toolchain-uc-nn-system"
SCONS_FOLDER = "packages/tool-scons"
CPPCHECK_FOLDER = "packages/tool-cppcheck"

PREFIX = "riscv64-unknown-elf-"
ARM_PREFIX = "arm-none-eabi-"
_OTHER_PREFIXES = ("riscv-none-elf-", "riscv64-elf-", "riscv32-unknown-elf-", "riscv64-none-elf-")
_TOOLS = (
    *("ar", "as", "c++", "c++filt", "cpp", "elfedit", "g++", "gcc", "gcc-ar", "gcc-nm", "gcc-ranlib", "gcov", "gdb"),
    *("ld", "ld.bfd", "nm", "objcopy", "objdump", "ranlib", "readelf", "size", "strings", "strip"),
)

_SCONS_ENTRY = b'''"""Starts SCons from the folder beside this file."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "scons-local"))

from SCons.Script.Main import main  # noqa: E402

if __name__ == "__main__":
    main()
'''


def platform() -> Content:
    """The platform: its own files, and this project's boards."""
    content: dict[str, bytes | Link] = dict(tree(Path(__file__).parent / "platform"))
    for path in sorted(resources("boards").glob("*.json")):
        content[f"boards/{path.name}"] = path.read_bytes()
    version = json.loads(content["platform.json"])["version"]
    content[".piopm"] = _metadata("platform", "uc_nn", version, owner=None)
    return content


def compiler_prefix() -> str:
    """What stands before ``gcc`` in the name of the system's RISC-V cross compiler.

    Raises:
        ToolError: there is none on PATH.
    """
    prefix = next((prefix for prefix in (PREFIX, *_OTHER_PREFIXES) if shutil.which(prefix + "gcc")), None)
    if prefix is None:
        raise ToolError(
            "no RISC-V cross compiler was found on PATH",
            why=f"looked for {PREFIX}gcc and gcc with {', '.join(_OTHER_PREFIXES)}",
            next_step="install one (Debian, Ubuntu: apt install gcc-riscv64-unknown-elf; macOS: brew install "
            "riscv64-elf-gcc), or use PlatformIO's registry: uc-nn setup --online",
        )
    return prefix


def system_toolchain() -> Content:
    """Links to the system's RISC-V cross compiler, under the names that the platform asks for, and to the one for Arm
    if there is one.

    Raises:
        ToolError: there is none for RISC-V on PATH.
    """
    prefix = compiler_prefix()
    content: dict[str, bytes | Link] = {}
    for system, ours in ((prefix, PREFIX), (ARM_PREFIX, ARM_PREFIX)):
        for tool in _TOOLS:
            found = shutil.which(system + tool)
            if found:
                content[f"bin/{ours}{tool}"] = Link(str(Path(found).absolute()))
    done = subprocess.run([prefix + "gcc", "-dumpfullversion"], capture_output=True, text=True, check=True)
    major, minor, patch = (int(part) for part in done.stdout.strip().split("."))
    version = f"1.{major}{minor:02}{patch:02}.0"
    return {**content, **_package("toolchain-uc-nn-system", version, "The system's cross compilers", owner=None)}


def scons() -> Content:
    """``tool-scons`` in the version that the installed PlatformIO asks for, from this Python's SCons or from PyPI."""
    version = scons_version()
    local = _installed_scons(version)
    content = tree(local, under="scons-local/SCons") if local else _scons_from_pypi(version)
    return {
        **content,
        "scons.py": _SCONS_ENTRY,
        **_package("tool-scons", scons_package_version(), "SCons from PyPI", owner="platformio"),
    }


def scons_package_version() -> str:
    """The version that the package of that SCons bears: ``4.41101.0+pip.4.11.1``."""
    version = scons_version()
    major, minor, patch = (int(part) for part in version.split("."))
    return f"{major}.{major}{minor:02}{patch:02}.0+pip.{version}"


def scons_version() -> str:
    """SCons's version behind PlatformIO's requirement: ``~4.41101.0`` means 4.11.1."""
    requirement = _requirement("tool-scons")
    match = re.search(r"\d+\.(\d)(\d\d)(\d\d)\.\d+", requirement)
    if match is None:
        raise ToolError(
            f"PlatformIO asks for tool-scons {requirement}, which names no SCons version that uc-nn can read",
            next_step="use a PlatformIO from 6.1.18 to 6.2, or its registry: uc-nn setup --online",
        )
    return ".".join(str(int(part)) for part in match.groups())


def cppcheck() -> Content | None:
    """``tool-cppcheck`` for ``pio check``, a link to the system's cppcheck; ``None`` where the system has none."""
    found = shutil.which("cppcheck")
    if found is None:
        return None
    match = re.search(r"\d+\.\d+\.\d+", _requirement("tool-cppcheck"))
    version = f"{match.group() if match else '0.0.0'}+system"
    return {
        "cppcheck": Link(str(Path(found).absolute())),
        **_package("tool-cppcheck", version, "The system's cppcheck", owner="platformio"),
    }


def _requirement(package: str) -> str:
    try:
        from platformio.dependencies import get_core_dependencies
    except ImportError as error:
        raise ToolError(
            "PlatformIO is not installed in this Python",
            where=sys.executable,
            next_step=f"{sys.executable} -m pip install platformio",
        ) from error
    return get_core_dependencies()[package]


def _installed_scons(version: str) -> Path | None:
    try:
        if importlib.metadata.version("scons") != version:
            return None
    except importlib.metadata.PackageNotFoundError:
        return None
    spec = importlib.util.find_spec("SCons")
    return Path(spec.origin).parent if spec and spec.origin else None


def _scons_from_pypi(version: str) -> Content:
    with tempfile.TemporaryDirectory(prefix="uc-nn-scons-") as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            folder,
            f"scons=={version}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ToolError(
                f"SCons {version} could not be had from PyPI",
                why=done.stderr.strip()[-2000:],
                next_step=f"install it by hand and run this again: {sys.executable} -m pip install scons=={version}",
            )
        return tree(Path(folder) / "SCons", under="scons-local/SCons")


def _package(name: str, version: str, description: str, *, owner: str | None) -> Content:
    manifest = {"name": name, "version": version, "description": description}
    return {
        "package.json": (json.dumps(manifest, indent=2) + "\n").encode(),
        ".piopm": _metadata("tool", name, version, owner=owner),
        ".piokeep": b"",  # keeps `pio system prune` off it
    }


def _metadata(kind: str, name: str, version: str, *, owner: str | None) -> bytes:
    """PlatformIO's note on an installed package. Without a ``uri`` it would ask the registry for news of it."""
    spec = {"owner": owner, "id": None, "name": name, "requirements": None, "uri": "file://uc-nn-setup"}
    return (json.dumps({"type": kind, "name": name, "version": version, "spec": spec}) + "\n").encode()
