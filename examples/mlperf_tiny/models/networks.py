"""The four networks of the MLPerf Tiny benchmark, by their public descriptions, in PyTorch.

Source: C. Banbury et al., "MLPerf Tiny Benchmark", 2021, section 4, and what is cited there. Padding is TensorFlow's
``same``: with a stride of 2, an odd row goes to the bottom and right.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn


def keyword_spotting() -> nn.Module:
    """DS-CNN (Y. Zhang et al., "Hello Edge", 2017): 49 frames of 10 cepstral coefficients to 12 words."""
    layers = [nn.ZeroPad2d((1, 1, 4, 5)), *_conv(1, 64, (10, 4), stride=2), nn.Dropout(0.2)]
    for _ in range(4):
        layers += [*_conv(64, 64, 3, padding=1, groups=64), *_conv(64, 64, 1)]
    return nn.Sequential(
        *layers, nn.Dropout(0.4), nn.AvgPool2d((25, 5)), nn.Flatten(), nn.Linear(64, 12), nn.Softmax(1)
    )


def image_classification() -> nn.Module:
    """ResNet-8, of three stages: 32 x 32 pixels in color to the ten classes of CIFAR-10."""
    stages = [Stage(16, 16, 1), Stage(16, 32, 2), Stage(32, 64, 2)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10), nn.Softmax(1)]
    return nn.Sequential(*_conv(3, 16, 3, padding=1), *stages, *head)


def visual_wake_words() -> nn.Module:
    """MobileNetV1 with a quarter of the channels (A. Howard et al., 2017): 96 x 96 pixels in color, person or none."""
    layers, channels = [*_around(2), *_conv(3, 8, 3, stride=2)], 8
    for made, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)):
        layers += [*_around(stride), *_conv(channels, channels, 3, stride=stride, groups=channels)]
        layers += _conv(channels, made, 1)
        channels = made
    return nn.Sequential(*layers, nn.AvgPool2d(3), nn.Flatten(), nn.Linear(256, 2), nn.Softmax(1))


def anomaly_detection() -> nn.Module:
    """An autoencoder of fully connected layers: five frames of a log-mel spectrogram, 128 bands each, and back."""
    layers: list[nn.Module] = []
    for given, made in itertools.pairwise((640, 128, 128, 128, 128, 8, 128, 128, 128, 128)):
        layers += [nn.Linear(given, made), nn.BatchNorm1d(made), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, 640))


class Stage(nn.Module):
    """Two convolutions, to which the input is added: as it is, or by a convolution of one pixel where it shrinks."""

    def __init__(self, given: int, made: int, stride: int) -> None:
        super().__init__()
        second = [nn.Conv2d(made, made, 3, padding=1), nn.BatchNorm2d(made)]
        self.branch = nn.Sequential(*_around(stride), *_conv(given, made, 3, stride=stride), *second)
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(given, made, 1, stride)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.branch(x) + self.shortcut(x))


def _around(stride: int) -> list[nn.Module]:
    """Zeros for a kernel of 3 x 3, on a map of even sides where the stride is 2."""
    return [nn.ZeroPad2d((0, 1, 0, 1) if stride == 2 else 1)]


def _conv(given: int, made: int, kernel: int | tuple[int, int], **options: int) -> list[nn.Module]:
    return [nn.Conv2d(given, made, kernel, **options), nn.BatchNorm2d(made), nn.ReLU()]
