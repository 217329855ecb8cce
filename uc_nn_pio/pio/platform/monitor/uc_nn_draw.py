"""Draws what the demo prints: a picture in half blocks beside a bar for each class, in place of the lines.

A firmware prints ``PREDICTION: <label>  <ms> ms  scores <label>:<value> ...`` and, if it was built with
``-D UC_NN_PICTURES=N``, in front of every N-th of these ``PICTURE <width> <height>`` and a line of hexadecimal digits a
row, one digit a pixel. Everything else passes unchanged. Standard library only: PlatformIO's own Python runs it.
"""

# ruff: noqa: B905  PlatformIO's Python may be older than zip's strict

import math
import os
import re
import sys
import time

PREDICTION = re.compile(r"PREDICTION: (\S+)\s+([\d.]+) ms\s+scores((?: \S+:-?[\d.]+)+)\s*$")
PICTURE = re.compile(r"PICTURE (\d+) (\d+)\s*$")
ROW = re.compile(r"[0-9A-Fa-f]+$")
BAR = 24
EIGHTHS = " ▏▎▍▌▋▊▉█"
RATE_OVER = 8
"""Frames that the rate is a mean of."""


def can_draw(stream=None, environment=None):
    """Whether a stream is a terminal that knows cursor movements and these characters."""
    stream = sys.stdout if stream is None else stream
    environment = os.environ if environment is None else environment
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
    return bool(
        getattr(stream, "isatty", lambda: False)()
        and environment.get("TERM", "dumb" if os.name != "nt" else "windows") != "dumb"
        and not environment.get("NO_COLOR")
        and encoding.startswith("utf")
    )


class Screen:
    """Text of the board in, text for the terminal out, chunk by chunk."""

    def __init__(self, drawing, clock=time.monotonic):
        self.drawing, self.clock = drawing, clock
        self.rest, self.times = "", []
        self.rows, self.width, self.wanted, self.picture = [], 0, 0, []
        self.height = 0  # lines of the last drawing, while nothing was printed since

    def feed(self, text):
        """What to print for ``text``; an unfinished line waits for its end."""
        if not self.drawing:
            return text
        *lines, self.rest = (self.rest + text).split("\n")
        return "".join(self.line(line.rstrip("\r")) for line in lines)

    def line(self, line):
        row = line.strip()
        if self.wanted and len(row) == self.width and ROW.match(row):
            self.rows.append(row)
            self.wanted -= 1
            if not self.wanted:
                self.picture = self.rows
            return ""
        self.wanted = 0  # a board that was reset in its picture, or noise: what is no row is text
        if found := PICTURE.match(line):
            self.rows, self.width, self.wanted = [], int(found[1]), int(found[2])
            return ""
        found = PREDICTION.match(line)
        if not found:
            self.height = 0
            return line + "\r\n"
        self.times = [*self.times, self.clock()][-RATE_OVER - 1 :]
        block = self.block(found[1], float(found[2]), found[3].split())
        up = f"\x1b[{self.height}A" if self.height else ""
        self.height = len(block)
        return up + "".join(f"\x1b[2K{row}\r\n" for row in block)

    def block(self, best, milliseconds, scores):
        pairs = [(label, float(value)) for label, value in (score.rsplit(":", 1) for score in scores)]
        top = max(value for _, value in pairs)
        shares = [math.exp(max(value - top, -60)) for _, value in pairs]
        total, width = sum(shares), max(len(label) for label, _ in pairs)
        bars = []
        for (label, _), share in zip(pairs, shares):
            text = f" {label:>{width}} {bar(share / total)} {100 * share / total:3.0f} %"
            bars.append(f"\x1b[1m{text}\x1b[0m" if label == best else text)
        picture = half_blocks(self.picture)
        size = max((len(row) for row in self.picture), default=0)
        head = f"PREDICTION: {best}  {milliseconds:g} ms{self.rate()}"
        side = [head, *bars]
        count = max(len(picture), len(side))
        picture += [" " * size] * (count - len(picture))
        side += [""] * (count - len(side))
        return [f"{left}  {right}" if size else right for left, right in zip(picture, side)]

    def rate(self):
        if len(self.times) < 2 or self.times[-1] <= self.times[0]:
            return ""
        return f"  {(len(self.times) - 1) / (self.times[-1] - self.times[0]):.1f} frames/s"


def bar(share):
    """A bar of :data:`BAR` characters, in eighths of one."""
    eighths = round(max(0.0, min(1.0, share)) * BAR * 8)
    full, part = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[part] if part else "")).ljust(BAR)


def half_blocks(rows):
    """Rows of hexadecimal digits as lines of half blocks, two rows each, in 24 shades of gray."""

    def shade(digit):
        return 232 + round(int(digit, 16) / 15 * 23) if digit in "0123456789abcdefABCDEF" else 232

    lines = []
    for top, bottom in zip(rows[::2], [*rows[1::2], "0" * len(rows[0])] if rows else []):
        cells = (f"\x1b[38;5;{shade(a)};48;5;{shade(b)}m▀" for a, b in zip(top, bottom))
        lines.append("".join(cells) + "\x1b[0m")
    return lines
