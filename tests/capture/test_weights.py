"""Weights files: what matches, what does not, and what would run code."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.capture.helpers import python_spec, save_export
from uc_nn_pio.capture import capture, load_model
from uc_nn_pio.errors import ModelError, UcNnError, UnsafeFileError
from uc_nn_pio.spec import ModelSpec

SOURCE = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)
            self.norm = nn.BatchNorm2d(2)
            self.fc = nn.Linear(72, 3)

        def forward(self, x):
            return self.fc(self.norm(self.conv(x)).flatten(1))
"""


def good_weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    shapes = {
        "conv.weight": (2, 1, 3, 3),
        "conv.bias": (2,),
        "norm.weight": (2,),
        "norm.bias": (2,),
        "norm.running_mean": (2,),
        "norm.running_var": (2,),
        "fc.weight": (3, 72),
        "fc.bias": (3,),
    }
    weights = {name: torch.rand(shape, generator=generator) for name, shape in shapes.items()}
    return {**weights, "norm.num_batches_tracked": torch.tensor(7)}


def spec_with(folder: Path, weights: object, **options: Any) -> ModelSpec:
    torch.save(weights, folder / "net.pt", **options)
    return python_spec(folder, SOURCE)


def error_of(spec: ModelSpec, kind: type[UcNnError] = ModelError) -> str:
    with pytest.raises(kind) as caught:
        capture(spec)
    assert "net.pt" in str(caught.value)
    assert caught.value.next_step
    return str(caught.value)


def test_weights_reach_the_graph(tmp_path: Path) -> None:
    graph = capture(spec_with(tmp_path, good_weights())).graph
    for name, tensor in good_weights().items():
        if name != "norm.num_batches_tracked":
            np.testing.assert_array_equal(graph.constants[name.replace(".", "_")], tensor.numpy())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_become_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    weights = {name: value.to(dtype) for name, value in good_weights().items()}
    model = load_model(spec_with(tmp_path, weights))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    torch.testing.assert_close(model.fc.weight.detach(), weights["fc.weight"].float(), rtol=0, atol=0)


def test_files_in_torchs_old_format_load(tmp_path: Path) -> None:
    capture(spec_with(tmp_path, good_weights(), _use_new_zipfile_serialization=False))


def test_a_missing_batch_counter_is_no_mistake(tmp_path: Path) -> None:
    weights = good_weights()
    del weights["norm.num_batches_tracked"]
    capture(spec_with(tmp_path, weights))


def test_every_mismatch_is_listed_at_once(tmp_path: Path) -> None:
    weights = good_weights()
    del weights["conv.bias"], weights["norm.running_var"]
    weights["extra.weight"] = torch.zeros(4, 5)
    weights["fc.weight"] = torch.zeros(3, 70)
    weights["fc.bias"] = torch.zeros(3, dtype=torch.int8)
    text = error_of(spec_with(tmp_path, weights))
    for part in (
        "missing:    conv.bias [2]",
        "missing:    norm.running_var [2]",
        "unexpected: extra.weight [4, 5]",
        "fc.weight is [3, 70] in the file, [3, 72] in the network",
        "fc.bias is torch.int8",
    ):
        assert part in text


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_wrappers_in_the_names_are_explained(tmp_path: Path, prefix: str) -> None:
    weights = {f"{prefix}{name}": value for name, value in good_weights().items()}
    assert repr(prefix) in error_of(spec_with(tmp_path, weights))


def test_nan_and_infinity_are_named(tmp_path: Path) -> None:
    weights = good_weights()
    weights["conv.weight"][1, 0, 0, 0] = float("nan")
    weights["fc.bias"][:2] = float("-inf")
    text = error_of(spec_with(tmp_path, weights))
    assert "conv.weight: 1 NaN of 18 values" in text
    assert "fc.bias: 2 infinite of 3 values" in text


def test_nan_in_an_export_is_named(tmp_path: Path) -> None:
    from tests.capture.helpers import export_spec

    network = nn.Sequential(nn.Conv2d(1, 2, 3))
    nn.init.constant_(network[0].bias, float("nan"))
    path = save_export(network, (1, 5, 5), tmp_path / "x.pt2")
    with pytest.raises(ModelError, match=r"0\.bias"):
        capture(export_spec(path, (1, 5, 5)))


class Evil:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.canary), "w"))


@pytest.mark.parametrize("new", [True, False], ids=["zip", "old format"])
def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, new: bool) -> None:
    canary = tmp_path / "canary"
    spec = spec_with(tmp_path, {**good_weights(), "evil": Evil(canary)}, _use_new_zipfile_serialization=new)
    text = error_of(spec, UnsafeFileError)
    assert "open" in text
    assert not canary.exists()
    torch.load(tmp_path / "net.pt", weights_only=False)
    assert canary.exists(), "the file must be one that does run code when it is trusted"


