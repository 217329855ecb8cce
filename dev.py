#!/usr/bin/env python3
"""Sets up this checkout and runs it: ``python3 dev.py setup | demo | test [--all] [pytest arguments] | bench``.

Needs nothing but Python 3.11 or later. On Debian and Ubuntu, as root or with sudo, missing system packages are
installed; elsewhere they are listed, with how to get each. Everything else stays in this folder: ``.venv`` (Python
packages) and ``.pio-core`` (PlatformIO's core folder, filled without its registry). A second run finds all in place and
asks no network.

Exit codes: 0 done, 1 something failed, 2 something is missing that has to be installed by hand.
"""

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
CORE = ROOT / ".pio-core"
STAMP = VENV / "uc_nn_setup.stamp"
TORCH = "torch==2.13.0"
OLDEST_PYTHON = (3, 11)

RISCV_COMPILERS = ("riscv64-unknown-elf-gcc", "riscv-none-elf-gcc", "riscv64-elf-gcc", "riscv32-unknown-elf-gcc")

# What has to be there: a name for people, programs of which one is enough, Debian's packages, how to get it elsewhere.
DEMO_NEEDS = [
    (
        "RISC-V cross compiler",
        RISCV_COMPILERS,
        ["gcc-riscv64-unknown-elf"],
        "xPack's riscv-none-elf-gcc (Linux, macOS, Windows); macOS: brew install riscv64-elf-gcc",
    ),
]
TEST_NEEDS = [
    ("gcc", ["gcc"], ["gcc", "libc6-dev"], "your system's package gcc (macOS: brew install gcc)"),
    ("g++", ["g++"], ["g++"], "your system's package g++ or gcc-c++"),
    ("clang", ["clang"], ["clang"], "your system's package clang"),
    (
        "QEMU for RISC-V",
        ["qemu-system-riscv32"],
        ["qemu-system-misc"],
        "your system's package qemu or qemu-system-riscv",
    ),
    (
        "Arm cross compiler",
        ["arm-none-eabi-gcc"],
        ["gcc-arm-none-eabi"],
        "your system's package arm-none-eabi-gcc, or the Arm GNU toolchain (macOS: brew install arm-none-eabi-gcc)",
    ),
    (
        "QEMU for Arm",
        ["qemu-system-arm"],
        ["qemu-system-arm"],
        "your system's package qemu or qemu-system-arm",
    ),
    ("CMake", ["cmake"], ["cmake"], "your system's package cmake"),
    ("Chromium", ["chromium"], ["chromium"], "your system's package chromium, with its program under that name"),
    ("OpenOCD", ["openocd"], ["openocd"], "your system's package openocd (macOS: brew install open-ocd)"),
    ("cppcheck", ["cppcheck"], ["cppcheck"], "your system's package cppcheck"),
    (
        "gdb for RISC-V",
        ["gdb-multiarch"],
        ["gdb-multiarch"],
        "your system's package gdb-multiarch, or a gdb built for riscv under that name",
    ),
]


