"""OV2640: two register banks, the frame clock and the picture that they select (docs/virtual-board.md has the sources).

A picture appears only as the registers say: none during reset, in standby or without a size; black while the DSP is
bypassed (0x05) or held in reset (0xE0). Exposure starts dark and settles over ten frames (chosen).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from uc_nn_pio.virtual.camera import pixels as formats
from uc_nn_pio.virtual.clock import PS_PER_SECOND, Clock
from uc_nn_pio.virtual.reports import Reports
from uc_nn_pio.virtual.scene import Window

DSP, SENSOR = 0, 1
BANK_SELECT = 0xFF
ADDRESS = 0x30
IDS = {0x0A: 0x26, 0x0B: 0x42, 0x1C: 0x7F, 0x1D: 0xA2}  # product, then manufacturer
RESET_PS = 50 * PS_PER_SECOND // 1000  # chosen; firmware is told to wait 100 ms
SETTLE_FRAMES = 10  # chosen
FIRST_EXPOSURE = 77  # of 256 (chosen)
FRAME_PS = PS_PER_SECOND // 15  # the shortest in UXGA (data sheet, table 1)
XVCLK_HZ = 24_000_000  # the module's oscillator

# DSP bank
R_BYPASS, CTRLI, HSIZE, VSIZE, XOFFL, YOFFL, VHYX, TEST = 0x05, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x57
OUT_W, OUT_H, OUT_HIGH = 0x5A, 0x5B, 0x5C  # ZMOW, ZMOH, ZMHH
SDE_ADDRESS, SDE_DATA = 0x7C, 0x7D
CTRL2, SIZEL, HSIZE8, VSIZE8, CTRL0, IMAGE_MODE, REG_RESET = 0x86, 0x8C, 0xC0, 0xC1, 0xC2, 0xDA, 0xE0
SDE_EN, DCW_EN = 0x10, 0x20  # CTRL2
STOPPED = 0x07  # REG_RESET: DVP, IPU and CIF; its other bits do not touch the picture
NEGATIVE = 0x40  # SDE[0]
# sensor bank
REG04, COM2, CLKRC, COM7 = 0x04, 0x09, 0x11, 0x12
REG2A, FRARL, PLL, FLL, FLH = 0x2A, 0x2B, 0x3D, 0x46, 0x47
MIRROR, FLIP, STANDBY, DOUBLER = 0x80, 0x40, 0x10, 0x80
RESET, COLOR_BAR = 0x80, 0x02  # COM7
TIMING = (COM2, CLKRC, COM7, REG2A, FRARL, PLL, FLL, FLH)

VSYNC_LINES = 4

MODES = {0x00: (1, 1600, 1200), 0x40: (2, 800, 600), 0x20: (4, 400, 296)}
"""COM7[6:4]: field pixels a sensor pixel, width, height (UXGA, SVGA, CIF)."""
LINES = {0x00: (1922, 1248, 15), 0x40: (1190, 672, 30), 0x20: (595, 336, 60)}
"""Clocks a line, lines a frame, most frames/s (data sheet, figures 15, 16, key figures; timing of CIF: chosen)."""


class Ov2640:
    """The sensor. ``see(window, (width, height))`` gives a part of its field of view as (H, W) or (H, W, 3) uint8."""

    def __init__(self, clock: Clock, reports: Reports, see: Callable[[Window, tuple[int, int]], np.ndarray]) -> None:
        self._clock = clock
        self._reports = reports
        self._see = see
        self._busy_until_ps = 0
        self.on_timing: Callable[[], None] = lambda: None
        """Called when the frames' times have changed."""
        self._power_up()

    def _power_up(self) -> None:
        self._bank = DSP
        self._registers = [bytearray(256), bytearray(256)]
        self._registers[DSP][R_BYPASS] = 1
        self._registers[DSP][REG_RESET] = 0x04
        self._registers[SENSOR][PLL] = 0x34  # chosen: gives the data sheet's 15 frames/s
        for register, value in IDS.items():
            self._registers[SENSOR][register] = value
        self._sde = bytearray(32)
        self._running_since_ps = self._frames_from_ps = self._clock.ps()

    def power_up(self) -> None:
        """The supply comes back: registers as after a reset, no exposure yet."""
        self._busy_until_ps = 0
        self._power_up()
        self.on_timing()

    # -- SCCB ------------------------------------------------------------------------------------------------------

    def acknowledges(self) -> bool:
        """Not while COM7's reset runs."""
        return self._clock.ps() >= self._busy_until_ps

    def read_register(self, register: int) -> int:
        """A register of the selected bank."""
        if register == BANK_SELECT:
            return self._bank
        if self._bank == DSP and register == SDE_DATA:
            return self._sde[self._registers[DSP][SDE_ADDRESS] % 32]
        return self._registers[self._bank][register]

    def write_register(self, register: int, value: int) -> None:
        """Set a register of the selected bank; ids are read-only."""
        if register == BANK_SELECT:
            self._bank = value & 1
            return
        if self._bank == SENSOR and register in IDS:
            return
        if self._bank == SENSOR and register == COM7 and value & RESET:
            self._reset()
            return
        was_running = self.running()
        if self._bank == DSP and register == SDE_DATA:
            pointer = self._registers[DSP][SDE_ADDRESS]
            self._sde[pointer % 32] = value
            self._registers[DSP][SDE_ADDRESS] = pointer + 1 & 0xFF
        else:
            changed = self._registers[self._bank][register] != value
            self._registers[self._bank][register] = value
            if changed and self._bank == SENSOR and register in TIMING:
                self._frames_from_ps = self._clock.ps()
                self.on_timing()
        if self.running() and not was_running:
            self._running_since_ps = self._clock.ps()

    def _reset(self) -> None:
        self._power_up()
        self._busy_until_ps = self._frames_from_ps = self._clock.ps() + RESET_PS
        self.on_timing()

    # -- time ------------------------------------------------------------------------------------------------------

    def frame_ps(self) -> int:
        """Picoseconds from one VSYNC to the next, as CLKRC, the PLL (0x3D), dummy pixels and dummy lines make it."""
        sensor = self._registers[SENSOR]
        clocks, _, fastest = LINES[self._mode()]
        clocks += sensor[REG2A] >> 4 << 8 | sensor[FRARL]
        eighths_hz = XVCLK_HZ * (0x40 - (sensor[PLL] & 0x3F)) * (2 if sensor[CLKRC] & DOUBLER else 1)
        frame = clocks * self._lines() * 8 * ((sensor[CLKRC] & 0x3F) + 1) * PS_PER_SECOND // eighths_hz
        limit = PS_PER_SECOND // fastest
        if frame < limit * 99 // 100:
            self._report(
                f"its clock registers ask for {PS_PER_SECOND / frame:.3g} frames/s; in this mode it gives {fastest}"
            )
        return max(frame, limit)

    def _lines(self) -> int:
        sensor = self._registers[SENSOR]
        return LINES[self._mode()][1] + (sensor[FLH] << 8 | sensor[FLL])

    def next_vsync_ps(self) -> int | None:
        """When the next frame begins; never in standby."""
        if self._registers[SENSOR][COM2] & STANDBY:
            return None
        now, frame = self._clock.ps(), self.frame_ps()
        if now < self._frames_from_ps:
            return self._frames_from_ps
        return self._frames_from_ps + ((now - self._frames_from_ps) // frame + 1) * frame

    def vsync(self) -> bool:
        """The VSYNC pin: high for the first four lines of a frame."""
        since = self._clock.ps() - self._frames_from_ps
        if since < 0 or self._registers[SENSOR][COM2] & STANDBY:
            return False
        return since % self.frame_ps() * self._lines() < VSYNC_LINES * self.frame_ps()

    # -- geometry --------------------------------------------------------------------------------------------------

    def running(self) -> bool:
        """Whether the DSP puts pictures out."""
        dsp = self._registers[DSP]
        return not dsp[R_BYPASS] & 1 and not dsp[REG_RESET] & STOPPED and self.acknowledges()

    def output_size(self) -> tuple[int, int]:
        """Width and height in pixels that the DSP is set to; 0 where unset."""
        dsp = self._registers[DSP]
        width = dsp[OUT_W] | (dsp[OUT_HIGH] & 3) << 8
        height = dsp[OUT_H] | (dsp[OUT_HIGH] >> 2 & 1) << 8
        return 4 * width, 4 * height

    def window(self) -> Window:
        """The part of the field that HSIZE, VSIZE, XOFF and YOFF (0x51 to 0x57) cut out; empty where unset."""
        dsp, step = self._registers[DSP], MODES[self._mode()][0]
        high = dsp[VHYX]
        width = 4 * (dsp[HSIZE] | (high >> 3 & 1) << 8 | dsp[TEST] >> 7 << 9)
        height = 4 * (dsp[VSIZE] | high >> 7 << 8)
        left, top = dsp[XOFFL] | (high & 7) << 8, dsp[YOFFL] | (high >> 4 & 7) << 8
        return Window(left * step, top * step, width * step, height * step)

    def divided_size(self) -> tuple[int, int]:
        """Width and height that CTRLI's averaging (0x50) leaves of the window, in front of the zoom."""
        window, step, divide = self.window(), MODES[self._mode()][0], self._registers[DSP][CTRLI]
        return window.width // step >> (divide & 7), window.height // step >> (divide >> 3 & 7)

    def _mode(self) -> int:
        mode = self._registers[SENSOR][COM7] & 0x70
        return mode if mode in MODES else 0

    # -- picture ---------------------------------------------------------------------------------------------------

    def frame(self) -> bytes:
        """The pixels of a frame that ends now, in the format of IMAGE_MODE (0xDA): Y8, YUV422 or RGB565."""
        width, height = self.output_size()
        divided = self.divided_size()
        if 0 in (width, height):
            self._report("a capture without an output size (DSP registers 0x5A, 0x5B): no pixels")
            return b""
        if 0 in divided:
            self._report("a capture without a window (DSP registers 0x51, 0x52, 0x50): no pixels")
            return b""
        if not self.running():
            self._report("a capture with the DSP bypassed (0x05) or in reset (0xE0): black")
            picture = np.zeros((height, width), np.uint8)
        else:
            picture = self._picture(width, height, divided)
        dsp = self._registers[DSP]
        self._remark_format(dsp[IMAGE_MODE])
        return formats.encode(picture, dsp[IMAGE_MODE], dsp[CTRL0])

    def _picture(self, width: int, height: int, divided: tuple[int, int]) -> np.ndarray:
        self._remark_geometry(width, height, divided)
        sensor = self._registers[SENSOR]
        window = self.window()
        size = min(width, divided[0]), min(height, divided[1])
        if sensor[COM7] & COLOR_BAR:
            picture = formats.colour_bars(window, *size)
        else:
            picture = self._exposed(self._oriented(window, size, sensor[REG04]))
        picture = self._without_outside(picture, window)
        if size != (width, height):  # the zoom cannot find what the dividers threw away
            picture = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))
        if self._registers[DSP][CTRL2] & SDE_EN:
            if self._sde[0] & ~NEGATIVE:
                self._report(f"special effects other than negative (SDE[0] = 0x{self._sde[0]:02X}) are not modelled")
            if self._sde[0] & NEGATIVE:
                picture = 255 - picture
        return picture

    def _oriented(self, window: Window, size: tuple[int, int], orientation: int) -> np.ndarray:
        """Mirror and flip turn the readout of the whole array; the window cuts from what comes."""
        step, columns, rows = MODES[self._mode()]
        left, top = window.left, window.top
        if orientation & MIRROR:
            left = columns * step - window.left - window.width
        if orientation & FLIP:
            top = rows * step - window.top - window.height
        picture = self._see(Window(left, top, window.width, window.height), size)
        if orientation & MIRROR:
            picture = picture[:, ::-1]
        return picture[::-1] if orientation & FLIP else picture

    def _exposed(self, picture: np.ndarray) -> np.ndarray:
        frames = (self._clock.ps() - self._running_since_ps) // self.frame_ps()
        exposure = min(256, FIRST_EXPOSURE + (256 - FIRST_EXPOSURE) * frames // SETTLE_FRAMES)
        return (picture.astype(np.uint16) * exposure >> 8).astype(np.uint8)

    def _without_outside(self, picture: np.ndarray, window: Window) -> np.ndarray:
        """What the window has beyond the sensor's pixels is black."""
        step, columns, rows = MODES[self._mode()]
        height, width = picture.shape[:2]
        inside_w = -(-(columns * step - window.left) * width // window.width)
        inside_h = -(-(rows * step - window.top) * height // window.height)
        if inside_w >= width and inside_h >= height:
            return picture
        picture = picture.copy()
        picture[:, max(0, inside_w) :] = 0
        picture[max(0, inside_h) :] = 0
        return picture

    # -- remarks ---------------------------------------------------------------------------------------------------

    def _report(self, message: str) -> None:
        self._reports.add("camera", message)

    def _remark_geometry(self, width: int, height: int, divided: tuple[int, int]) -> None:
        dsp, (step, columns, rows) = self._registers[DSP], MODES[self._mode()]
        if self._registers[SENSOR][COM7] & 0x70 not in MODES:
            self._report("COM7[6:4] selects no resolution that the data sheet names: taken as UXGA")
        window, low = self.window(), dsp[SIZEL]
        if window.left + window.width > columns * step or window.top + window.height > rows * step:
            self._report(
                f"the window (0x51 to 0x57) reaches beyond the sensor's {columns} x {rows} pixels: black there"
            )
        image = 8 * dsp[HSIZE8] + (low >> 3 & 7) + (low >> 6 & 1) * 2048, 8 * dsp[VSIZE8] + (low & 7)
        if image != (columns, rows):
            self._report(
                f"HSIZE8 and VSIZE8 (0xC0, 0xC1) say {image[0]} x {image[1]}, the sensor gives {columns} x {rows}"
            )
        if width > divided[0] or height > divided[1]:
            self._report(
                f"the zoom only shrinks: {divided[0]} x {divided[1]} pixels come to it, {width} x {height} are wanted"
            )
        if divided != (width, height) and not dsp[CTRL2] & DCW_EN:
            self._report("the zoom is off (CTRL2 bit 5), but the output size is not that of the window")

    def _remark_format(self, image_mode: int) -> None:
        if image_mode & formats.Y8_DVP_EN:
            return
        if image_mode & formats.JPEG_EN:
            self._report("JPEG output (IMAGE_MODE bit 4) is not modelled: the frame is not compressed")
        elif image_mode & formats.FORMAT_MASK not in (0, formats.RGB565):
            self._report("raw output (IMAGE_MODE bits 3:2) is not modelled: the frame is YUV422")
