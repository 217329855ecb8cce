"""The networks that are measured: the examples' specs, one precision at a time, and what they are shown."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from uc_nn_pio.boards import Board, load_board
from uc_nn_pio.errors import SpecError
from uc_nn_pio.resources import resources
from uc_nn_pio.samples import read_samples
from uc_nn_pio.spec import LEAST, MemorySpec, ModelSpec, load_spec

GRAY = 128
LARGE_RAM = 65536


@dataclass(frozen=True)
class Network:
    """An example: its title in tables, and its spec below ``examples/``."""

    key: str
    title: str
    spec: str
    small_budget: int
    """Bytes of context in which the streamed network is still fast: a little more than the least."""

    @property
    def exists(self) -> bool:
        return (resources("examples") / self.spec).is_file()

    def too_large(self, precision: str) -> bool:
        """Whether 16 KiB of RAM do not hold it."""
        return (self.key, precision) == ("cifar10", "float32")

    def load(self, precision: str, way: str = "") -> ModelSpec:
        """The spec in this precision; ``way`` is a key of ``WAYS``.

        Raises:
            SpecError: the spec is wrong, or its folder is not there.
        """
        spec = load_spec(resources("examples") / self.spec)
        memory = WAYS[way].memory
        if way == "streamed_small":
            memory = replace(memory, ram_budget=self.small_budget)
        # a board's camera or not, rows are set by set_row, which specs with a source have
        source = replace(spec.input, source=spec.input.source or "arducam_ov2640")
        return replace(spec, precision=precision, memory=memory, input=source)


NETWORKS = {
    network.key: network
    for network in (
        Network("lenet5", "LeNet-5", "lenet5_camera/models/lenet5.yaml", 1280),
        Network("cifar10", "CIFAR-10 network of the paper's table 1", "cifar10_table1/models/cifar10.yaml", 4800),
    )
}
PRECISIONS = ("int8", "float32")


@dataclass(frozen=True)
class Way:
    """A way to use the board's RAM: what tables call it, and the spec's ``memory`` section."""

    title: str
    memory: MemorySpec


WAYS = {
    "": Way("pingpong", MemorySpec("pingpong")),
    "weights": Way("pingpong, weights in RAM", MemorySpec("pingpong", ram_weights="auto")),
    "streamed": Way("streamed", MemorySpec("streamed")),
    "streamed_weights": Way("streamed, weights in RAM", MemorySpec("streamed", ram_weights="auto")),
    "streamed_small": Way("streamed, little RAM", MemorySpec("streamed")),
    "streamed_least": Way("streamed, least RAM", MemorySpec("streamed", ram_budget=LEAST)),
}
"""By the last word of a row's key; "" is the paper's schedule, whose rows' keys have no such word."""


@dataclass(frozen=True)
class Pictures:
    """``raw`` (N, C, H, W) uint8 is what ``set_row`` is given; ``names`` say what each is; ``labels`` are the classes
    of the first of them, where they are known."""

    raw: np.ndarray
    names: tuple[str, ...]
    labels: tuple[int, ...] = ()

    def only(self, *names: str) -> Pictures:
        """Some of them, without labels."""
        at = [self.names.index(name) for name in names]
        return Pictures(self.raw[at], names)


def pictures(spec: ModelSpec) -> Pictures:
    """The first test picture of each of ten classes, a mid-gray and a noise picture; the same ones every time. Without
    test data the first ten are calibration samples, or else noise."""
    shape = spec.input.shape
    noise = np.random.default_rng(0).integers(0, 256, (11, *shape), np.uint8)
    ten, labels, what = noise[1:], (), "noise"
    if spec.validate is not None:
        test = spec.validate
        where = spec.location("validate", "file")
        samples = read_samples(test.file, shape, what="test", where=where, labels=True)
        labels = tuple(range(10))
        ten = samples.images[[_first(samples.labels, label) for label in labels]]
        ten, what = _raw(spec, ten, test.stage), "class"
    elif spec.calibration is not None and spec.calibration.file is not None:
        how = spec.calibration
        where = spec.location("calibration", "file")
        samples = read_samples(how.file, shape, what="calibration", where=where, labels=False, count=10)
        ten, what = _raw(spec, samples.images, how.stage), "sample"
    raw = np.concatenate([ten, np.full((1, *shape), GRAY, np.uint8), noise[:1]])
    return Pictures(raw, (*(f"{what} {i}" for i in range(len(ten))), "gray", "noise"), labels)


def _first(labels: np.ndarray, label: int) -> int:
    found = np.flatnonzero(labels == label)
    if not len(found):
        raise SpecError(f"the test data have no sample of class {label}", next_step="give ten classes, 0 to 9")
    return int(found[0])


def _raw(spec: ModelSpec, images: np.ndarray, stage: str) -> np.ndarray:
    """What the camera would show: ``set_row`` inverts again."""
    return 255 - images if stage == "network" and spec.input.preprocess.invert else images


def board_of(precision: str, network: Network) -> tuple[Board, str | None]:
    """The virtual HiFive1; for a network that it does not hold, a copy with more RAM, and a note that says so."""
    board = load_board("hifive1_virtual")
    if not network.too_large(precision):
        return board, None
    ram = replace(board.ram, size=LARGE_RAM)
    note = f"does not fit the board's {board.ram.size} B of RAM: measured on a copy of it with {LARGE_RAM} B"
    return replace(board, regions={**board.regions, "ram": ram}), note
