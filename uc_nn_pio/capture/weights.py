"""Weights from disk into a module: state_dict or safetensors, matched entry by entry, every mismatch listed.

``torch.load`` runs with ``weights_only=True`` and nothing else: its unpickler builds tensors and plain containers, and
refuses whatever would call code.
"""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from uc_nn_pio.capture.formats import FileKind, file_kind
from uc_nn_pio.errors import Location, ModelError, UcNnError, UnsafeFileError

_SAVE = "save it with torch.save(model.state_dict(), {name!r})"
_MOST_LISTED = 40
_NESTED = ("state_dict", "model_state_dict", "model", "net", "weights")
_SIZE_LIMIT = 1 << 28  # bytes; far beyond any microcontroller's flash, and a stop for zip bombs


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The entries of a weights file.

    Raises:
        ModelError: the file is missing, empty, cut off, or holds something else.
        UnsafeFileError: loading it would run code.
    """
    kind = file_kind(path)
    where, hint = Location(path), _SAVE.format(name=path.name)
    if kind is FileKind.EMPTY:
        raise ModelError(f"weights file {path.name} is empty", where=where, next_step=hint)
    if kind in (FileKind.TORCH_SAVE, FileKind.TORCH_SAVE_OLD):
        loaded: Any = _torch_load(path)
    elif kind is FileKind.SAFETENSORS:
        loaded = _safetensors_load(path)
    else:
        next_step = f"name it with model.export instead, or {hint}" if kind is FileKind.PT2 else hint
        raise ModelError(
            f"{path.name} holds no weights: it is {kind.value}",
            where=where,
            why="weights are a state_dict of torch.save, or a safetensors file",
            next_step=next_step,
        )
    return _checked(loaded, path)


def _torch_load(path: Path) -> Any:
    where = Location(path)
    if path.stat().st_size > _SIZE_LIMIT:
        raise _too_large(path.name, path.stat().st_size, where)
    return load_pickle(path.read_bytes(), path.name, where, _SAVE.format(name=path.name))


def load_pickle(data: bytes, name: str, where: Location, next_step: str) -> Any:
    """``torch.load`` with weights_only=True, its failures told apart.

    Raises:
        UnsafeFileError: the pickle names a function or class beyond tensors and containers.
        ModelError: the data are damaged, or unpack to more than is read.
    """
    try:
        size = _unpacked_size(data)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _damaged(name, where, error, next_step) from None
    if size > _SIZE_LIMIT:
        raise _too_large(name, size, where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols: what cannot be read is said below
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        culprit = _culprit(str(error))
        if culprit is None:
            raise _damaged(name, where, error, next_step) from None
        raise UnsafeFileError(
            f"{name} is refused: loading it would call {culprit}",
            where=where,
            why="it is a pickle of more than tensors, such as a whole module, and loading it runs code that it holds",
            next_step=next_step,
        ) from None
    except Exception as error:  # torch has many ways to say that a file is damaged
        raise _damaged(name, where, error, next_step) from None


def _culprit(text: str) -> str | None:
    """What torch's restricted unpickler refused to call, None where the bytes just make no sense."""
    for mark in (
        "Unsupported global: GLOBAL ",
        "Trying to instantiate class ",
        "Trying to call reduce for unrecognized function ",
    ):
        if mark in text:
            return text.partition(mark)[2].split()[0].strip("`'\",.")
    if "Unsupported class" in text or "blocklist" in text.lower() or "Trying to load unsupported GLOBAL" in text:
        return text.partition("GLOBAL ")[2].split()[0].strip("`'\",.") if "GLOBAL " in text else "code of its own"
    return "an operation that tensors do not need" if "Unsupported operand" in text else None


def _damaged(name: str, where: Location, error: Exception, next_step: str) -> ModelError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ModelError(f"{name} cannot be read: it is cut off or damaged", where=where, why=first, next_step=next_step)


