"""``python -m uc_nn_pio.virtual``."""

import sys

from uc_nn_pio.virtual.cli import main

sys.exit(main())
