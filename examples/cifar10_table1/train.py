"""Train the network of the paper's table 1 on CIFAR-10 and write ``models/cifar10.pt``: some minutes of one core.

    python train.py IMAGES.npz

The images are not part of this project. TRAINING.md says which were used and what was measured. Needs torch and NumPy.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from images import DataError, Images, load
from models.cifar10 import Table1Net
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

HERE = Path(__file__).resolve().parent

MEAN = (0.4914, 0.4822, 0.4465)  # of CIFAR-10's training pixels, from 0 to 1; the spec's preprocess has the same
STD = (0.2470, 0.2435, 0.2616)

EPOCHS = 60
BATCH = 64
LEARNING_RATE = 0.1
WEIGHT_DECAY = 2e-3
MOMENTUM = 0.9
AVERAGE = 0.995  # of the weights that are kept, step by step
DROPOUT = 0.2  # in front of the fully connected layer
COLOR = 0.2  # how far contrast and brightness are varied; saturation twice as far
SHIFT = 4  # pixels

SEED = 0
THREADS = 1  # the order of sums, and so the weights, would follow the number of threads
CALIBRATION = 200


class Trained(Table1Net):
    """The network as it is trained: batch norm behind each convolution, dropout in front of the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(conv.out_channels) for conv in self.convolutions())

    def convolutions(self) -> list[nn.Conv2d]:
        return [self.conv1, self.conv2, self.conv3]

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``(N, 10)`` of a batch ``(N, 3, 32, 32)``."""
        for conv, norm in zip(self.convolutions(), self.norms, strict=True):
            x = functional.max_pool2d(functional.relu(norm(conv(x))), 2)
        return self.fc(functional.dropout(x.flatten(1), DROPOUT, self.training))

    def folded(self) -> Table1Net:
        """The paper's network that computes the same, with the batch norms in the convolutions' weights."""
        network = Table1Net().eval()
        state = {name: value for name, value in self.state_dict().items() if not name.startswith("norms")}
        network.load_state_dict(state)
        convolutions = [network.conv1, network.conv2, network.conv3]
        for conv, norm in zip(convolutions, self.norms, strict=True):
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            )
        return network


def scaled(x: Tensor) -> Tensor:
    """The network's input: bytes over 255, less the mean, over the deviation."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (x.float() / 255 - mean) / std


def augmented(x: Tensor) -> Tensor:
    """Scaled images (N, 3, 32, 32) in other colors, mirrored or not, moved by up to 4 pixels with mirrored edges."""
    count = len(x)

    def vary(span: float) -> Tensor:
        return span * (2 * torch.rand(count, 1, 1, 1) - 1)

    x = x * (1 + vary(COLOR)) + vary(COLOR)
    gray = x.mean(1, keepdim=True)
    x = gray + (x - gray) * (1 + vary(2 * COLOR))
    x = torch.where(torch.rand(count, 1, 1, 1) < 0.5, x.flip(3), x)
    x = functional.pad(x, (SHIFT,) * 4, mode="reflect")
    top, left = (torch.randint(0, 2 * SHIFT + 1, (count, 1)) + torch.arange(32) for _ in range(2))
    image, channel = torch.arange(count).view(-1, 1, 1, 1), torch.arange(3).view(1, -1, 1, 1)
    return x[image, channel, top[:, None, :, None], left[:, None, None, :]]


def scores(network: nn.Module, x: Tensor) -> Tensor:
    """Scores of uint8 images, by the network as it is used."""
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(scaled(part)) for part in x.split(500)])


def train(data: Images, seed: int, epochs: int) -> Table1Net:
    """A network trained for ``epochs`` epochs; there is no look at test images."""
    torch.manual_seed(seed)
    network = Trained()
    average = deepcopy(network)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y).long()
    matrices = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    steps = epochs * (len(x) // BATCH)
    optimizer = torch.optim.SGD(groups, lr=LEARNING_RATE, momentum=MOMENTUM, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.15)
    start = time.monotonic()
    for epoch in range(1, epochs + 1):
        network.train()
        total = 0.0
        for batch in torch.randperm(len(x))[: len(x) // BATCH * BATCH].split(BATCH):
            loss = functional.cross_entropy(network(augmented(scaled(x[batch]))), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            follow(average, network)
            total += loss.item()
        mean = total / (len(x) // BATCH)
        print(f"epoch {epoch}/{epochs}: loss {mean:.4f}, {time.monotonic() - start:.0f} s", flush=True)
    return average.eval().folded()


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module) -> None:
    """Move a step of the running mean of weights and statistics."""
    for kept, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if value.dtype.is_floating_point:
            kept.lerp_(value, 1 - AVERAGE)
        else:
            kept.copy_(value)


def save(network: nn.Module, path: Path) -> None:
    """Write the state_dict; a write that fails leaves the old file."""
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    part = path.with_name(path.name + ".part")
    part.write_bytes(buffer.getvalue())
    part.replace(path)


def write_sets(train_set: Images, test_set: Images, folder: Path) -> None:
    """The images that calibration and validation read, in ``folder``, which is not committed."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "calibration.npz", images=train_set.x[:CALIBRATION])
    np.savez_compressed(folder / "test.npz", images=test_set.x, labels=test_set.y)


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit code."""
    parser = argparse.ArgumentParser(description="Train the network of table 1 and write models/cifar10.pt.")
    parser.add_argument("images", type=Path, help="an .npz file with train_x, train_y, test_x, test_y")
    parser.add_argument("--label-shift", type=int, default=0, metavar="N", help="labels stand N places early")
    parser.add_argument("--output", type=Path, default=HERE / "models" / "cifar10.pt", help="where the weights go")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of weights, batches, augmentation (default {SEED})")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"default {EPOCHS}")
    parser.add_argument("--sets", type=Path, metavar="FOLDER", help="only write calibration.npz and test.npz there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(THREADS)
    try:
        train_set, test_set = load(options.images, options.label_shift)
        if options.sets is not None:
            write_sets(train_set, test_set, options.sets)
            print(f"wrote calibration.npz and test.npz to {options.sets}")
            return 0
        network = train(train_set, options.seed, options.epochs)
        for name, part in (("training", train_set), ("test", test_set)):
            best = scores(network, torch.from_numpy(part.x)).argmax(1).numpy()
            print(f"{len(best):,} {name} images: {(best == part.y).mean():.2%}")
        save(network, options.output)
    except DataError as error:
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