def _unpacked_size(data: bytes) -> int:
    """Bytes of all members where ``data`` is a zip, as torch.save writes; else its own."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return len(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return sum(info.file_size for info in archive.infolist())


def _too_large(name: str, size: int, where: Location) -> ModelError:
    return ModelError(
        f"{name} unpacks to {size:,} bytes, more than the {_SIZE_LIMIT:,} that are read",
        where=where,
        next_step="no microcontroller holds such a network: save the weights of the one that is meant for it",
    )


def _safetensors_load(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        next_step = "save it with safetensors.torch.save_file(model.state_dict(), ...)"
        raise _damaged(path.name, Location(path), error, next_step) from None


def _checked(loaded: Any, path: Path) -> dict[str, torch.Tensor]:
    where, hint = Location(path), _SAVE.format(name=path.name)
    if not isinstance(loaded, Mapping):
        raise ModelError(
            f"{path.name} holds no state_dict, but a {type(loaded).__name__}",
            where=where,
            why="a state_dict maps parameter names to tensors",
            next_step=hint,
        )
    nested = [key for key in _NESTED if isinstance(loaded.get(key), Mapping)]
    if nested:
        raise ModelError(
            f"{path.name} is a training checkpoint; its weights lie under {nested[0]!r}",
            where=where,
            why=f"it holds {', '.join(repr(str(key)) for key in list(loaded)[:8])}",
            next_step=f"save the weights alone: torch.save(checkpoint[{nested[0]!r}], {path.name!r})",
        )
    others = [str(key) for key, value in loaded.items() if not isinstance(value, torch.Tensor)]
    if others or not loaded:
        what = f"entries that are no tensors: {', '.join(others[:8])}" if others else "no entries"
        raise ModelError(
            f"{path.name} holds {what}", where=where, why="a state_dict maps names to tensors", next_step=hint
        )
    return {str(key): value for key, value in loaded.items()}


def load_into(module: torch.nn.Module, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Give ``module`` its weights.

    Raises:
        ModelError: entries are missing, unexpected, of another shape or type, or hold NaN or infinity: all are listed.
    """
    problems, next_step = _mismatches(module, weights)
    if problems:
        raise ModelError(
            f"the weights in {path.name} do not match the network",
            where=Location(path),
            why=_listed(problems),
            next_step=next_step,
        )
    check_finite(weights, path)
    try:
        module.load_state_dict({key: value for key, value in weights.items() if not _counter(key)}, strict=False)
    except UcNnError:
        raise
    except Exception as error:  # a module of the user's may bring its own loading code
        raise ModelError(
            f"the network does not take the weights in {path.name}",
            where=Location(path),
            why=str(error).strip(),
            next_step="check the network's load_state_dict hooks",
        ) from None


def _counter(key: str) -> bool:
    """Batch norm's count of training steps, which inference has no use for and old files lack."""
    return key.rpartition(".")[2] == "num_batches_tracked"


def _mismatches(module: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> tuple[list[str], str]:
    expected = {key: value for key, value in module.state_dict().items() if not _counter(key)}
    given = {key: value for key, value in weights.items() if not _counter(key)}
    missing = [key for key in expected if key not in given]
    unexpected = [key for key in given if key not in expected]
    problems = [f"missing:    {key} {_shape(expected[key])}" for key in missing]
    problems += [f"unexpected: {key} {_shape(given[key])}" for key in unexpected]
    for key in expected.keys() & given.keys():
        want, got = expected[key], given[key]
        if torch.nn.parameter.is_lazy(want) or not isinstance(want, torch.Tensor):
            continue
        if want.shape != got.shape:
            problems.append(f"shape:      {key} is {_shape(got)} in the file, {_shape(want)} in the network")
        elif want.is_floating_point() and not got.is_floating_point():
            problems.append(f"type:       {key} is {got.dtype} in the file, {want.dtype} in the network")
    for prefix in ("module.", "_orig_mod.", "model."):
        if unexpected and {key.removeprefix(prefix) for key in unexpected} <= set(missing):
            return problems, (
                f"the names begin with {prefix!r}: save the inner network's "
                f"{'model.module' if prefix == 'module.' else 'own'} state_dict"
            )
    return (
        problems,
        "save the weights of this very network, or name the class and arguments that they were trained with",
    )


def _shape(value: Any) -> str:
    return str(list(value.shape)) if isinstance(value, torch.Tensor) and not torch.nn.parameter.is_lazy(value) else ""


def _listed(problems: list[str]) -> str:
    shown = problems[:_MOST_LISTED]
    if len(problems) > len(shown):
        shown.append(f"... and {len(problems) - len(shown)} more")
    return "\n        ".join(shown)


def check_finite(weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuse NaN and infinity.

    Raises:
        ModelError: every entry that holds one, with how many.
    """
    problems = []
    for name, value in weights.items():
        if not value.is_floating_point() or value.isfinite().all():
            continue
        nans, infinite = int(value.isnan().sum()), int(value.isinf().sum())
        counts = [f"{count} {word}" for count, word in ((nans, "NaN"), (infinite, "infinite")) if count]
        problems.append(f"{name}: {' and '.join(counts)} of {value.numel()} values")
    if problems:
        raise ModelError(
            f"the weights in {path.name} are not all finite numbers",
            where=Location(path),
            why=_listed(problems),
            next_step="training diverged: train again, with a smaller learning rate",
        )
