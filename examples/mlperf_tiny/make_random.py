"""Writes what the specs in `models/` name: random weights (`.pt`) and ranges for int8 of random inputs (`.json`).

For RAM, flash and speed the values hardly matter; for accuracy they mean nothing. With a trained network put its
``state_dict`` in place of the weights, and calibrate with real data.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from uc_nn_pio.capture import capture
from uc_nn_pio.lower import lower
from uc_nn_pio.quantize import Method, calibrate
from uc_nn_pio.quantize.prepare import prepare
from uc_nn_pio.quantize.range_file import RangeFile
from uc_nn_pio.spec import load_spec

MODELS = Path(__file__).parent / "models"
SAMPLES = 16
SHAPES = {
    "kws": ("keyword_spotting", (1, 49, 10)),
    "ic": ("image_classification", (3, 32, 32)),
    "vww": ("visual_wake_words", (3, 96, 96)),
    "ad": ("anomaly_detection", (640,)),
}


def main() -> None:
    """Each network's two files."""
    sys.path.insert(0, str(MODELS))
    import networks

    for name, (function, shape) in SHAPES.items():
        torch.manual_seed(0)
        network = getattr(networks, function)()
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.momentum = 1.0  # the statistics of the one batch below, as they are
        with torch.no_grad():
            network.train()(torch.rand(SAMPLES, *shape))
        torch.save(network.state_dict(), MODELS / f"{name}.pt")
        ranges = MODELS / f"{name}.json"
        ranges.write_text("{}", encoding="utf-8")  # a spec's files have to be there before it is read
        graph = prepare(lower(capture(load_spec(MODELS / f"{name}.yaml")).graph))
        inputs = np.random.default_rng(0).random((SAMPLES, *shape)).astype(np.float32)
        found = RangeFile(
            "random weights, random inputs", Method.MINMAX, SAMPLES, calibrate(graph, [inputs], Method.MINMAX)
        )
        ranges.write_text(found.text(), encoding="utf-8")
        numbers = sum(each.numel() for each in network.parameters())
        print(f"{name}: {numbers:,} parameters, {len(graph.nodes)} layers")


if __name__ == "__main__":
    main()
