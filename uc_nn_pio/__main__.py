"""``python -m uc_nn_pio`` is ``uc-nn``."""

import sys

from uc_nn_pio.cli import main

sys.exit(main())
