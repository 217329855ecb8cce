"""A listening socket that only this computer reaches."""

from __future__ import annotations

import socket

from uc_nn_pio.errors import VirtualBoardError


def listen(port: int, use: str, option: str) -> socket.socket:
    """Listen on ``port`` of 127.0.0.1 for ``use``; 0 takes a free one, which a user asks for with ``option``.

    Raises:
        VirtualBoardError: the port is taken, or is none.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise VirtualBoardError(
            f"port {port} of 127.0.0.1 cannot be used for {use}",
            why=str(error),
            next_step=f"use {option} for a free port, or stop what uses it",
        ) from error
    listener.listen()
    return listener
