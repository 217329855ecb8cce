"""``python tests/pio/make_monitor_picture.py``: docs/monitor.png, a frame as ``pio device monitor`` draws it.

The example's firmware, with pictures, runs on the virtual board in front of its digits; what comes out of the UART goes
through the monitor's own drawing, and Chromium takes the picture of it.
"""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from uc_nn_pio.pio import setup
from uc_nn_pio.pio.platform.monitor.uc_nn_draw import Screen
from uc_nn_pio.pio.project import render_project

ROOT = Path(__file__).parents[2]
FRAMES = 8


def uart_text(folder: Path) -> str:
    """What the firmware prints for the first frames."""
    render_project(folder / "digits", name="digits", board="hifive1_virtual")
    ini = folder / "digits" / "platformio.ini"
    ini.write_text(ini.read_text().replace("; build_flags", "build_flags"))
    setup.set_up(folder / "core", offline=True)
    environment = {**os.environ, "PLATFORMIO_CORE_DIR": str(folder / "core"), "UC_NN_PYTHON": sys.executable}
    command = [sys.executable, "-m", "platformio", "run", "-e", "virtual"]
    subprocess.run(command, cwd=folder / "digits", env=environment, check=True, capture_output=True)
    elf = folder / "digits" / ".pio" / "build" / "virtual" / "firmware.elf"
    scene = ["--scene", folder / "digits" / "models" / "data" / "digits.npz", "--polarity", "paper"]
    command = [sys.executable, "-m", "uc_nn_pio.virtual", "run", elf, "--uart", "stdout", "--frames", FRAMES, *scene]
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


def gray(number: int) -> str:
    """Of the terminal's 24 shades, 232 to 255."""
    level = 8 + 10 * (number - 232)
    return f"rgb({level},{level},{level})"


def page(block: str) -> str:
    """The drawing as HTML."""
    out, style = [], ""
    for code, text in re.findall(r"\x1b\[([0-9;]*)[A-Za-z]|([^\x1b]+)", block):
        if text:
            out.append(f'<span style="{style}">{html.escape(text)}</span>')
        elif found := re.fullmatch(r"38;5;(\d+);48;5;(\d+)", code):
            style = f"color:{gray(int(found[1]))};background:{gray(int(found[2]))}"
        elif code in ("0", "1"):
            style = "font-weight:bold;color:#fff" if code == "1" else ""
    return (
        '<meta charset="utf-8"><body style="margin:0;background:#16181d;color:#c8ccd4"><pre style="margin:14px;'
        f'font:15px/1.0 DejaVu Sans Mono,monospace">{"".join(out)}</pre>'
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # frames come as fast as they are emulated: no rate is shown
        screen, last = Screen(True, clock=lambda: 0.0), ""
        for line in uart_text(folder).splitlines(keepends=True):
            shown = screen.feed(line)
            last = shown if "PREDICTION" in shown else last
        path = folder / "monitor.html"
        path.write_text(page(re.sub(r"\x1b\[\d*[AK]", "", last).replace("\r", "")), encoding="utf-8")
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--window-size=700,290"]
        picture = ROOT / "docs" / "monitor.png"
        subprocess.run([*command, f"--screenshot={picture}", path.as_uri()], check=True, capture_output=True)
        print(f"wrote {picture}")


if __name__ == "__main__":
    main()
