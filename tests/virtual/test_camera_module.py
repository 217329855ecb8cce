"""The camera module's chips by their registers: geometry, formats, frame clock, FIFO. No CPU: registers and a clock."""

import itertools

import numpy as np
import pytest
from PIL import Image

from tests.virtual.test_camera import SQUARE, TABLE
from uc_nn_pio.virtual.camera.arduchip import ArduChip
from uc_nn_pio.virtual.camera.ov2640 import Ov2640
from uc_nn_pio.virtual.clock import Clock
from uc_nn_pio.virtual.reports import Reports
from uc_nn_pio.virtual.scene import Player, Scene

MHZ = 1_000_000
LUMA = [255, 226, 179, 150, 105, 76, 29, 0]  # of the full colours, ITU-R BT.601


class Module:
    """A module in front of a scene, its registers, and a clock of 1 MHz that runs when told."""

    def __init__(self, pixels: np.ndarray, module: str = "mini") -> None:
        self.clock = Clock(core_hz=MHZ)
        self.reports = Reports(self.clock.seconds, lambda: "test")
        player = Player(Scene.of(pixels))
        self.sensor = Ov2640(self.clock, self.reports, lambda *view: player.see(self.clock.seconds(), *view))
        self.chip = ArduChip(self.clock, self.reports, self.sensor, module)

    def wait(self, seconds: float) -> None:
        self.clock.sync(self.clock.now + round(seconds * MHZ))

    def set_up(self, *tables):
        for register, value in [row for table in (TABLE, *tables) for row in table]:
            self.sensor.write_register(register, value)
        self.wait(1)  # exposure settles
        return self

    def command(self, *out: int, sck_hz: float = 4e6, mode: int = 0) -> list[int]:
        """What comes back for these bytes in one chip select, the first left out."""
        self.chip.select(True)
        back = [self.chip.exchange(byte, sck_hz, mode) for byte in out]
        self.chip.select(False)
        return back[1:]

    def capture(self) -> None:
        self.command(0x84, 1)
        self.command(0x84, 2)
        self.wait(0.2)

    def length(self) -> int:
        return sum(self.command(0x42 + i, 0)[0] << 8 * i for i in range(3))

    def frame(self, shape=None, dtype="u1") -> np.ndarray:
        self.capture()
        data = bytes(self.command(0x3C, *bytes(self.length() + 1)))[1:]
        assert data[:8] == bytes(8)
        found = np.frombuffer(data[8:], dtype)
        return found if shape is None else found.reshape(shape)

    @property
    def remarks(self) -> str:
        return "\n".join(report.message for report in self.reports.items)


def size(width: int, height: int) -> list[tuple[int, int]]:
    w, h = width // 4, height // 4
    return [(0xFF, 0), (0x5A, w & 0xFF), (0x5B, h & 0xFF), (0x5C, (h >> 8 & 1) << 2 | w >> 8)]


def cut(left: int, top: int, width: int, height: int) -> list[tuple[int, int]]:
    """HSIZE, VSIZE in units of 4 pixels, XOFF, YOFF in pixels; the high bits in 0x55 and 0x57."""
    w, h = width // 4, height // 4
    high = (h >> 8) << 7 | (top >> 8) << 4 | (w >> 8 & 1) << 3 | left >> 8
    low = [(0x51, w & 0xFF), (0x52, h & 0xFF), (0x53, left & 0xFF), (0x54, top & 0xFF)]
    return [(0xFF, 0), *low, (0x55, high), (0x57, (w >> 9) << 7)]


def gray(value: int) -> np.ndarray:
    return np.full((3, 4), value, np.uint8)


def ramp(width=320, height=240) -> np.ndarray:
    """4:3; brighter to the right, and the lower half 60 levels brighter."""
    picture = np.tile(np.linspace(0, 180, width), (height, 1))
    picture[height // 2 :] += 60
    return picture.astype(np.uint8)


def close(found: np.ndarray, expected: np.ndarray, levels: int = 2) -> bool:
    """But for the outermost pixels, to which the picture beside a window's edge gives its share."""
    inner = (slice(1, -1), slice(1, -1))
    return np.abs(found[inner].astype(int) - expected[inner].astype(int)).max() <= levels


def resized(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))


# Geometry -----------------------------------------------------------------------------------------------------------


def test_without_a_crop_the_whole_field_is_squeezed():
    module = Module(ramp()).set_up()
    assert close(module.frame((64, 64)), resized(ramp(), 64, 64))
    assert module.remarks == ""


def test_the_square_is_the_middle_of_the_field():
    module = Module(ramp()).set_up(SQUARE)
    assert close(module.frame((64, 64)), resized(ramp()[:, 40:280].copy(), 64, 64))
    assert module.remarks == ""


