"""The camera at the pins: SCCB by hand, SPI with every way to make a chip select, what registers do to a picture."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from uc_nn_pio.virtual import Scene, VirtualBoard

TABLE_FILE = Path(__file__).parent / "data" / "ov2640_y8_64x64.csv"
ROWS = list(csv.reader(line for line in TABLE_FILE.read_text().splitlines() if not line.startswith("#")))[1:]
TABLE = [(int(register, 16), int(value, 16)) for _, register, value in ROWS]
SQUARE = [(0xFF, 0), (0x51, 0x2C), (0x55, 0x88), (0x53, 200)]  # 1,200 x 1,200 pixels from column 200 on
HOLD, CSDEF, GPIO, AUTO = range(4)
NOISE = np.random.default_rng(7).integers(0, 256, (3, 64, 64), dtype=np.uint8)


@pytest.fixture
def shoot(build):
    """Run ``frame.c`` on a scene; returns the board and the FIFO bytes of each frame read."""

    def go(scene, *, table=(), select=HOLD, drop=5, frames=1, plus=0, **options):
        items = ",".join(f"{{{register},{value}}}" for register, value in [*TABLE, *SQUARE, *table])
        elf = build("frame", TABLE=items, SELECT=select, DROP=drop, FRAMES=frames, PLUS=plus, PIXELS=1)
        board = VirtualBoard(elf, scene=scene, **options)
        board.run(until="done\n", max_seconds=5)
        assert board.text.endswith("done\n"), board.text
        return board, [
            bytes.fromhex(line) for line in re.findall(r"^[0-9a-f]{16,}$|^(?=sum)", board.text, re.M) if line
        ]

    return go


def sensor(run, body, **options):
    """A firmware that has set the sensor's lines up."""
    return run(
        '#include "camera.h"\nint main(void) { pll(31, 1); uart_init(256000000u); sccb_init();'
        + body
        + 'puts_("done\\n"); for (;;) {} }',
        **options,
    )


@pytest.mark.parametrize("select", [HOLD, CSDEF, GPIO])
def test_a_frame_is_eight_dummy_bytes_and_the_scene(shoot, select):
    board, frames = shoot(Scene.of(NOISE, [4, 5, 6]), select=select, frames=2 if select == HOLD else 1)
    assert "version=00000073" in board.text
    assert "length=00001008" in board.text  # 4,104
    for frame, picture in zip(frames, NOISE, strict=False):
        assert frame == bytes(8) + picture.tobytes()
    assert board.frames[0] == {"frame": 0, "item": "image 0", "label": 4}
    assert board.reports.items == []


def test_chip_select_that_rises_after_every_byte_sees_no_camera(build):
    """csmode AUTO lets go after each frame: register and data fall into different commands."""
    source = """#include "camera.h"
      int main(void) { pll(31, 1); uart_init(256000000u); spi_init(31, SELECT_AUTO);
      show("version", chip(0x40, 0)); puts_("done\\n"); for (;;) {} }"""
    board = VirtualBoard(build("auto", source=source))
    board.run(until="done\n", max_seconds=1)
    assert "version=00000000" in board.text


def test_no_camera_no_answer(build):
    source = """#include "camera.h"
      int main(void) { pll(31, 1); uart_init(256000000u); sccb_init(); spi_init(31, SELECT_HOLD);
      show("id", sensor_read(0x0A, 1)); show("write", sensor_write(0xFF, 1)); show("version", chip(0x40, 0));
      GPIO(PUE) |= 1 << 4; show("pulled", chip(0x40, 0)); puts_("done\\n"); for (;;) {} }"""
    board = VirtualBoard(build("absent", source=source), camera=False)
    board.run(until="done\n", max_seconds=1)
    assert board.text == "id=ffffffff\nwrite=00000000\nversion=00000000\npulled=000000ff\ndone\n"


