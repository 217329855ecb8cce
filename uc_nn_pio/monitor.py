"""``uc-nn monitor PORT``: what a board prints, drawn where the terminal can; without PlatformIO."""

from __future__ import annotations

import argparse
import codecs
import sys
import time

import serial

from uc_nn_pio.errors import UcNnError
from uc_nn_pio.pio.platform.monitor.uc_nn_draw import Screen, can_draw

BAUD = 115_200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("port", help="/dev/ttyUSB1, COM4, or socket://127.0.0.1:PORT of a virtual board")
    parser.add_argument("--plain", action="store_true", help="lines as they come, nothing drawn")
    parser.add_argument("--seconds", type=float, default=None, help="end after so long; Ctrl-C ends it too")


def run(args: argparse.Namespace) -> int:
    """The exit code.

    Raises:
        UcNnError: the port cannot be opened, or is gone.
    """
    try:
        port = serial.serial_for_url(args.port, baudrate=BAUD, timeout=0.1)
    except (OSError, serial.SerialException) as error:
        raise UcNnError(
            f"cannot open {args.port}",
            why=str(error),
            next_step="python -m serial.tools.list_ports shows the ports; of a HiFive1 the second is the UART",
        ) from None
    screen, decoder = Screen(can_draw() and not args.plain), codecs.getincrementaldecoder("utf-8")(errors="replace")
    end = time.monotonic() + args.seconds if args.seconds is not None else None
    with port:
        try:
            while end is None or time.monotonic() < end:
                sys.stdout.write(screen.feed(decoder.decode(port.read(256))))
                sys.stdout.flush()
        except KeyboardInterrupt:
            return 0
        except (OSError, serial.SerialException) as error:
            raise UcNnError(
                f"{args.port} is gone", why=str(error), next_step="is the board still plugged in?"
            ) from None
    return 0