@pytest.mark.parametrize("left", [0, 400, 800])
@pytest.mark.parametrize("top", [0, 600])
def test_offsets_move_the_window(left, top):
    module = Module(ramp()).set_up(cut(left, top, 800, 600), size(80, 60))
    part = ramp()[top // 5 : top // 5 + 120, left // 5 : left // 5 + 160].copy()
    assert close(module.frame((60, 80)), resized(part, 80, 60))


def test_a_window_beyond_the_sensor_is_black_there():
    module = Module(gray(200)).set_up(cut(800, 600, 1600, 1200), size(64, 64))
    found = module.frame((64, 64))
    assert (found[:32, :32] == 200).all()
    assert found[32:].max() == found[:, 32:].max() == 0
    assert "reaches beyond the sensor's 1600 x 1200 pixels" in module.remarks


def test_sizes_over_1023_use_the_high_bits_and_may_overflow_the_fifo():
    """384 KiB in the first Mini 2MP, 8 MiB in the Plus."""
    uxga = [*size(1600, 1200), (0x50, 0)]
    plus = Module(gray(90), "plus").set_up(uxga)
    plus.capture()
    assert plus.length() == 8 + 1600 * 1200
    mini = Module(gray(90)).set_up(uxga)
    mini.capture()
    assert mini.length() == 384 * 1024
    assert "a frame of 1920000 bytes: the FIFO holds 393216" in mini.remarks


def test_svga_and_cif_see_the_same_field_with_fewer_pixels():
    svga = [(0xFF, 1), (0x12, 0x40), (0x3D, 0x38), *cut(0, 0, 800, 600), (0xC0, 100), (0xC1, 75)]
    cif = [(0xFF, 1), (0x12, 0x20), (0x3D, 0x3C), *cut(0, 0, 400, 296), (0xC0, 50), (0xC1, 37)]
    for table, rows in ((svga, 240), (cif, 237)):  # CIF has 296 of 300 rows
        module = Module(ramp()).set_up(table, [(0x50, 0x80)])
        assert close(module.frame((64, 64)), resized(ramp()[:rows], 64, 64))
        assert module.remarks == ""


def test_the_dividers_throw_detail_away_that_the_zoom_cannot_find():
    noise = np.random.default_rng(1).integers(0, 256, (1200, 1600), dtype=np.uint8)
    sharp = Module(noise).set_up(cut(0, 0, 128, 128), [(0x50, 0x80)])
    coarse = Module(noise).set_up(cut(0, 0, 128, 128), [(0x50, 0x80 | 2 << 3 | 2)])  # 32 x 32 are left
    assert coarse.frame((64, 64)).std() < 0.5 * sharp.frame((64, 64)).std()
    assert "32 x 32 pixels come to it, 64 x 64 are wanted" in coarse.remarks
    assert sharp.remarks == ""


@pytest.mark.parametrize(
    ("table", "remark"),
    [
        ([(0xFF, 0), (0xC0, 100), (0xC1, 75)], "say 800 x 600, the sensor gives 1600 x 1200"),
        ([(0xFF, 0), (0x86, 0x1D)], "the zoom is off"),
        ([(0xFF, 1), (0x12, 0x10)], "COM7[6:4]"),
        ([(0xFF, 0), (0xDA, 0x10)], "JPEG"),
        ([(0xFF, 0), (0xDA, 0x04)], "raw"),
        ([(0xFF, 0), (0x7C, 0), (0x7D, 0x18)], "SDE[0] = 0x18"),
    ],
)
def test_what_does_not_fit_or_is_not_modelled_is_remarked(table, remark):
    module = Module(gray(90)).set_up(table)
    module.frame()
    assert remark in module.remarks
    assert len(module.reports.items) == 1


@pytest.mark.parametrize("table", [[(0xFF, 0), (0x5B, 0)], [(0xFF, 0), (0x51, 0), (0x55, 0x80)]])
def test_without_a_size_or_a_window_there_are_no_pixels(table):
    module = Module(gray(90)).set_up(table)
    module.capture()
    assert module.length() == 8
    assert "no pixels" in module.remarks


def test_mirror_and_flip_turn_the_field_not_the_window():
    left = cut(0, 0, 800, 600)
    plain = Module(ramp()).set_up(cut(800, 600, 800, 600), size(64, 64)).frame((64, 64))
    turned = Module(ramp()).set_up(left, size(64, 64), [(0xFF, 1), (0x04, 0xE8)]).frame((64, 64))
    assert np.array_equal(turned, plain[::-1, ::-1])


# Formats ------------------------------------------------------------------------------------------------------------

RED = np.full((1, 3, 4, 3), (255, 0, 0), np.uint8)


@pytest.mark.parametrize(
    ("mode", "ctrl0", "expected"),
    [
        (0x40, 0x0C, [76] * 4),  # Y8
        (0x08, 0x0C, [0xF8, 0x00] * 2),  # RGB565, high byte first
        (0x09, 0x0C, [0x00, 0xF8] * 2),  # low byte first
        (0x00, 0x0C, [76, 85, 76, 255]),  # YUYV
        (0x01, 0x0C, [85, 76, 255, 76]),  # UYVY
        (0x00, 0x1C, [76, 255, 76, 85]),  # YVYU
        (0x01, 0x1C, [255, 76, 85, 76]),  # VYUY
    ],
)
def test_red_in_every_format(mode, ctrl0, expected):
    """IMAGE_MODE bits 6, 3:2 and 0, CTRL0 bit 4; ITU-R BT.601: Y 76, U 128 - 0.564 Y, V 128 + 0.713 (R - Y)."""
    module = Module(RED).set_up(SQUARE, [(0xFF, 0), (0xDA, mode), (0xC2, ctrl0)])
    found = module.frame()
    assert len(found) == (4096 if mode == 0x40 else 8192)
    assert found[:4].tolist() == found[-4:].tolist() == expected


@pytest.mark.parametrize(("level", "word"), [(0, 0), (255, 0xFFFF), (128, 0x8410), (7, 0x0020)])
def test_gray_in_rgb565(level, word):
    module = Module(gray(level)).set_up([(0xFF, 0), (0xDA, 0x08)])
    assert set(module.frame(dtype=">u2").tolist()) == {word}


def test_colour_bars_are_eight_and_need_no_light():
    module = Module(gray(0)).set_up([(0xFF, 1), (0x12, 0x06)])
    assert (module.frame((64, 64)) == np.repeat(LUMA, 8)).all()
    module = Module(gray(0)).set_up([(0xFF, 1), (0x12, 0x06)], SQUARE)
    assert module.frame((64, 64))[0, [0, 15, 63]].tolist() == [226, 179, 29]  # columns 200 to 1,400: bars 1 to 6


def test_negative_needs_the_effects_switched_on():
    negative = [(0xFF, 0), (0x7C, 0), (0x7D, 0x40)]
    assert (Module(gray(90)).set_up(negative).frame() == 165).all()
    assert (Module(gray(90)).set_up(negative, [(0x86, 0x2D)]).frame() == 90).all()  # CTRL2 without SDE
    assert Module(gray(90)).set_up(negative).sensor.read_register(0x7D) == 0  # the pointer has gone on to SDE[1]


# Time ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "clkrc", "pll", "dummy_lines", "rate"),
    [
        (0x00, 0, 0x34, 0, 15),  # data sheet, table 1
        (0x00, 1, 0x34, 0, 7.5),
        (0x00, 5, 0x34, 0, 2.5),
        (0x00, 11, 0x34, 0, 1.25),
        (0x00, 1, 0x34, 0x3F, 7.14),  # application notes 1.04, section 3
        (0x40, 0, 0x38, 0, 30),
        (0x40, 1, 0x38, 0, 15),
        (0x40, 0, 0x38, 0x87, 24.99),
        (0x40, 1, 0x38, 0x22, 14.28),
    ],
)
def test_frame_rates_of_the_data_sheet_and_the_application_notes(mode, clkrc, pll, dummy_lines, rate):
    module = Module(gray(0))
    table = [(0xFF, 1), (0x12, mode), (0x11, clkrc), (0x3D, pll), (0x46, dummy_lines), (0x47, 0)]
    for register, value in table:
        module.sensor.write_register(register, value)
    assert abs(1e12 / module.sensor.frame_ps() / rate - 1) < 0.002
    assert module.remarks == ""


