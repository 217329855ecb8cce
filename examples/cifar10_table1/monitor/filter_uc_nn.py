"""The monitor filter ``uc_nn`` on any platform: `pio device monitor` draws what the firmware prints.

A project has a copy of this file, ``monitor/filter_uc_nn.py``, where PlatformIO looks for filters whatever the platform
is. Platform ``uc_nn`` brings a filter of the same name, which also knows the board's port: PlatformIO loads it behind
this one, and it takes this one's place. So this one does nothing but draw, with the code of that platform or of the
package uc_nn_pio, and passes the text on as it is where there is neither. PlatformIO and the standard library only.
"""

import importlib.util
import json
import os

from platformio.public import DeviceMonitorFilterBase

DRAWING_CODE = os.path.join("monitor", "uc_nn_draw.py")
HINT = "--- uc_nn: nothing is drawn, since the drawing code is not found: run `uc-nn setup`, or build once\r\n"


class UcNn(DeviceMonitorFilterBase):
    """The filter ``uc_nn``."""

    NAME = "uc_nn"

    def __init__(self, options=None):
        super().__init__(options)
        self._feed = None

    def rx(self, text):
        """What the board sent, as the terminal shall show it."""
        if self._feed is None:
            path = next(filter(os.path.isfile, self._places()), None)
            if path is None:
                self._feed = str  # the text as it is; said once
                return HINT + text
            spec = importlib.util.spec_from_file_location("uc_nn_draw", path)
            draw = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(draw)
            self._feed = draw.Screen(draw.can_draw()).feed
        return self._feed(text)

    def _places(self):
        """Where the drawing code may be: in platform ``uc_nn``, in the package of PlatformIO's own Python, or in that
        of the Python which converted the network last."""
        yield os.path.join(self.config.get("platformio", "platforms_dir"), "uc_nn", DRAWING_CODE)
        package = importlib.util.find_spec("uc_nn_pio")
        for folder in (package and package.submodule_search_locations) or []:
            yield os.path.join(folder, "pio", "platform", DRAWING_CODE)
        manifest = os.path.join(
            self.config.get("platformio", "workspace_dir"), "uc_nn", self.environment or "", "manifest.json"
        )
        try:
            with open(manifest, encoding="utf-8") as file:
                roots = json.load(file)["converter"]["roots"]
        except (OSError, ValueError, KeyError, TypeError):
            return
        for folder in roots:
            yield os.path.join(folder, "pio", "platform", DRAWING_CODE)
