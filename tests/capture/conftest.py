"""Settings for the tests of capture."""

import torch

torch.set_num_threads(1)  # the networks are tiny; more threads only wait for each other
