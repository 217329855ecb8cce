"""Runs ``pio test`` on the boards of platform ``uc_nn``, with no test library to fetch.

Copy this file to ``test/test_custom_runner.py`` and set ``test_framework = custom``. A test program prints one line a
case on the UART, and one at the end::

    PASS name
    FAIL name: why
    DONE

PlatformIO loads it in its own Python: standard library and PlatformIO only.
"""

import json
import os

from platformio.public import TestCase, TestRunnerBase, TestStatus


class CustomTestRunner(TestRunnerBase):
    """PlatformIO derives the name from ``test_framework = custom``."""

    EXTRA_LIB_DEPS = None

    def get_test_port(self):
        """What the user named; else the virtual board that the upload has just started."""
        port = super().get_test_port()
        workspace = self.project_config.get("platformio", "workspace_dir")
        state = os.path.join(workspace, "uc_nn", self.test_suite.env_name, "virtual", "board.json")
        if port or not os.path.isfile(state):
            return port
        with open(state, encoding="utf-8") as file:
            return json.load(file)["url"]

    def on_testing_line_output(self, line):
        """One line of the test program."""
        word, _, rest = line.strip().partition(" ")
        if word in ("PASS", "FAIL"):
            name, _, message = rest.partition(": ")
            status = TestStatus.PASSED if word == "PASS" else TestStatus.FAILED
            case = TestCase(name=name, status=status, message=message or None, stdout=line)
            self.test_suite.add_case(case)
            print(case.humanize())
        elif word == "DONE":
            self.test_suite.on_finish()
        else:
            super().on_testing_line_output(line)