def test_a_bare_pickle_that_would_run_code_is_no_weights_file(tmp_path: Path) -> None:
    spec = python_spec(tmp_path, SOURCE)
    canary = tmp_path / "canary"
    (tmp_path / "net.pt").write_bytes(pickle.dumps(Evil(canary)))
    error_of(spec, UcNnError)
    assert not canary.exists()


def test_a_pickled_module_is_refused_with_the_cure(tmp_path: Path) -> None:
    text = error_of(spec_with(tmp_path, nn.Sequential(nn.Conv2d(1, 2, 3))), UnsafeFileError)
    assert "Sequential" in text
    assert "state_dict()" in text


def test_a_checkpoint_is_told_from_weights(tmp_path: Path) -> None:
    text = error_of(spec_with(tmp_path, {"epoch": 3, "state_dict": good_weights()}))
    assert "checkpoint['state_dict']" in text


@pytest.mark.parametrize("value", [torch.zeros(3), [1, 2], {}, {"a": 1}], ids=["tensor", "list", "empty", "numbers"])
def test_what_is_no_state_dict_is_refused(tmp_path: Path, value: object) -> None:
    assert "state_dict" in error_of(spec_with(tmp_path, value))


def _script(path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


FILES = {
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "text": (lambda path: path.write_text("weights: none\n"), "a text file"),
    "random": (lambda path: path.write_bytes(np.random.default_rng(1).bytes(5000)), "no known format"),
    "torchscript": (_script, "TorchScript"),
    "pt2": (lambda path: save_export(nn.Linear(2, 2), (2,), path), "model.export"),
    "npz": (lambda path: np.savez(path.open("wb"), a=np.zeros(3)), "NumPy archive"),
    "npy": (lambda path: np.save(path.open("wb"), np.zeros(3)), "NumPy array"),
    "zip": (_zip, "zip archive"),
    "onnx": (lambda path: path.write_bytes(b"\x08\x0a\x12\x07pytorch\x1a\x052.9.0:\xff\xff\x01\x0a"), "ONNX"),
    "keras": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64)), "HDF5"),
    "tflite": (lambda path: path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(64)), "TensorFlow Lite"),
    "gguf": (lambda path: path.write_bytes(b"GGUF\x03\0\0\0" + bytes(64)), "GGUF"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("write", "says"), FILES.values(), ids=FILES)
def test_files_that_are_no_weights_are_named(tmp_path: Path, write: Any, says: str) -> None:
    spec = python_spec(tmp_path, SOURCE)
    write(tmp_path / "net.pt")
    assert says in error_of(spec)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("write", "says"), FILES.values(), ids=FILES)
def test_files_that_are_no_export_are_named(tmp_path: Path, write: Any, says: str) -> None:
    from tests.capture.helpers import export_spec

    path = tmp_path / "net.pt"
    write(path)
    with pytest.raises(ModelError) as caught:
        capture(export_spec(path, (2,) if says == "model.export" else (1, 4, 4)))
        raise ModelError("it is one: model.export takes net.pt")
    assert says in str(caught.value)
    assert "net.pt" in str(caught.value)


def test_an_export_of_torch_2_7_is_named(tmp_path: Path) -> None:
    from tests.capture.helpers import export_spec

    path = tmp_path / "old.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("version", "8.5")
        archive.writestr("serialized_exported_program.json", "{}")
    with pytest.raises(ModelError, match=r"torch 2\.7") as caught:
        capture(export_spec(path, (1, 4, 4)))
    assert "torch.export.save" in str(caught.value)


def test_every_cut_of_a_weights_file_is_a_clear_error(tmp_path: Path) -> None:
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        spec = spec_with(tmp_path, good_weights(), **options)
        data = (tmp_path / "net.pt").read_bytes()
        for length in range(0, len(data), len(data) // 9):
            (tmp_path / "net.pt").write_bytes(data[:length])
            error_of(spec)


def test_cut_safetensors_are_a_clear_error(tmp_path: Path) -> None:
    save_file(good_weights(), tmp_path / "net.pt")
    spec = python_spec(tmp_path, SOURCE)
    capture(spec)
    data = (tmp_path / "net.pt").read_bytes()
    for length in (0, 4, 12, 200, len(data) - 3):
        (tmp_path / "net.pt").write_bytes(data[:length])
        error_of(spec)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    spec = spec_with(tmp_path, good_weights())
    (tmp_path / "net.pt").unlink()
    error_of(spec)


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    spec = spec_with(tmp_path, good_weights())
    with zipfile.ZipFile(tmp_path / "net.pt", "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for index in range(5):
            archive.writestr(f"net/data/{index + 100}", bytes(1 << 26))
    assert "unpacks" in error_of(spec)
