"""``uc-nn demo``: ten handwritten digits through the virtual camera, with the real PlatformIO.

``pio run -t upload`` converts the network, builds the firmware and starts it on the virtual board; ``pio device
monitor``, on a terminal of its own (a pty), shows what the board prints. The virtual camera shows ten digits, one a
frame, and notes which; each ``PREDICTION:`` line is compared with that.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from uc_nn_pio.errors import ToolError
from uc_nn_pio.escape import terminal
from uc_nn_pio.pio import setup
from uc_nn_pio.pio.platform.builder import uc_nn_upload
from uc_nn_pio.resources import resources

EXAMPLE = "lenet5_camera"
DIGITS = 10
_PREDICTION = re.compile(r"PREDICTION: (\S+)")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CTRL_C = b"\x03"


@dataclass(frozen=True)
class Verdict:
    """One frame: what the board said, and what the camera showed."""

    said: str
    shown: str

    @property
    def right(self) -> bool:
        return self.said == self.shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--project", type=Path, help=f"the project to build and run (default: the example {EXAMPLE})")
    parser.add_argument("--env", default="virtual", help="its environment with the virtual board (%(default)s)")
    parser.add_argument(
        "--timeout", type=float, default=120.0, metavar="S", help="seconds for the digits (%(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 if every digit was named right, 1 if not."""
    if os.name == "nt":
        raise ToolError("the demo needs a Unix terminal", next_step="pio run -t upload -t monitor shows the same")
    project = find_project(args.project)
    _require_platform()
    with tempfile.TemporaryDirectory(prefix="uc-nn-demo-") as folder:
        log = Path(folder) / "frames.jsonl"
        state = project / ".pio" / "uc_nn" / args.env / "virtual"
        try:
            upload(project, args.env, log)
            verdicts = watch(project, args.env, log, args.timeout)
        finally:
            uc_nn_upload.stop_virtual(str(state))
    return summary(verdicts)


def find_project(wanted: Path | None) -> Path:
    """The project to run. An installed package is not built in: its example is copied into the current folder first."""
    if wanted is not None:
        if not (wanted / "platformio.ini").is_file():
            raise ToolError("there is no PlatformIO project", where=str(wanted), next_step="uc-nn new makes one")
        return wanted.resolve()
    example = resources("examples") / EXAMPLE
    if (
        (example / "platformio.ini").is_file()
        and os.access(example, os.W_OK)
        and example.parent.parent.name != "_resources"
    ):
        return example
    from uc_nn_pio.pio.project import render_project

    copy = Path.cwd() / "uc-nn-demo"
    if not (copy / "platformio.ini").is_file():
        render_project(copy, name=copy.name, board="hifive1_virtual", example=EXAMPLE)
        print(f"made the project {copy}")
    return copy


def upload(project: Path, env: str, log: Path) -> None:
    """``pio run -t upload``: convert, build, start the virtual board.

    Raises:
        ToolError: it failed; PlatformIO's own text has been shown.
    """
    command = _pio("run", "-d", str(project), "-e", env, "-t", "upload")
    print(f"$ pio run -e {env} -t upload", flush=True)
    environment = {**_environment(), "UC_NN_VIRTUAL_LOG": str(log)}
    if subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False).returncode:
        raise ToolError("pio run failed", where=str(project), next_step="the reason stands above")


def watch(project: Path, env: str, log: Path, timeout: float) -> list[Verdict]:
    """``pio device monitor`` on a pty, until ten predictions were seen or the time is up."""
    print(f"$ pio device monitor -e {env}", flush=True)
    verdicts: list[Verdict] = []
    for line in _monitor_lines(_pio("device", "monitor", "-d", str(project), "-e", env), timeout):
        text = terminal(_ESCAPES.sub("", line))
        found = _PREDICTION.match(text)
        if found is None:
            print(text, flush=True)
            continue
        verdict = Verdict(found.group(1), _shown(log, len(verdicts)))
        verdicts.append(verdict)
        mark = "right" if verdict.right else f"WRONG, the camera showed {verdict.shown}"
        print(f"{text}   <- {mark}", flush=True)
        if len(verdicts) == DIGITS:
            break
    return verdicts


def summary(verdicts: list[Verdict]) -> int:
    """Say how many were right; returns the exit code."""
    right = sum(verdict.right for verdict in verdicts)
    if len(verdicts) < DIGITS:
        print(f"only {len(verdicts)} of {DIGITS} digits came in time, {right} right", file=sys.stderr)
        return 1
    print(f"{right} of {DIGITS} right")
    return 0 if right == DIGITS else 1


def _shown(log: Path, index: int) -> str:
    """The label of the frame that the firmware read as number ``index``, from the virtual camera's log."""
    try:
        records = map(json.loads, log.read_text(encoding="utf-8").splitlines())
        return str([record for record in records if "frame" in record][index]["label"])
    except (OSError, IndexError, KeyError, ValueError):
        return "nothing that was logged"


def _monitor_lines(command: list[str], timeout: float) -> Iterator[str]:
    """Run a command on a pty and yield its lines; the process is gone when the generator is."""
    import pty

    master, slave = pty.openpty()
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=_environment(), close_fds=True, start_new_session=True
    )
    os.close(slave)
    deadline = time.monotonic() + timeout
    pending = b""
    try:
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([master], [], [], left)[0]:
                break
            try:
                data = os.read(master, 4096)
            except OSError:  # Linux's way to say that the other end is closed
                data = b""
            if not data:
                break
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                yield line.decode("utf-8", "replace").rstrip("\r")
    finally:
        _end(process, master)


def _end(process: subprocess.Popen[bytes], master: int) -> None:
    """Leave the monitor as a user would, with Ctrl-C; insist if it does not go."""
    try:
        os.write(master, _CTRL_C)
        process.wait(2)
    except (OSError, subprocess.TimeoutExpired):
        pass
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(master)


def _require_platform() -> None:
    core = setup.default_core_dir().absolute()
    if not (core / "platforms" / "uc_nn" / "platform.json").is_file():
        raise ToolError(
            "PlatformIO does not know platform uc_nn yet",
            where=str(core),
            next_step="run uc-nn setup first",
        )


def _pio(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "platformio", *arguments]


def _environment() -> dict[str, str]:
    return {**os.environ, "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no", "UC_NN_PYTHON": sys.executable}