def test_the_sensor_is_never_faster_than_the_data_sheet():
    module = Module(gray(0))
    for register, value in [(0xFF, 1), (0x11, 0x80)]:  # the doubler
        module.sensor.write_register(register, value)
    assert module.sensor.frame_ps() == 10**12 // 15
    assert "ask for 30 frames/s; in this mode it gives 15" in module.remarks


def test_these_settings_give_14_6_frames():
    """1,922 clocks a line, 1,248 lines and 34 dummy ones, 36 MHz."""
    module = Module(gray(0)).set_up()
    assert abs(module.sensor.frame_ps() / 1e12 - 1922 * (1248 + 34) / 36e6) < 1e-6


def test_in_standby_no_capture_ends():
    module = Module(gray(90)).set_up([(0xFF, 1), (0x09, 0x12)])
    module.capture()
    module.wait(5)
    assert module.command(0x41, 0) == [0]
    module.sensor.write_register(0x09, 0x02)
    module.wait(0.2)
    assert module.command(0x41, 0)[0] & 8
    assert module.length() == 4104


def test_vsync_is_seen_in_the_status_register():
    """Four lines of 1,922 clocks at 36 MHz: 0.21 ms of each frame."""
    module = Module(gray(0))
    seen = []
    for _ in range(20_000):
        seen.append(module.command(0x41, 0)[0] & 1)
        module.wait(10e-6)
    rises = [i for i in range(1, len(seen)) if seen[i] > seen[i - 1]]
    assert {(b - a) // 10 for a, b in itertools.pairwise(rises)} == {666}
    assert 20 <= sum(seen[rises[0] : rises[0] + 6000]) <= 23


def test_a_reset_under_a_capture_leaves_it_without_a_picture():
    module = Module(gray(90)).set_up()
    module.command(0x84, 2)
    module.wait(0.01)
    module.sensor.write_register(0xFF, 1)
    module.sensor.write_register(0x12, 0x80)
    assert not module.sensor.acknowledges()
    module.wait(0.3)
    assert module.sensor.acknowledges()
    assert module.command(0x41, 0)[0] & 8
    assert module.length() == 8


# ArduChip -----------------------------------------------------------------------------------------------------------


def counting() -> np.ndarray:
    return np.arange(64 * 64).reshape(64, 64).astype(np.uint8)


@pytest.mark.parametrize(("module", "dummy"), [("mini", 1), ("plus", 0)])
def test_bursts_go_on_where_the_last_ended(module, dummy):
    module = Module(counting(), module).set_up(SQUARE)
    module.capture()
    first = module.command(0x3C, *bytes(dummy + 8 + 3))
    second = module.command(0x3C, *bytes(dummy + 3))
    assert first[dummy:] == [0] * 8 + [0, 1, 2]
    assert second[dummy:] == [3, 4, 5]


def test_single_reads_pop_one_byte_each_and_the_read_pointer_can_go_back():
    module = Module(counting()).set_up(SQUARE)
    module.capture()
    singles = [module.command(0x3D, 0)[0] for _ in range(11)]
    assert singles == [0] * 8 + [0, 1, 2]
    module.command(0x84, 0x10)
    assert [module.command(0x3D, 0)[0] for _ in range(11)] == singles
    assert module.length() == 4104


def test_the_end_of_the_fifo_is_remarked():
    module = Module(counting()).set_up(SQUARE)
    module.frame()
    assert module.command(0x3D, 0) == [0]
    assert "past its end" in module.remarks


def test_flags_follow_clear_start_and_done():
    module = Module(gray(1)).set_up()
    module.capture()
    assert module.command(0x41, 0)[0] & 8
    module.command(0x84, 1)
    assert module.command(0x41, 0)[0] & 8 == 0
    module.command(0x84, 2)
    assert module.length() == 0
    module.wait(0.2)
    assert module.command(0x41, 0)[0] & 8


def test_registers_keep_what_they_are_given():
    module = Module(gray(0))
    assert module.command(0x40, 0) == [0x73]
    for register, value in ((0x00, 0x55), (0x00, 0xAA), (0x02, 0x01), (0x03, 0x02), (0x05, 0x03), (0x06, 0x07)):
        module.command(0x80 | register, value)
        assert module.command(register, 0) == [value]
    assert module.command(0x45, 0) == [0x03]  # of GPIO, what is an output
    module.command(0x80 | 0x40, 0x11)
    assert module.command(0x40, 0) == [0x73]  # read-only


def test_0x07_holds_the_chip_in_reset_until_it_is_cleared():
    module = Module(counting()).set_up(SQUARE)
    module.capture()
    module.command(0x80, 0x55)
    module.command(0x87, 0x80)
    assert module.command(0x00, 0) == [0]
    assert module.length() == 0
    module.command(0x84, 2)
    module.wait(0.3)
    assert module.command(0x41, 0)[0] & 8 == 0
    assert "held in reset" in module.remarks
    module.command(0x87, 0x00)
    assert module.frame((64, 64))[0, 5] == 5


def test_several_frames_in_one_capture_are_not_modelled():
    module = Module(gray(0)).set_up()
    module.command(0x81, 3)
    assert "several frames" in module.remarks


@pytest.mark.parametrize(("mode", "answer"), [(0, 0x73), (1, 0xFF), (2, 0xFF), (3, 0x73)])
def test_spi_modes(mode, answer):
    """Mode 3 samples at the same edges as mode 0, which the chip wants."""
    module = Module(gray(0))
    assert module.command(0x40, 0, mode=mode)[-1] == answer
    assert module.remarks == ("" if mode == 0 else f"SPI mode {mode}; the ArduChip takes mode 0")


def test_8_mhz_are_allowed_and_no_more():
    module = Module(gray(0))
    module.command(0x40, 0, sck_hz=8e6)
    assert module.remarks == ""
    module.command(0x40, 0, sck_hz=8.8e6)
    assert module.remarks == "SCK is 8.8 MHz; the ArduChip takes 8 MHz"


def test_without_chip_select_there_is_no_answer():
    module = Module(gray(0))
    assert module.chip.exchange(0x40, 4e6, 0) is None