@pytest.mark.parametrize("repeated_start", [0, 1])
def test_ids_are_read_with_and_without_repeated_start(run, repeated_start):
    board = sensor(
        run,
        f"""sensor_write(0xFF, 1); show("h", sensor_read(0x0A, {repeated_start}));
        show("l", sensor_read(0x0B, {repeated_start})); sensor_write(0x0A, 0); show("h", sensor_read(0x0A, 1));
        show("bank", sensor_read(0xFF, 1));""",
    )
    assert board.text == "h=00000026\nl=00000042\nh=00000026\nbank=00000001\ndone\n"


def test_banks_are_apart_and_addresses_of_others_are_not_acknowledged(run):
    board = sensor(
        run,
        """sensor_write(0xFF, 0); sensor_write(0x50, 0x11); sensor_write(0xFF, 1); sensor_write(0x50, 0x22);
        sensor_write(0xFF, 0); show("dsp", sensor_read(0x50, 1));
        sensor_write(0xFF, 1); show("sen", sensor_read(0x50, 1));
        sccb_start(); show("other", sccb_put(0x42)); sccb_stop();
        sccb_start(); show("own", sccb_put(0x60)); sccb_stop();""",
    )
    assert board.text == "dsp=00000011\nsen=00000022\nother=00000000\nown=00000001\ndone\n"


def test_several_bytes_go_to_following_registers(run):
    board = sensor(
        run,
        """sensor_write(0xFF, 0); sccb_start(); sccb_put(0x60); sccb_put(0x51); sccb_put(0xAA);
        sccb_put(0xBB); sccb_stop();
        sccb_start(); sccb_put(0x60); sccb_put(0x51); sccb_start(); sccb_put(0x61);
        show("a", sccb_get(1)); show("b", sccb_get(0)); sccb_stop();""",
    )
    assert board.text == "a=000000aa\nb=000000bb\ndone\n"


def test_nothing_is_acknowledged_during_reset(run):
    board = sensor(
        run,
        """sensor_write(0xFF, 1); sensor_write(0x50, 0x77); show("reset", sensor_write(0x12, 0x80));
        show("now", sensor_write(0xFF, 1)); wait_ticks(3277); show("later", sensor_write(0xFF, 1));
        show("old", sensor_read(0x50, 1));""",
    )
    assert board.text == "reset=00000001\nnow=00000000\nlater=00000001\nold=00000000\ndone\n"


def test_lines_without_pull_up_show_nothing(run):
    board = sensor(run, """GPIO(PUE) = 0; show("ack", sensor_read(0x0A, 1));""")
    assert board.text.startswith("ack=")
    assert board.text != "ack=00000026\ndone\n"


def test_the_first_frames_are_dark_and_settle_in_ten(shoot):
    white = Scene.of(np.full((1, 64, 64), 250, np.uint8))
    _, first = shoot(white, drop=0)
    _, tenth = shoot(white, drop=5)  # each capture that is begun at once takes two of the sensor's frames
    assert 40 < first[0][100] < 120
    assert tenth[0][100] == 250


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([(0xFF, 0), (0x05, 1)], "black"),  # DSP bypassed
        ([(0xFF, 0), (0xE0, 4)], "black"),  # held in reset
        ([(0xFF, 0), (0x7C, 0), (0x7D, 0x40)], "negative"),  # SDE[0] bit 6
        ([(0xFF, 1), (0x04, 0x80)], "mirrored"),
        ([(0xFF, 1), (0x04, 0x40)], "flipped"),
    ],
)
def test_registers_make_the_picture(shoot, table, expected):
    picture = NOISE[0]
    wanted = {
        "black": np.zeros_like(picture),
        "negative": 255 - picture,
        "mirrored": picture[:, ::-1],
        "flipped": picture[::-1],
    }[expected]
    _, frames = shoot(Scene.of(picture), table=table)
    assert frames[0][8:] == wanted.tobytes()


