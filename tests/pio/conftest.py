"""Small PlatformIO projects, a core folder of their own, and a converter whose runs are counted."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from uc_nn_pio.pio import setup

ROOT = Path(__file__).parents[2]
PIO = (sys.executable, "-m", "platformio")
EXTRA_SCRIPT = ROOT / "uc_nn_pio" / "pio" / "extra_script.py"

INI = """\
[platformio]
default_envs = virtual

[env]
platform = uc_nn
extra_scripts = pre:uc_nn.py
custom_uc_nn_models = models/tiny.yaml
monitor_speed = 115200

[env:virtual]
board = hifive1_virtual

[env:hifive1]
board = hifive1

[env:revb]
board = hifive1-revb
"""

START = """\
    .section .text.init
    .globl _start
_start:
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la sp, __stack_top
    csrw mie, zero
    call main
1:  j 1b
"""

MAIN = """\
#include <stdint.h>
#include "tiny.h"
#include "uc_nn_board.h"

#define UART0 ((volatile uint32_t *)0x10013000u)

static void put(const char *text)
{
    for (; *text != 0; text++) {
        while (UART0[0] >> 31) { }
        UART0[0] = (uint8_t)*text;
    }
}

int main(void)
{
    *(volatile uint32_t *)0x10012038u |= 3u << 16;
    UART0[2] = 1u;
    UART0[6] = 124u; /* 115,200 baud from 72 MHz / 5, the core clock out of reset */
    put(tiny_text());
    for (;;) { }
}
"""

# Stands in for `uc_nn_pio.converter`: a second without torch. The guard around it, and all that PlatformIO does with
# the result, are the real ones; tests/pio/test_demo.py and the end-to-end tests run the real converter.
STAND_IN = """\
import os, runpy, sys, types
from pathlib import Path

if sys.argv[1:3] != ["-m", "uc_nn_pio.pio.generate"]:
    with open({log!r}, "a") as log:
        log.write("other\\n")
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with open({log!r}, "a") as log:
    log.write("convert\\n")

from uc_nn_pio.errors import Location, SpecError


class Conversion:
    def __init__(self, name, files, dependencies):
        self.name, self.files, self.dependencies, self.report = name, files, dependencies, {{"name": name}}
        self.compile_flags = ("-O1", "-fno-inline", "-ffp-contract=off")

    def line(self, core_hz, flash):
        return f"{{self.name}}: {{core_hz}} {{flash}}"


def convert(spec, board=None):
    values = dict(line.split(": ", 1) for line in spec.read_text().splitlines() if line)
    if "bad" in values:
        raise SpecError("key 'bad' is not known", where=Location(spec, 3, 1), next_step="remove it")
    name, weights = values["name"], spec.parent / values["weights"]
    header = f"const char *{{name}}_text(void);\\n"
    text = weights.read_text().strip()
    source = f'#include "{{name}}.h"\\nconst char *{{name}}_text(void) {{{{ return "{{text}}\\\\r\\\\n"; }}}}\\n'
    return Conversion(name, {{f"{{name}}.h": header, f"{{name}}.c": source}}, (spec.resolve(), weights.resolve()))


module = types.ModuleType("uc_nn_pio.converter")
module.convert, module.Conversion = convert, Conversion
sys.modules["uc_nn_pio.converter"] = module
sys.path.insert(0, {root!r})
sys.argv = sys.argv[2:]
runpy.run_module("uc_nn_pio.pio.generate", run_name="__main__")
"""


@dataclass
class Project:
    """A PlatformIO project in a folder of its own."""

    folder: Path
    core: Path
    log: Path
    environment: dict[str, str] = field(default_factory=dict)

    def pio(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PIO, *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`pio run`, which must succeed."""
        done = self.pio("run", *arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def conversions(self) -> int:
        """How often the converter ran so far."""
        return self.log.read_text().split().count("convert") if self.log.exists() else 0

    def processes(self) -> int:
        """How often an interpreter was started for it, probes included."""
        return len(self.log.read_text().split()) if self.log.exists() else 0

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def generated(self, name: str, env: str = "virtual") -> Path:
        return self.folder / ".pio" / "uc_nn" / env / name

    def elf(self, env: str = "virtual") -> Path:
        return self.folder / ".pio" / "build" / env / "firmware.elf"


def on_a_terminal(
    project: Project, *arguments: str, until: str, timeout: float = 60.0, command: tuple[str, ...] = PIO
) -> tuple[str, int]:
    """Run `pio` on a pty until it prints ``until``, a pattern, then Ctrl-C as a user would; returns its output and exit
    code."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=project.folder,
        env=project.environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    output = b""
    deadline = time.monotonic() + timeout
    sent = False
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.2)[0]:
            try:
                data = os.read(master, 4096)
            except OSError:
                break
            if not data:
                break
            output += data
        if not sent and re.search(until.encode(), output):
            os.write(master, b"\x03")
            sent = True
    else:
        os.killpg(process.pid, signal.SIGKILL)
    os.close(master)
    return output.decode("utf-8", "replace"), process.wait()


def clean_environment() -> dict[str, str]:
    """This process' environment without what the user set for PlatformIO or for us."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PLATFORMIO_", "UC_NN_"))}


def pio_environment(core: Path, python: Path | str) -> dict[str, str]:
    """An environment for ``pio``: its core folder, the converter's interpreter, no telemetry, no questions."""
    return {
        **clean_environment(),
        "PLATFORMIO_CORE_DIR": str(core),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "UC_NN_PYTHON": str(python),
        "CI": "true",
    }


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private core folder, filled without any registry."""
    folder = tmp_path_factory.mktemp("core") / "private core"
    setup.set_up(folder, offline=True)
    return folder


@pytest.fixture
def project(tmp_path: Path, core: Path) -> Project:
    """A minimal firmware with one model, in a path with spaces and letters outside ASCII."""
    return make_project(tmp_path / "ein Projekt für µC", core, tmp_path)


def make_project(folder: Path, core: Path, scratch: Path) -> Project:
    log = scratch / "converter.log"
    script = scratch / "stand_in.py"
    script.write_text(STAND_IN.format(log=str(log), python=sys.executable, root=str(ROOT)), encoding="utf-8")
    python = scratch / "python with converter"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    project = Project(folder, core, log, pio_environment(core, python))
    project.write("platformio.ini", INI)
    project.write("models/tiny.yaml", "name: tiny\nweights: tiny.bin\n")
    project.write("models/tiny.bin", "hello")
    project.write("src/start.S", START)
    project.write("src/main.c", MAIN)
    shutil.copy(EXTRA_SCRIPT, folder / "uc_nn.py")
    return project
