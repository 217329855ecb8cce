"""``uc-nn doctor``: what of the machine is there, what is missing, and what to do about each.

Each check looks and changes nothing. ``fails`` is what a build of the demo for the virtual board cannot do without;
``warns`` is what some command or a real board needs.
"""

from __future__ import annotations

import argparse
import glob
import importlib.metadata
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from uc_nn_pio import __version__
from uc_nn_pio.boards import board_ids, load_board
from uc_nn_pio.errors import UcNnError
from uc_nn_pio.pio import core_folder, extra_script, packages, setup
from uc_nn_pio.ports import HIFIVE1_USB, hifive1_ports

OK, WARNS, FAILS = "ok", "warns", "fails"
UDEV_RULES = ("/etc/udev/rules.d/*.rules", "/lib/udev/rules.d/*.rules", "/usr/lib/udev/rules.d/*.rules")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: str
    says: str
    cure: str | None = None

    def line(self) -> str:
        mark = {OK: "ok   ", WARNS: "warn ", FAILS: "FAIL "}[self.state]
        return f"{mark} {self.name:22} {self.says}" + (f"\n{'':6}{'':22} next: {self.cure}" if self.cure else "")


def examine(core: Path, project: Path) -> list[Finding]:
    """All checks, in their order."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python,
        _torch,
        _platformio,
        lambda: _platform(core),
        lambda: _scons(core),
        _compilers,
        lambda: _registry(core),
        _programs,
        _serial,
        _boards,
        lambda: _project(project),
    ]
    return [finding for check in checks for finding in check()]


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = sys.version_info >= (3, 11)
    yield Finding(
        "Python", OK if fits else FAILS, f"{version}, {sys.executable}", None if fits else "use 3.11 or newer"
    )
    yield Finding("uc_nn_pio", OK, f"{__version__}, {Path(__file__).parent}")


def _distribution(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _torch() -> Iterator[Finding]:
    found = _distribution("torch")
    required = importlib.metadata.requires("uc_nn_pio") if _distribution("uc_nn_pio") else None
    wanted = next((each for each in required or () if each.startswith("torch")), "torch")
    cure = f"{sys.executable} -m pip install '{wanted}'"
    if found is None:
        yield Finding("torch", FAILS, "not in this Python: nothing can be converted", cure)
        return
    old = tuple(int(part) for part in found.split("+")[0].split(".")[:2]) < (2, 9)
    yield Finding("torch", WARNS if old else OK, f"{found} ({wanted} is supported)", cure if old else None)


def _platformio() -> Iterator[Finding]:
    own, command = _distribution("platformio"), shutil.which("pio") or shutil.which("platformio")
    if own:
        yield Finding("PlatformIO", OK, f"{own}, in this Python")
    elif command:
        says = f"{command}, in another Python; the converter runs in this one"
        yield Finding("PlatformIO", OK, says)
    else:
        yield Finding("PlatformIO", FAILS, "there is none", f"{sys.executable} -m pip install platformio")


def _platform(core: Path) -> Iterator[Finding]:
    folder = packages.PLATFORM_FOLDER
    where = core / folder
    cure = "uc-nn setup" if core == setup.default_core_dir() else f"uc-nn setup --core-dir {core}"
    note = core_folder.read_note(where)
    if note is None:
        yield Finding("platform uc_nn", FAILS, f"not in {core}", cure)
        return
    if not core_folder.intact(core, folder):
        yield Finding("platform uc_nn", WARNS, f"files in {where} were changed", cure)
        return
    same = core_folder.holds(core, folder, packages.platform())
    yield Finding(
        "platform uc_nn",
        OK if same else WARNS,
        f"{where}{'' if same else ' is of another version'}",
        None if same else cure,
    )
    python = note.get("python")
    if python and not Path(python).exists():
        yield Finding("its Python", WARNS, f"{python} is gone: the virtual board may not start", cure)


def _scons(core: Path) -> Iterator[Finding]:
    """The build tool that set-up put into a private folder: PlatformIO may want another one since it was upgraded."""
    folder = core / packages.SCONS_FOLDER
    if packages.SCONS_FOLDER not in core_folder.made_folders(core):
        return  # PlatformIO's own, which it fetches and renews itself
    cure = f"uc-nn setup --offline --core-dir {core}"
    try:
        held, wanted = setup.package_version(folder), packages.scons_package_version()
    except (OSError, ValueError, KeyError):
        yield Finding("SCons", WARNS, f"{folder} is damaged", cure)
    except UcNnError as error:
        yield Finding("SCons", WARNS, error.what, error.next_step)
    else:
        says = held if held == wanted else f"{held}; this PlatformIO asks for {wanted}: upgraded since set-up?"
        yield Finding("SCons", OK if held == wanted else WARNS, says, None if held == wanted else cure)


def _compilers() -> Iterator[Finding]:
    try:
        yield Finding("RISC-V compiler", OK, shutil.which(packages.compiler_prefix() + "gcc") or "")
    except UcNnError as error:
        yield Finding("RISC-V compiler", WARNS, error.what, error.next_step)
    arm = shutil.which(packages.ARM_PREFIX + "gcc")
    cure = "apt install gcc-arm-none-eabi, or the Arm GNU toolchain"
    yield Finding("Arm compiler", OK if arm else WARNS, arm or "none: no builds for Cortex-M", None if arm else cure)
    host = shutil.which("gcc")
    yield Finding(
        "C compiler",
        OK if host else WARNS,
        host or "no gcc: uc-nn validate --on host needs it",
        None if host else "apt install gcc",
    )


def _registry(core: Path) -> Iterator[Finding]:
    if setup.registry_reachable():
        yield Finding("PlatformIO's registry", OK, "answers")
        return
    private = (core / setup.PRIVATE_MARK).is_file()
    cure = None if private else "uc-nn setup --offline --core-dir .pio-core; PLATFORMIO_CORE_DIR=.pio-core for builds"
    yield Finding(
        "PlatformIO's registry",
        OK if private else WARNS,
        f"does not answer{', and is not needed' if private else ''}",
        cure,
    )


def _programs() -> Iterator[Finding]:
    for program, use, cure in (
        ("openocd", "uploads to a real HiFive1", "apt install openocd; macOS: brew install open-ocd"),
        ("qemu-system-arm", "board mps2_an386", "apt install qemu-system-arm; macOS: brew install qemu"),
        ("qemu-system-riscv32", "board qemu_riscv32", "apt install qemu-system-misc; macOS: brew install qemu"),
    ):
        found = shutil.which(program)
        yield Finding(program, OK if found else WARNS, found or f"none: no {use}", None if found else cure)


def _serial() -> Iterator[Finding]:
    ports = hifive1_ports()
    if not ports:
        yield Finding("HiFive1", OK, "none is plugged in; the virtual one needs none")
    else:
        uart = ports[-1]
        says = f"UART {uart}" + (f" (JTAG is {ports[0]})" if len(ports) > 1 else "")
        allowed = os.name == "nt" or os.access(uart, os.R_OK | os.W_OK)
        cure = None if allowed else "sudo usermod -aG dialout $USER, then log in again"
        yield Finding("HiFive1", OK if allowed else WARNS, says + ("" if allowed else ", which you may not open"), cure)
    if sys.platform == "linux":
        yield _udev()
    elif os.name == "nt" and ports:
        yield Finding(
            "USB driver",
            WARNS,
            "OpenOCD wants WinUSB on interface 0",
            "Zadig: WinUSB for 'Dual RS232-HS (Interface 0)'",
        )
    elif sys.platform == "darwin" and ports:
        cure = "see OpenOCD's README.OSX where it says that the interface is claimed"
        yield Finding("USB driver", OK, "OpenOCD takes the first interface from Apple's driver", cure)


def _udev() -> Finding:
    vendor, product = (f"{number:04x}" for number in HIFIVE1_USB)
    for pattern in UDEV_RULES:
        for path in glob.glob(pattern):
            try:
                text = Path(path).read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            if vendor in text and product in text:
                return Finding("udev rules", OK, path)
    rule = f'SUBSYSTEM=="usb", ATTR{{idVendor}}=="{vendor}", ATTR{{idProduct}}=="{product}", MODE="0666"'
    return Finding(
        "udev rules",
        WARNS,
        "none for the HiFive1's USB chip: OpenOCD would need root",
        f"put {rule} into /etc/udev/rules.d/99-hifive1.rules; sudo udevadm control --reload-rules",
    )


def _boards() -> Iterator[Finding]:
    wrong = []
    for name in board_ids():
        try:
            load_board(name)
        except UcNnError as error:
            wrong.append(f"{name}: {error.what}")
    says = "; ".join(wrong) or ", ".join(board_ids())
    yield Finding(
        "board data", FAILS if wrong else OK, says, "pip install --force-reinstall uc_nn_pio" if wrong else None
    )


def _project(project: Path) -> Iterator[Finding]:
    if not (project / "platformio.ini").is_file():
        return
    path = project / "uc_nn.py"
    if not path.is_file():
        yield Finding("project", OK, f"{project} has no uc_nn.py")
        return
    same = path.read_bytes().replace(b"\r\n", b"\n") == Path(extra_script.__file__).read_bytes()
    cure = None if same else "uc-nn update shows what is newer, and brings it up"
    yield Finding("project", OK if same else WARNS, f"{path}{'' if same else ' is of another version'}", cure)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "--core-dir", type=Path, metavar="DIR", help="PlatformIO's core folder (default: PlatformIO's own)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """1 where something fails."""
    core = (args.core_dir or setup.default_core_dir()).expanduser().absolute()
    found = examine(core, Path.cwd())
    if args.json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        print("\n".join(finding.line() for finding in found))
    return int(any(finding.state == FAILS for finding in found))
