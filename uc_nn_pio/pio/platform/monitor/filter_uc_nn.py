"""Tells ``pio device monitor`` where the board of platform ``uc_nn`` is; asked for, it draws what the demo prints.

The virtual board's port is chosen when it starts, so it stands in no ``platformio.ini``. PlatformIO makes every
filter of the platform before it opens the port, and hands it the monitor's options: where the user named no port,
this fills it in. With ``monitor_filters = uc_nn`` the text goes through ``uc_nn_draw.py`` beside this file. PlatformIO
and pyserial only.
"""

import importlib.util
import json
import os
import socket

from platformio.exception import UserSideException
from platformio.public import DeviceMonitorFilterBase
from serial.tools import list_ports


class UcNn(DeviceMonitorFilterBase):
    """The filter ``uc_nn``."""

    NAME = "uc_nn"

    def __init__(self, options=None):
        super().__init__(options)
        self._screen = None
        if not self.options or self.options.get("port") or not self.environment:
            return
        section = "env:" + self.environment
        if self.config.get(section, "platform", "") != "uc_nn":
            return
        board = self._board(self.config.get(section, "board", ""))
        protocol = self.config.get(section, "upload_protocol", "") or board.get("upload", {}).get("protocol")
        if protocol == "virtual":
            self.options["port"] = self._virtual_port()
        elif board.get("upload", {}).get("console") == "first":
            self.options["port"] = self._first_serial_port(board)

    def rx(self, text):
        """What the board sent, as the terminal shall show it."""
        if self._screen is None:
            path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "uc_nn_draw.py")
            spec = importlib.util.spec_from_file_location("uc_nn_draw", path)
            draw = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(draw)
            self._screen = draw.Screen(draw.can_draw())
        return self._screen.feed(text)

    def _board(self, board_id):
        """The manifest of a board, looked for where PlatformIO looks."""
        folders = [
            self.config.get("platformio", "boards_dir"),
            os.path.join(self.config.get("platformio", "core_dir"), "boards"),
            os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "boards"),
        ]
        for folder in folders:
            try:
                with open(os.path.join(folder, f"{board_id}.json"), encoding="utf-8") as file:
                    return json.load(file)
            except OSError:
                continue
        return {}

    def _virtual_port(self):
        workspace = self.config.get("platformio", "workspace_dir")
        state = os.path.join(workspace, "uc_nn", self.environment, "virtual", "board.json")
        try:
            with open(state, encoding="utf-8") as file:
                board = json.load(file)
        except (OSError, ValueError):
            board = None
        if board is None or not self._taken(board["port"]):
            raise UserSideException(
                f"no virtual board runs for {self.environment!r}. Start one: pio run -e {self.environment} -t upload"
            )
        return board["url"]

    @staticmethod
    def _taken(port):
        """Whether somebody listens on ``port``. Binding asks without becoming the board's one listener."""
        with socket.socket() as probe:
            if os.name != "nt":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection just closed is no listener
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return True
        return False

    @staticmethod
    def _first_serial_port(board):
        """Boards whose console is the first of several USB serial ports; PlatformIO itself would take the last."""
        wanted = {tuple(int(str(part), 0) for part in pair) for pair in board.get("build", {}).get("hwids", [])}
        found = sorted(item.device for item in list_ports.comports() if (item.vid, item.pid) in wanted)
        return found[0] if found else None
