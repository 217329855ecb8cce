"""OV2640: two register banks and the picture that they select (OV2640 data sheet; docs/virtual-board.md).

A picture appears only as the registers say: none during reset, black while the DSP is bypassed (0x05), held in reset
(0xE0) or without an output size (0x5A, 0x5B). Exposure starts dark and settles over ten frames (chosen).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from uc_nn_pio.virtual.clock import PS_PER_SECOND, Clock
from uc_nn_pio.virtual.reports import Reports
from uc_nn_pio.virtual.scene import fit_picture

DSP, SENSOR = 0, 1
BANK_SELECT = 0xFF
ADDRESS = 0x30
IDS = {0x0A: 0x26, 0x0B: 0x42, 0x1C: 0x7F, 0x1D: 0xA2}  # product, then manufacturer
RESET_PS = 50 * PS_PER_SECOND // 1000  # chosen; firmware is told to wait 100 ms
FRAME_PS = PS_PER_SECOND // 15  # chosen: the most that this mode gives
SETTLE_FRAMES = 10  # chosen
FIRST_EXPOSURE = 77  # of 256 (chosen)

# DSP bank
R_BYPASS, REG_RESET, IMAGE_MODE, OUT_W, OUT_H, OUT_HIGH = 0x05, 0xE0, 0xDA, 0x5A, 0x5B, 0x5C
SDE_ADDRESS, SDE_DATA = 0x7C, 0x7D
# sensor bank
REG04, COM7 = 0x04, 0x12


class Ov2640:
    """The sensor. ``picture()`` gives the scene as an (H, W) array of uint8 of any size."""

    def __init__(self, clock: Clock, reports: Reports, picture: Callable[[], np.ndarray]) -> None:
        self._clock = clock
        self._reports = reports
        self._picture = picture
        self._busy_until_ps = 0
        self._power_up()

    def _power_up(self) -> None:
        self._bank = DSP
        self._registers = [bytearray(256), bytearray(256)]
        self._registers[DSP][R_BYPASS] = 1
        self._registers[DSP][REG_RESET] = 0x04
        for register, value in IDS.items():
            self._registers[SENSOR][register] = value
        self._sde = bytearray(32)
        self._running_since_ps = self._clock.ps()

    def power_up(self) -> None:
        """The supply comes back: registers as after a reset, no exposure yet."""
        self._busy_until_ps = 0
        self._power_up()

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
        if self._bank == SENSOR and register == COM7 and value & 0x80:
            self._power_up()
            self._busy_until_ps = self._clock.ps() + RESET_PS
            return
        was_running = self.running()
        if self._bank == DSP and register == SDE_DATA:
            pointer = self._registers[DSP][SDE_ADDRESS]
            self._sde[pointer % 32] = value
            self._registers[DSP][SDE_ADDRESS] = pointer + 1 & 0xFF
        else:
            self._registers[self._bank][register] = value
        if self.running() and not was_running:
            self._running_since_ps = self._clock.ps()

    # -- picture ---------------------------------------------------------------------------------------------------

    def running(self) -> bool:
        """Whether the DSP puts pictures out."""
        dsp = self._registers[DSP]
        return not dsp[R_BYPASS] & 1 and not dsp[REG_RESET] and self.acknowledges()

    def output_size(self) -> tuple[int, int]:
        """Width and height in pixels that the DSP is set to; 0 where unset."""
        dsp = self._registers[DSP]
        width = dsp[OUT_W] | (dsp[OUT_HIGH] & 3) << 8
        height = dsp[OUT_H] | (dsp[OUT_HIGH] >> 2 & 1) << 8
        return 4 * width, 4 * height

    def frame(self) -> bytes:
        """The pixels of a frame that ends now, in the format of IMAGE_MODE (0xDA): Y8, YUV422 or RGB565."""
        width, height = self.output_size()
        if width == 0 or height == 0:
            self._reports.add("camera", "a capture without an output size (DSP registers 0x5A, 0x5B): no pixels")
            return b""
        return self._encode(self._gray(width, height))

    def _gray(self, width: int, height: int) -> np.ndarray:
        if not self.running():
            self._reports.add("camera", "a capture with the DSP bypassed (0x05) or in reset (0xE0): black")
            return np.zeros((height, width), np.uint8)
        frames = (self._clock.ps() - self._running_since_ps) // FRAME_PS
        exposure = min(256, FIRST_EXPOSURE + (256 - FIRST_EXPOSURE) * frames // SETTLE_FRAMES)
        gray = fit_picture(self._picture(), width, height)
        gray = (gray.astype(np.uint16) * exposure >> 8).astype(np.uint8)
        if self._sde[0] & 0x40:
            gray = 255 - gray
        orientation = self._registers[SENSOR][REG04]
        if orientation & 0x80:
            gray = gray[:, ::-1]
        if orientation & 0x40:
            gray = gray[::-1]
        return gray

    def _encode(self, gray: np.ndarray) -> bytes:
        mode = self._registers[DSP][IMAGE_MODE]
        if mode & 0x10:
            self._reports.add("camera", "JPEG output (IMAGE_MODE bit 4) is not modelled: the frame is gray")
        if mode & 0x40:
            return gray.tobytes()
        if mode >> 2 & 3 == 2:  # RGB565, high byte first
            wide = gray.astype(np.uint16)
            pixels = wide >> 3 << 11 | wide >> 2 << 5 | wide >> 3
            return pixels.astype(">u2").tobytes()
        return np.stack([gray, np.full_like(gray, 128)], axis=-1).tobytes()  # YUYV
