"""Which serial port is the board's."""

from __future__ import annotations

from uc_nn_pio.errors import ToolError

HIFIVE1_USB = (0x0403, 0x6010)
"""Vendor and product of the FT2232H on the HiFive1: the first of its two ports is JTAG, the second the UART."""


def hifive1_ports() -> list[str]:
    """Ports of HiFive1 boards that are plugged in, in the order of their names."""
    from serial.tools import list_ports

    return sorted(port.device for port in list_ports.comports() if (port.vid, port.pid) == HIFIVE1_USB)


def hifive1_uart() -> str:
    """The port of the UART of the HiFive1 that is plugged in.

    Raises:
        ToolError: there is none, or more than one.
    """
    ports = hifive1_ports()
    if not ports:
        raise ToolError(
            "no HiFive1 is plugged in",
            why="no serial port has the USB id of its FT2232H, 0403:6010",
            next_step="plug it in, or name the port: --on serial:PORT",
        )
    if len(ports) > 2:
        raise ToolError(
            "more than one HiFive1 is plugged in",
            why=f"there are {', '.join(ports)}",
            next_step="name the port: --on serial:PORT",
        )
    return ports[-1]
