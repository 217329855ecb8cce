"""Builds bare-metal firmware for the boards of platform ``uc_nn``: flags, size bars, upload.

Runs inside SCons in PlatformIO's own Python: standard library and PlatformIO only.
"""

import os
import subprocess
import sys

from SCons.Script import COMMAND_LINE_TARGETS, AlwaysBuild, Builder, Default, DefaultEnvironment

env = DefaultEnvironment()
platform = env.PioPlatform()
board = env.BoardConfig()

BUILDER_DIR = os.path.join(platform.get_dir(), "builder")
sys.path.insert(0, BUILDER_DIR)

import uc_nn_upload  # noqa: E402  lies beside this file, on the path only from here on

ARM = board.get("build.cpu", "").startswith("cortex-m")
PREFIX = "arm-none-eabi-" if ARM else "riscv64-unknown-elf-"


def compiler_needs_old_isa_spec():
    """From GCC 12 on the CSR instructions left base ``i``; ``-misa-spec=2.2`` puts them back. GCC 8 lacks the flag."""
    try:
        done = subprocess.run(
            [PREFIX + "gcc", "-dumpversion"],
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": str(env["ENV"]["PATH"])},
            check=True,
        )
        return int(done.stdout.split(".")[0]) >= 11
    except (OSError, ValueError, subprocess.CalledProcessError):
        return False


def size_command():
    """The command behind PlatformIO's RAM and flash bars, and its patterns: see ``uc_nn_size.py``."""
    regions = board.get("uc_nn.regions", None) or {}
    ram = regions.get("ram", {})
    origin = int(str(ram.get("origin", "0x80000000")), 0)
    size = int(ram.get("size", board.get("upload.maximum_ram_size", 0)))
    script = os.path.join(BUILDER_DIR, "uc_nn_size.py")
    return ["$PYTHONEXE", "-I", "-S", script, "$SOURCES", hex(origin), hex(origin + size)]


if ARM:
    machine = ["-mcpu=" + board.get("build.cpu"), "-mthumb"]
else:
    machine = [
        "-march=" + board.get("build.march"),
        "-mabi=" + board.get("build.mabi"),
        "-mcmodel=" + board.get("build.mcmodel"),
    ]
    if compiler_needs_old_isa_spec():
        machine.append("-misa-spec=2.2")

env.Replace(
    AR=PREFIX + "gcc-ar",
    AS=PREFIX + "as",
    CC=PREFIX + "gcc",
    CXX=PREFIX + "g++",
    GDB=PREFIX + "gdb",
    OBJCOPY=PREFIX + "objcopy",
    RANLIB=PREFIX + "gcc-ranlib",
    SIZETOOL=PREFIX + "size",
    ARFLAGS=["rc"],
    SIZEPRINTCMD="$SIZETOOL -d $SOURCES",
    SIZECHECKCMD=size_command(),
    SIZEPROGREGEXP=r"^flash\s+(\d+)",
    SIZEDATAREGEXP=r"^ram\s+(\d+)",
    PROGSUFFIX=".elf",
)
if env.get("PROGNAME", "program") == "program":
    env.Replace(PROGNAME="firmware")

# The firmware brings its own memcpy and memset, so no C library is linked: the same bytes with every toolchain.
# Without a C library there are no headers of one either; freestanding, GCC's own stdint.h and stddef.h stand alone.
env.Append(
    ASFLAGS=[flag for flag in machine if not flag.startswith("-mcmodel")],
    CCFLAGS=["-Os", "-g", "-Wall", "-ffreestanding", "-ffunction-sections", "-fdata-sections", *machine],
    LINKFLAGS=["-Os", "-nostartfiles", "-nostdlib", "-Wl,--gc-sections", *machine],
    LIBS=["gcc"],
    BUILDERS={
        "ElfToHex": Builder(
            action=env.VerboseAction("$OBJCOPY -O ihex $SOURCES $TARGET", "Building $TARGET"), suffix=".hex"
        )
    },
)

if "nobuild" in COMMAND_LINE_TARGETS:
    target_elf = os.path.join("$BUILD_DIR", "${PROGNAME}.elf")
    target_hex = os.path.join("$BUILD_DIR", "${PROGNAME}.hex")
else:
    target_elf = env.BuildProgram()
    target_hex = env.ElfToHex(os.path.join("$BUILD_DIR", "${PROGNAME}"), target_elf)

AlwaysBuild(env.Alias("nobuild", target_hex))
target_build = env.Alias("buildprog", target_hex, target_hex)

target_size = env.AddPlatformTarget(
    "size",
    target_elf,
    env.VerboseAction("$SIZEPRINTCMD", "Calculating size $SOURCE"),
    "Program Size",
    "Sizes of the firmware's sections",
)

env.AddPlatformTarget("upload", target_elf, uc_nn_upload.actions(env, board, platform), "Upload")

Default([target_build, target_size])
