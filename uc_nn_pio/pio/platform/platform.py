"""PlatformIO platform ``uc_nn``: which packages a build needs.

PlatformIO loads this file itself, in its own Python, so it imports nothing of uc_nn_pio.
"""

import shutil

from platformio.public import PlatformBase

SYSTEM_TOOLCHAIN = "toolchain-uc-nn-system"
REGISTRY_TOOLCHAINS = {"riscv": "toolchain-riscv", "arm": "toolchain-gccarmnoneeabi"}
OPENOCD = "tool-openocd-riscv"


class Uc_nnPlatform(PlatformBase):  # noqa: N801  PlatformIO derives the class name from the platform's name
    """The platform object of one PlatformIO run."""

    def is_embedded(self):
        """PlatformIO uploads and lists ``upload`` only for embedded platforms; ``pio test`` asks too."""
        return True

    def configure_default_packages(self, options, targets):
        """Choose one toolchain, and OpenOCD's package only where the system has no OpenOCD.

        ``uc-nn setup --offline`` puts ``toolchain-uc-nn-system`` in place; where it is, the registry is not asked.
        """
        super().configure_default_packages(options, targets)
        packages = self.packages
        if self.get_package(SYSTEM_TOOLCHAIN) is not None:
            for name in REGISTRY_TOOLCHAINS.values():
                packages.pop(name, None)
            packages[SYSTEM_TOOLCHAIN]["optional"] = False
        else:
            packages.pop(SYSTEM_TOOLCHAIN, None)
            wanted = REGISTRY_TOOLCHAINS[self._architecture(options.get("board"))]
            for name in REGISTRY_TOOLCHAINS.values():
                packages[name]["optional"] = name != wanted
        packages[OPENOCD]["optional"] = not self._needs_openocd_package(options, targets)

    def _architecture(self, board):
        cpu = self.board_config(board).get("build.cpu", "") if board else ""
        return "arm" if cpu.startswith("cortex-m") else "riscv"

    def _needs_openocd_package(self, options, targets):
        if not {"upload", "program"} & {str(target) for target in targets}:
            return False
        board = options.get("board")
        protocol = options.get("upload_protocol")
        if not protocol and board:
            protocol = self.board_config(board).get("upload.protocol", "")
        return protocol in ("ftdi", "jlink") and shutil.which("openocd") is None
