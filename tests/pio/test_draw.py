"""The monitor's drawing: lines of the demo in, a picture and bars out; and nothing drawn where the terminal cannot."""

from __future__ import annotations

import io
import re
import socket
import threading
import time
from types import SimpleNamespace

import pytest

from uc_nn_pio import cli
from uc_nn_pio.pio.platform.monitor.uc_nn_draw import BAR, Screen, bar, can_draw, half_blocks

LINE = "PREDICTION: 7  20.3 ms  scores 0:-3.00 1:0.50 7:9.25\r\n"
PICTURE = "PICTURE 4 3\r\n0f0f\r\nf0f0\r\n1234\r\n"


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)


def test_bars() -> None:
    shown = plain(Screen(True).feed(LINE)).splitlines()
    assert shown[0] == "PREDICTION: 7  20.3 ms"
    assert [row.split()[0] for row in shown[1:]] == ["0", "1", "7"]
    assert shown[3].count("█") == BAR and shown[3].endswith("100 %") and shown[1].endswith("  0 %")


def test_the_same_in_any_chunks() -> None:
    text = "uc_nn: lenet5 ready\r\n" + PICTURE + LINE + "no camera: absent (-5)\r\n" + LINE
    whole = Screen(True, clock=lambda: 1.0).feed(text)
    for size in (1, 2, 7, 50):
        screen = Screen(True, clock=lambda: 1.0)
        assert "".join(screen.feed(text[at : at + size]) for at in range(0, len(text), size)) == whole
    assert "uc_nn: lenet5 ready" in whole and "no camera: absent (-5)" in whole


def test_a_frame_is_drawn_over_the_one_before() -> None:
    clock = iter([0.0, 0.5, 1.0]).__next__
    screen = Screen(True, clock)
    first, second = screen.feed(LINE), screen.feed(LINE)
    assert "\x1b[4A" not in first and second.startswith("\x1b[4A") and "2.0 frames/s" in second
    screen.feed("error: something\r\n")
    assert not screen.feed(LINE).startswith("\x1b[4A")  # other text is not drawn over


def test_a_picture_stands_beside_the_bars() -> None:
    screen = Screen(True)
    assert screen.feed(PICTURE) == ""
    shown = screen.feed(LINE)
    rows = plain(shown).splitlines()
    assert rows[0].startswith("▀▀▀▀  PREDICTION: 7") and rows[1].startswith("▀▀▀▀   0 ")
    assert rows[2].startswith("       1 ")  # three rows of pixels are two lines
    assert "38;5;232;48;5;255m▀" in shown and "38;5;255;48;5;232m▀" in shown


def test_half_blocks_of_an_odd_height() -> None:
    assert [plain(line) for line in half_blocks(["00", "ff", "0f"])] == ["▀▀", "▀▀"]
    assert half_blocks([]) == []


@pytest.mark.parametrize(("share", "blocks"), [(0, 0), (1, BAR), (0.5, BAR // 2), (2, BAR), (-1, 0)])
def test_a_bar(share: float, blocks: int) -> None:
    assert bar(share).count("█") == blocks and len(bar(share)) == BAR


def test_where_it_cannot_be_drawn_nothing_changes() -> None:
    assert Screen(False).feed(PICTURE + LINE) == PICTURE + LINE
    terminal = SimpleNamespace(isatty=lambda: True, encoding="utf-8")
    assert can_draw(terminal, {"TERM": "xterm"})
    assert not can_draw(io.StringIO(), {"TERM": "xterm"})
    assert not can_draw(terminal, {"TERM": "dumb"})
    assert not can_draw(terminal, {"TERM": "xterm", "NO_COLOR": "1"})
    assert not can_draw(SimpleNamespace(isatty=lambda: True, encoding="latin-1"), {"TERM": "xterm"})


def test_scores_far_apart_and_odd_text() -> None:
    screen = Screen(True)
    shown = plain(screen.feed("PREDICTION: a_b  0.1 ms  scores a_b:99999.00 c:-99999.00\r\n"))
    assert "100 %" in shown and "a_b" in shown
    odd = "PREDICTION: 7  oops\r\nPREDICTION\r\n"
    assert screen.feed(odd) == odd


@pytest.mark.parametrize(
    "cut", ["PICTURE 4 3\r\n0f0f\r\n", "PICTURE 4 99999999999\r\n0f0f\r\nf0f0\r\n", "PICTURE 5 2\r\n"]
)
def test_a_picture_that_breaks_off_swallows_nothing_behind_it(cut: str) -> None:
    """A board reset in the middle of one, or a byte lost on the line."""
    screen = Screen(True)
    text = "uc_nn: lenet5 ready\r\nface\r\n"
    assert screen.feed(cut + text) == text
    assert plain(screen.feed(LINE)).startswith("PREDICTION: 7")  # no half of a picture beside it
    assert plain(screen.feed(PICTURE + LINE)).startswith("▀▀▀▀  PREDICTION: 7")


def test_uc_nn_monitor(capsys: pytest.CaptureFixture[str]) -> None:
    """Over a socket, as of a virtual board; a port that there is not is said."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def board() -> None:
            line, _ = server.accept()
            with line:
                time.sleep(0.5)  # pyserial drops what is there when it opens a port
                line.sendall((PICTURE + LINE).encode())
                time.sleep(2)

        thread = threading.Thread(target=board)
        thread.start()
        port = f"socket://127.0.0.1:{server.getsockname()[1]}"
        assert cli.main(["monitor", port, "--seconds", "2"]) == 0
        thread.join()
    assert capsys.readouterr().out.replace("\r", "") == (PICTURE + LINE).replace("\r", "")  # no terminal here
    assert cli.main(["monitor", "/dev/there-is-none"]) == 2
    assert "cannot open /dev/there-is-none" in capsys.readouterr().err
