"""What a model spec says, once it is read and checked: frozen values that the later stages take.

Paths are ready to open: those of the file are relative to the spec's own folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from uc_nn_pio.errors import Location


@dataclass(frozen=True)
class PythonEntry:
    """A class, or a function without needed arguments but ``arguments``, in the user's own Python file.

    Calling it gives the network. Importing ``file`` runs the user's code.
    """

    file: Path
    attribute: str
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerSpec:
    """One entry of ``layers:``: a class of ``torch.nn`` and its keyword arguments, in torch's names.

    ``in_channels``, ``in_features`` and ``num_features`` may be missing. Pairs and sizes are tuples. ``name`` is the
    prefix in the state_dict; ``None`` means the entry's position, counted from 0, as in ``nn.Sequential``.
    """

    type: str
    arguments: Mapping[str, object]
    name: str | None
    location: Location


@dataclass(frozen=True)
class ModelSource:
    """Where the network comes from: exactly one of ``python``, ``layers`` and ``export`` is not None.

    ``weights`` (a state_dict or safetensors file) goes with the first two, and is None with ``export``.
    """

    python: PythonEntry | None = None
    layers: tuple[LayerSpec, ...] | None = None
    export: Path | None = None
    weights: Path | None = None


@dataclass(frozen=True)
class Preprocess:
    """From a raw byte to the network's input; :mod:`uc_nn_pio.preprocess` computes it.

    ``threshold`` is None or 0..255; ``mean`` and ``std`` hold one number a channel, or are None.
    """

    invert: bool = False
    threshold: int | None = None
    scale: Fraction = Fraction(1)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True)
class InputSpec:
    """The network's input. ``shape`` is (C, H, W), or (N,) for a vector, without the batch axis. ``tokens``: its values
    are whole numbers below that."""

    shape: tuple[int, ...]
    source: str | None = None
    preprocess: Preprocess = Preprocess()
    name: str = "input"
    tokens: int | None = None


@dataclass(frozen=True)
class OutputSpec:
    """The network's outputs. ``labels`` names the elements of the first; texts as the user wrote them, to be escaped
    when written. ``names`` are those of several outputs, in the order in which ``forward`` returns them."""

    labels: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class CalibrationSpec:
    """What sets the ranges of int8: either ``file`` and ``stage``, or ``ranges``; the others of them are None.

    ``file`` holds samples, of which the first ``samples`` are used (None: all); ``stage`` is ``camera`` or ``network``.
    ``method`` is ``minmax``, ``percentile`` (which keeps ``percentile`` % of the values) or ``mse``. ``ranges`` is a
    file with the ranges themselves. ``linear`` is ``per_tensor`` or ``per_channel``: the weight scales of fully
    connected layers.
    """

    file: Path | None = None
    stage: str | None = None
    samples: int | None = None
    method: str = "minmax"
    percentile: float = 99.99
    linear: str = "per_tensor"
    ranges: Path | None = None

    @property
    def path(self) -> Path | None:
        """The one file that is read: ``file`` or ``ranges``."""
        return self.file or self.ranges


@dataclass(frozen=True)
class MemorySpec:
    """How to use the board's RAM. Sizes in bytes; None leaves the figure to the board's data. ``ram_weights`` is
    ``none``, ``auto`` (what the budget leaves) or the most bytes of constant tables that may be copied to RAM."""

    schedule: str = "auto"
    ram_budget: int | None = None
    """Bytes; 0 for the least that can be had, None for what the board leaves."""
    firmware_reserve: int | None = None
    ram_weights: str | int = "none"


@dataclass(frozen=True)
class ValidateSpec:
    """Data to check the network with. ``stage`` is ``camera`` or ``network``; ``samples`` None means all."""

    file: Path
    stage: str = "network"
    samples: int | None = None
    min_accuracy: float | None = None


@dataclass(frozen=True)
class ModelSpec:
    """One model: the whole spec file. ``text_sha256`` is over its text with line ends as LF and no byte order mark.

    ``input`` is the first of ``inputs``, which are empty where the spec has the key ``input`` and not ``inputs``.
    """

    path: Path
    name: str
    model: ModelSource
    input: InputSpec
    output: OutputSpec = OutputSpec()
    precision: str = "float32"
    state: str = "fresh"
    inputs: tuple[InputSpec, ...] = ()
    calibration: CalibrationSpec | None = None
    memory: MemorySpec = MemorySpec()
    validate: ValidateSpec | None = None
    text_sha256: str = ""
    locations: Mapping[tuple[str | int, ...], Location] = field(default_factory=dict, repr=False, compare=False)

    def location(self, *keys: str | int) -> Location:
        """Where a key stands, ``location("model", "weights")``, or a list's entry, ``location("model", "layers", 2)``.

        For a key that the file does not have, the nearest key around it; at last the file alone.
        """
        while keys:
            if keys in self.locations:
                return self.locations[keys]
            keys = keys[:-1]
        return Location(self.path)

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the inputs by their names in the graph, in the order of ``forward``'s arguments."""
        return {each.name: each.shape for each in self.inputs or (self.input,)}

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the spec names, in the order of the keys; the spec itself is not among them."""
        named = [
            self.model.python and self.model.python.file,
            self.model.export,
            self.model.weights,
            self.calibration and self.calibration.path,
            self.validate and self.validate.file,
        ]
        return tuple(path for path in named if path is not None)