@pytest.mark.parametrize(
    ("table", "pixels_bytes"),
    [
        ([(0xFF, 0), (0x5A, 8), (0x5B, 6)], 32 * 24),
        ([(0xFF, 0), (0xDA, 0x08)], 2 * 64 * 64),  # RGB565
        ([(0xFF, 0), (0x5A, 0)], 0),
    ],
)
def test_a_wrong_size_or_format_gives_a_wrong_length(shoot, table, pixels_bytes):
    board, _ = shoot(Scene.of(NOISE), table=table, drop=0)
    assert f"length={8 + pixels_bytes:08x}" in board.text


def test_the_plus_gives_no_dummy_after_the_burst_command(shoot):
    _, frames = shoot(Scene.of(NOISE), plus=1, module="plus")
    assert frames[0] == bytes(8) + NOISE[0].tobytes()
    _, frames = shoot(Scene.of(NOISE), plus=1, module="mini")
    assert frames[0] == bytes(9) + NOISE[0].tobytes()[:-1]  # one byte late


def test_a_capture_waits_for_a_vsync_and_lasts_until_the_next(run):
    """The sensor runs on its own at 15 frames/s: begun just after a VSYNC, a capture takes two of its frames."""
    board = sensor(
        run,
        """spi_init(31, SELECT_HOLD); capture(); chip(0x84, 1); show("cleared", chip(0x41, 0) & 8); uint32_t t = MTIME;
        capture(); show("at_once", MTIME - t); wait_ticks(1092); t = MTIME; capture(); show("half", MTIME - t);""",
    )
    times = {name: int(value, 16) / 32768 for name, value in re.findall(r"(\w+)=(\w+)", board.text)}
    assert times["cleared"] == 0
    assert abs(times["at_once"] - 2 / 15) < 0.004
    assert abs(times["half"] - 1.5 / 15) < 0.004


def test_pictures_follow_frames_that_were_read(run):
    """Captured and dropped: the picture stays. Read to 7/8, then dropped: it counts. Single reads: the same."""
    fill = ",".join(f"{{{r},{v}}}" for r, v in TABLE)
    scene = Scene.of(np.stack([np.full((64, 64), v, np.uint8) for v in (10, 20, 30)]))
    board = run(
        '#include "camera.h"\nstatic const uint8_t table[][2] = {'
        + fill
        + """};
      static uint32_t take(uint32_t n) { uint32_t v = 0; for (uint32_t i = 0; i < n; i++) v = chip(0x3D, 0); return v; }
      int main(void) { pll(31, 1); uart_init(256000000u); sccb_init(); spi_init(31, SELECT_HOLD);
      for (uint32_t i = 0; i < sizeof table / 2; i++) sensor_write(table[i][0], table[i][1]);
      for (int i = 0; i < 10; i++) capture();
      show("a", take(100)); capture(); show("a", take(4104)); capture(); show("b", take(3700));
      capture(); show("c", take(9)); puts_("done\\n"); for (;;) {} }""",
        scene=scene,
        seconds=4,
    )
    assert board.text == "a=0000000a\na=0000000a\nb=00000014\nc=0000001e\ndone\n"
    assert [record["item"] for record in board.frames] == ["image 0", "image 1"]


def test_a_clock_that_is_too_fast_is_reported(run):
    board = sensor(run, """spi_init(7, SELECT_HOLD); chip(0x40, 0);""")  # 256 MHz / 16
    assert "SCK is 16 MHz" in board.reports.of("camera")[0].message


def test_frames_and_scenes_end_a_run(build):
    items = ",".join(f"{{{register},{value}}}" for register, value in TABLE)
    elf = build("frame", TABLE=items, SELECT=HOLD, DROP=0, FRAMES=9, PLUS=0, PIXELS=0)
    board = VirtualBoard(elf, scene=Scene.of(NOISE, end="stop"))
    result = board.run(max_frames=2, max_seconds=5)
    assert (result.reason, result.frames) == ("frames", 2)
    assert board.text.count("sum=") == 2
    result = board.run(max_seconds=5)
    assert (result.reason, result.frames) == ("scene", 3)