class SetupError(Exception):
    """Ends the program with a text and an exit code."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="dev.py", description="Set up this checkout and run it.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("setup", help="install all that demo, test and bench need")
    verbs.add_parser("demo", help="ten digits through the virtual camera, with PlatformIO", add_help=False)
    test = verbs.add_parser("test", help="run the tests (further arguments go to pytest)", add_help=False)
    test.add_argument("--all", action="store_true", help="the slow tests too")
    verbs.add_parser("bench", help="measure (further arguments go to uc_nn_pio.bench)", add_help=False)
    args, rest = parser.parse_known_args(argv)
    if args.verb == "setup" and rest:
        parser.error(f"setup takes no arguments: {' '.join(rest)}")
    try:
        set_up(DEMO_NEEDS if args.verb == "demo" else DEMO_NEEDS + TEST_NEEDS)
        if args.verb == "setup":
            say("all is in place")
            return 0
        command = {
            "demo": ["-m", "uc_nn_pio", "demo"],
            "test": ["-m", "pytest", *([] if getattr(args, "all", False) else ["-m", "not slow"])],
            "bench": ["-m", "uc_nn_pio.bench"],
        }[args.verb]
        return subprocess.run([venv_python(), *command, *rest], cwd=ROOT, env=environment(), check=False).returncode
    except SetupError as error:
        print(error, file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130


def set_up(needs: list) -> None:
    """Install what is missing, and only that.

    Raises:
        SetupError: something has to be installed by hand, or an installation failed.
    """
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError(
            f"dev.py needs Python {version_text(OLDEST_PYTHON)} or later; this is {sys.version.split()[0]}", 2
        )
    stamp = stamp_text()
    venv = works(venv_python())
    python_ready = venv and STAMP.is_file() and STAMP.read_text(encoding="utf-8") == stamp
    missing = [need for need in needs if not any(map(shutil.which, need[1]))]
    if not venv and importlib.util.find_spec("ensurepip") is None:
        version = version_text(sys.version_info[:2])
        packages = [f"python{version}-venv"]
        missing.insert(
            0, ("Python's venv and ensurepip", [], packages, f"a full Python {version}, from python.org or pyenv")
        )
    if missing:
        install_packages(missing)
    if not python_ready:
        install_python_packages(fresh=not venv)
        STAMP.write_text(stamp, encoding="utf-8")
    run([venv_python(), "-m", "uc_nn_pio", "setup", "--offline", "--core-dir", str(CORE)], quiet=True)


def stamp_text() -> str:
    """Changes when the virtual environment has to be brought up to date."""
    digest = hashlib.sha256()
    for path in (ROOT / "pyproject.toml", Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest() + "\n"


def install_packages(missing: list) -> None:
    """Install Debian packages, where that is possible; else list what is missing."""
    prefix = root_prefix()
    if prefix is None or shutil.which("apt-get") is None:
        raise SetupError(how_to_get(missing), 2)
    packages = [package for need in missing for package in need[2]]
    say(f"installing {' '.join(packages)}")
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    run([*apt, "-qq", "update"], quiet=True)
    run([*apt, "-qq", "install", "--yes", "--no-install-recommends", *packages], quiet=True)
    left = [need for need in missing if need[1] and not any(map(shutil.which, need[1]))]
    if left:
        raise SetupError(how_to_get(left), 2)


def root_prefix() -> "list[str] | None":
    """What to put in front of a command that needs root; ``None`` if this user cannot."""
    if not hasattr(os, "geteuid"):
        return None
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    # Without a terminal nobody can type a password, and sudo would wait for one.
    quiet = subprocess.run(["sudo", "-n", "true"], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    return ["sudo"] if quiet.returncode == 0 or sys.stdin.isatty() else None


def how_to_get(missing: list) -> str:
    """The list of what is missing, with how to get each."""
    lines = ["missing, and dev.py cannot install it here (no root, no sudo, or not Debian or Ubuntu):"]
    for name, programs, packages, elsewhere in missing:
        lines += ["", f"  {name}" + (f" ({' or '.join(programs)})" if programs else "")]
        lines += [f"    Debian, Ubuntu: apt install {' '.join(packages)}", f"    elsewhere: {elsewhere}"]
    return "\n".join([*lines, "", "then run this again"])


def install_python_packages(fresh: bool) -> None:
    """Make ``.venv`` and install this checkout into it. ``PIP_*`` variables apply as they are."""
    if fresh:
        say(f"making {VENV.name} with {sys.executable}")
        run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    pip = [venv_python(), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    say(f"installing {TORCH} (a large download the first time)")
    run([*pip, TORCH])
    say("installing uc_nn_pio and what it needs")
    run([*pip, "--editable", f"{ROOT}[virtual,dev]"])


def venv_python() -> str:
    return str(VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def works(python: str) -> bool:
    """Whether an interpreter starts and has pip. It no longer does once the Python it was made with is gone."""
    try:
        done = subprocess.run([python, "-c", "import pip"], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def environment() -> "dict[str, str]":
    """The environment of the verbs: the private core folder, and no telemetry."""
    return {
        **os.environ,
        "PLATFORMIO_CORE_DIR": str(CORE),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "VIRTUAL_ENV": str(VENV),
        "PATH": str(Path(venv_python()).parent) + os.pathsep + os.environ.get("PATH", ""),
    }


def run(command: "list[str]", quiet: bool = False) -> None:
    """Run a step of the set-up; ``quiet`` keeps its output for the case that it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=quiet, text=True, errors="replace", check=False)
    if done.returncode:
        output = f"{done.stdout}{done.stderr}" if quiet else ""
        raise SetupError(f"{output}failed with code {done.returncode}: {' '.join(command)}")


def version_text(version: tuple) -> str:
    return ".".join(map(str, version))


def say(text: str) -> None:
    print(f"dev.py: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
