"""``west uc-nn ...``: the command line of uc_nn_pio as a west extension, in the Python that has it."""

import argparse
import os
import subprocess
import sys

from west.commands import WestCommand


class UcNn(WestCommand):
    """Hands everything on to ``python -m uc_nn_pio``; ``--python`` or $UC_NN_PYTHON names another interpreter."""

    def __init__(self):
        super().__init__(
            "uc-nn",
            "costs and checks of neural networks",
            "Runs uc-nn of uc_nn_pio: west uc-nn report models/lenet5.yaml; west uc-nn --help.",
            accepts_unknown_args=True,
        )

    def do_add_parser(self, parser_adder):
        parser = parser_adder.add_parser(
            self.name, help=self.help, description=self.description, add_help=False, allow_abbrev=False
        )
        parser.add_argument("--python", default=os.environ.get("UC_NN_PYTHON", sys.executable), help=argparse.SUPPRESS)
        return parser

    def do_run(self, args, unknown):
        done = subprocess.run([args.python, "-m", "uc_nn_pio", *unknown], check=False)
        if done.returncode:
            sys.exit(done.returncode)
